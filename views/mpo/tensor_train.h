// SPDX-License-Identifier: GPL-3.0-or-later
// One matrix as a matrix product operator: what its diagram shows.
#pragma once

#include <QString>

#include <cstdint>
#include <vector>

namespace rankscope::views
{

struct TensorTrainCore {
    QString name; ///< its label in the record: "1" is the first
    int leftBond = 1, rowLeg = 1, columnLeg = 1, rightBond = 1;
    double elements = 0;
    float drift = 0;             ///< relative change since the start; NaN: not measured
    std::int64_t driftStep = -1; ///< that it was measured at
};

struct TensorTrain {
    QString title; ///< "model.layers.7.mlp.down_proj, expert 3, step 140"
    std::vector<TensorTrainCore> cores;
    double largestDrift = 0; ///< of the scale: the whole run's largest
    [[nodiscard]] bool empty() const { return cores.empty(); }
    /// That the drift was measured at: one for all cores, which are measured together; -1 for none.
    [[nodiscard]] std::int64_t driftStep() const { return empty() ? -1 : cores.front().driftStep; }
};

/// Side of a core's box and radius of a bond's tube, in units of the distance between cores: logarithms of
/// the size and of the bond dimension, so that 8 and 100,000 elements can be seen beside each other.
double coreSide(double elements);
double bondRadius(int dimension);

} // namespace rankscope::views

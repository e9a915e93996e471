// SPDX-License-Identifier: Apache-2.0
// How many directions an update really uses: three measures in the literature, all from its singular values.
#pragma once

#include "core/adapter/delta.h"

#include <ATen/core/Tensor.h>
#include <vector>

namespace rankscope::analysis
{

struct RankMeasures {
    double entropy = 0; ///< exp(-sum p ln p), p = sigma / sum sigma (Roy & Vetterli 2007)
    double stable = 0;  ///< ||W||_F^2 / ||W||_2^2 (Rudelson & Vershynin 2007; REMoE eq. 10)
    double nuclear = 0; ///< sum sigma / sigma_max (the sentence below REMoE eq. 10)
};

/// Of singular values in any order; NaN for an update that is zero.
RankMeasures rankMeasures(const at::Tensor& singularValues);

/// Singular values, largest first, float64 on the CPU. A low-rank update costs its rank, not its size: those
/// of R_B C R_A^T with B = Q_B R_B and A^T = Q_A R_A. Anything else is decomposed through the Gram matrix of
/// its shorter side.
at::Tensor singularValues(const adapter::Delta& delta);

/// The same for many low-rank updates at once (any ranks; equal shapes are batched). Orders of magnitude
/// faster than one by one.
std::vector<at::Tensor> singularValues(const std::vector<adapter::LowRankDelta>& deltas);

} // namespace rankscope::analysis

// SPDX-License-Identifier: Apache-2.0
// What an adapter says of itself against what it computes, for models and settings of any size. Errors are
// relative to the values compared, where those are greater than 1.
#pragma once

#include "tests/property/conformance/subject.h"

#include <string>
#include <vector>

namespace rankscope::conformance
{

/// delta() of one expert against expertForward() of the unit vectors. Of a curved update the delta is the
/// derivative at zero, which only very short vectors show: its error is not one of rounding.
double deltaError(const Subject& subject, const adapter::DeltaSite& site, std::int64_t expert);
/// What deltaError() may be.
double deltaTolerance(const adapter::DeltaSite& site);
/// meanDelta() under random weights against the experts' deltas, each times its weight.
double meanDeltaError(const Subject& subject, const adapter::DeltaSite& site);
/// A linear that routes for itself, or not at all: what it gives for random inputs against W x and the mean
/// delta of each token's own weights.
double mixtureError(const Subject& subject, const adapter::DeltaSite& site, const model::Pass& pass);

/// An MLP block's random input for each token of the pass.
at::Tensor blockInput(const Subject& subject, const model::Pass& pass, std::uint64_t seed);
/// A block with a router: what it gives, and with which weights [T, N].
struct BlockOutput {
    at::Tensor values;
    at::Tensor weights;
};
BlockOutput runBlock(const Subject& subject, const model::MlpBlock& block, const at::Tensor& x,
                     const model::Pass& pass);
/// One projection of the block for expert j alone.
at::Tensor projected(const Subject& subject, std::int64_t layer, const std::string& module,
                     std::int64_t expert, const at::Tensor& x);
/// silu(gate) * up
at::Tensor activated(const std::vector<at::Tensor>& in);
/// sum_j G_j FFN_j(x), or, unfused, the weighted sum after each projection.
at::Tensor blockByFormula(const Subject& subject, const model::MlpBlock& block, const at::Tensor& weights,
                          const at::Tensor& x, bool fused);

} // namespace rankscope::conformance

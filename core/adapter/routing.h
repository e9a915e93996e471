// SPDX-License-Identifier: Apache-2.0
// Routers and balance losses (families.md section 0), shared by every routed family.
#pragma once

#include "core/base/result.h"
#include "core/model/pass.h"
#include "kernels/low_rank/op.h"

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>

namespace rankscope::adapter
{

/// The weights G of one router for the tokens of one pass, in one of three forms:
/// soft (neither `choice` nor `kept`): weights [T, N], every expert is used;
/// fixed k (`choice`): weights [T, k] of the experts in choice [T, k];
/// varying (`kept`): weights [T, N], used where kept [T, N] is true.
struct Routing {
    at::Tensor probabilities; ///< [T, N] full softmax (or sigmoid scores); what the balance losses average
    at::Tensor choice;        ///< [T, k] int64, best first
    at::Tensor kept;          ///< [T, N] bool
    at::Tensor weights;

    [[nodiscard]] std::int64_t experts() const { return probabilities.size(-1); }
    /// Tokens that use each expert, [N] float64.
    [[nodiscard]] at::Tensor load() const;
    /// Tokens sorted by the experts they use. Not for soft routing.
    [[nodiscard]] kernels::ExpertGroups groups() const;
    /// The weight of each row of `groups`, [M, 1].
    [[nodiscard]] at::Tensor rowWeights(const kernels::ExpertGroups& groups) const;
    /// Weights of all experts, [T, N]; 0 where unused.
    [[nodiscard]] at::Tensor dense() const;
    /// The same without gradients.
    [[nodiscard]] Routing detached() const;
};

/// softmax(z); every expert is used. z [T, N].
Routing routeSoft(const at::Tensor& logits);
/// The k largest probabilities, divided by their sum. On ties the lower index wins.
Routing routeTopK(const at::Tensor& logits, std::int64_t k, bool renormalise = true);
/// The fewest experts whose probabilities together reach `share`, renormalised over them.
Routing routeTopP(const at::Tensor& logits, double share);
/// The k largest of z + bias [N]; softmax over the kept values. z [T, N / q]: each serves q neighbours.
Routing routeTopKSoftmaxBias(const at::Tensor& logits, const at::Tensor& bias, std::int64_t k);
/// The k largest of sigmoid(z) + bias, divided by their sum, times k; z may serve neighbours likewise.
Routing routeSigmoidTopK(const at::Tensor& logits, const at::Tensor& bias, std::int64_t k);
/// q = sigmoid(z), used where q >= threshold [T, 1] as it is: nothing is subtracted and nothing normalised,
/// so several experts or none may be used. Without a threshold every expert is, with its q. No gradient
/// reaches the threshold.
Routing routeSigmoidThreshold(const at::Tensor& logits, const at::Tensor& threshold);
/// Experts with p >= threshold [T, 1], weighted by p - threshold, divided by the sum of what is kept; all 0
/// if nothing is (AdaMoLE). Gradients reach the threshold through the weights.
Routing routeThreshold(const at::Tensor& logits, const at::Tensor& threshold);
/// Training: softmax((ln p + noise * g) / temperature) with g ~ Gumbel(0, 1), dense. Evaluation: the most
/// probable expert alone, with weight 1. The draws come from the default generator of the CPU, whose state a
/// checkpoint keeps.
Routing routeGumbel(const at::Tensor& logits, double temperature, double noise, bool training);
/// The k largest of score [T, r], each with weight 1: no router weights, the units' own outputs decide
/// (FlyLoRA).
Routing routeImplicitTopK(const at::Tensor& score, std::int64_t k);
/// One routing for each row (instance_soft): rows [B, N] repeated for the row's tokens, row [T].
Routing routeRows(const at::Tensor& rows, const at::Tensor& row);

/// Indices of the k largest of each row, best first; on ties the lower index wins, as the definition asks
/// for.
at::Tensor stableTopK(const at::Tensor& values, std::int64_t k);

/// "topK is 3, but there are only 2 experts; choose at most that many"
Status checkTopK(std::int64_t topK, std::int64_t experts);

/// Multiplies by U(1 - e, 1 + e) in training; e = 0: x itself.
at::Tensor jitter(const at::Tensor& x, double e, bool training);

/// N * sum_j f_j P_j with f_j = share of tokens that use j, P_j = mean probability (`f_topk` of MixLoRA and
/// AdaMoLE: value k at balance). load [N] and tokens may cover several routers whose `probabilities` [T, N]
/// are concatenated.
at::Tensor balanceLoss(const at::Tensor& probabilities, const at::Tensor& load);
/// The same with f_j = share of all choices (`f_norm` of MoLA and Switch): value 1 at balance, whatever k.
at::Tensor normalisedBalanceLoss(const at::Tensor& probabilities, const at::Tensor& load);
/// mean( logsumexp(z)^2 ) (Zoph et al. 2022, eq. 5).
at::Tensor zLoss(const at::Tensor& logits);

/// bias_j += rate * sign(mean(c) - c_j) (Wang et al. 2024, loss-free balancing).
void updateBalanceBias(at::Tensor bias, const at::Tensor& load, double rate);

/// What a router did in the last pass: for the live measures. Detached.
struct RoutingTrace {
    std::int64_t layer = 0;
    std::string router; ///< "mlp", "layer", or the module's name
    Routing routing;
};

} // namespace rankscope::adapter

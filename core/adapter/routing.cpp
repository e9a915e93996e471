// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/routing.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

namespace rankscope::adapter
{

at::Tensor stableTopK(const at::Tensor& values, std::int64_t k)
{
    const at::Tensor plain = values.detach();
    // at::topk leaves the order of ties open; a stable sort does not, but takes three times as long where
    // there are many to choose from (ranks as experts). Where no two of a row's k + 1 largest are alike,
    // there is nothing to leave open.
    if (plain.is_cpu() && plain.size(-1) > 16 && k < plain.size(-1)) {
        const auto [best, index] = at::topk(plain, k + 1, /*dim=*/-1, /*largest=*/true, /*sorted=*/true);
        if (!(best.narrow(-1, 0, k) == best.narrow(-1, 1, k)).any().item<bool>())
            return index.narrow(-1, 0, k).contiguous();
    }
    return std::get<1>(at::sort(plain, /*stable=*/true, /*dim=*/-1, /*descending=*/true))
        .narrow(-1, 0, k)
        .contiguous();
}

Status checkTopK(std::int64_t topK, std::int64_t experts)
{
    if (topK > experts)
        return fail("topK is " + std::to_string(topK) + ", but there are only " + std::to_string(experts) +
                    " experts; choose at most that many");
    return {};
}

at::Tensor Routing::load() const
{
    if (choice.defined())
        return kernels::countEach(choice, experts()).to(at::kDouble);
    if (kept.defined())
        return kept.sum(0).to(at::kDouble);
    return at::full({experts()}, static_cast<double>(probabilities.size(0)),
                    probabilities.options().dtype(at::kDouble).requires_grad(false));
}

kernels::ExpertGroups Routing::groups() const
{
    TORCH_CHECK(choice.defined() || kept.defined(),
                "soft routing uses every expert for every token: there are no groups");
    return choice.defined() ? kernels::groupByExpert(choice, experts()) : kernels::groupByMask(kept);
}

at::Tensor Routing::rowWeights(const kernels::ExpertGroups& groups) const
{
    return weights.reshape({-1}).index_select(0, groups.source).unsqueeze(1);
}

at::Tensor Routing::dense() const
{
    if (!choice.defined())
        return weights;
    return at::zeros_like(probabilities).scatter(-1, choice, weights);
}

Routing Routing::detached() const
{
    auto plain = [](const at::Tensor& t) { return t.defined() ? t.detach() : t; };
    return {plain(probabilities), choice, kept, plain(weights)};
}

Routing routeSoft(const at::Tensor& logits)
{
    const at::Tensor p = at::softmax(logits, -1);
    return {p, {}, {}, p};
}

Routing routeTopK(const at::Tensor& logits, std::int64_t k, bool renormalise)
{
    const at::Tensor p = at::softmax(logits, -1);
    const at::Tensor choice = stableTopK(logits, k);
    at::Tensor weights = p.gather(-1, choice);
    if (renormalise)
        weights = weights / weights.sum(-1, true);
    return {p, choice, {}, weights};
}

Routing routeTopP(const at::Tensor& logits, double share)
{
    const at::Tensor p = at::softmax(logits, -1);
    const at::Tensor order = stableTopK(logits, logits.size(-1));
    const at::Tensor sorted = p.gather(-1, order);
    // An expert is kept if those before it have not reached the share: the first is always kept. Only all of
    // them reach 1, whatever rounding makes of the sum.
    const at::Tensor before = sorted.detach().cumsum(-1) - sorted.detach();
    const at::Tensor needed = share < 1 ? before < share : at::ones_like(before, at::kBool);
    const at::Tensor kept = at::zeros_like(p, at::kBool).scatter_(-1, order, needed);
    const at::Tensor weights = p * kept.to(p.scalar_type());
    return {p, {}, kept, weights / weights.sum(-1, true)};
}

namespace
{

/// The score of each unit that has a bias, where neighbours share one.
at::Tensor ofUnits(const at::Tensor& scores, const at::Tensor& bias)
{
    const std::int64_t sharing = bias.size(-1) / scores.size(-1);
    return sharing == 1 ? scores : scores.repeat_interleave(sharing, -1);
}

} // namespace

Routing routeTopKSoftmaxBias(const at::Tensor& logits, const at::Tensor& bias, std::int64_t k)
{
    const at::Tensor z = ofUnits(logits, bias);
    const at::Tensor biased = z + bias;
    const at::Tensor choice = stableTopK(biased, k);
    return {at::softmax(z, -1), choice, {}, at::softmax(biased.gather(-1, choice), -1)};
}

Routing routeSigmoidTopK(const at::Tensor& logits, const at::Tensor& bias, std::int64_t k)
{
    // Shared after the sigmoid, which rounds equal numbers differently in different places: units of one
    // score must tie.
    const at::Tensor q = ofUnits(at::sigmoid(logits), bias) + bias;
    const at::Tensor choice = stableTopK(q, k);
    const at::Tensor kept = q.gather(-1, choice);
    return {q, choice, {}, kept / kept.sum(-1, true) * static_cast<double>(k)};
}

Routing routeSigmoidThreshold(const at::Tensor& logits, const at::Tensor& threshold)
{
    const at::Tensor q = at::sigmoid(logits);
    if (!threshold.defined())
        return {q, {}, {}, q};
    const at::Tensor kept = q.detach() >= threshold.detach();
    return {q, {}, kept, q * kept.to(q.scalar_type())};
}

Routing routeThreshold(const at::Tensor& logits, const at::Tensor& threshold)
{
    const at::Tensor p = at::softmax(logits, -1);
    const at::Tensor above = p - threshold;
    const at::Tensor kept = above.detach() >= 0;
    const at::Tensor weights = above * kept.to(p.scalar_type());
    const at::Tensor sum = weights.sum(-1, true);
    return {p, {}, kept, weights / at::where(sum == 0, at::ones_like(sum), sum)};
}

Routing routeGumbel(const at::Tensor& logits, double temperature, double noise, bool training)
{
    if (!training) {
        const at::Tensor p = at::softmax(logits, -1);
        const at::Tensor choice = stableTopK(logits, 1);
        return {p, choice, {}, at::ones_like(choice, p.options().requires_grad(false))};
    }
    at::Tensor scores = at::log_softmax(logits, -1);
    const at::Tensor p = scores.exp();
    if (noise != 0) {
        const at::Tensor g =
            at::empty(logits.sizes(), logits.options().device(at::kCPU)).exponential_().log().neg();
        scores = scores + noise * g.to(logits.device());
    }
    return {p, {}, {}, at::softmax(scores / temperature, -1)};
}

Routing routeImplicitTopK(const at::Tensor& score, std::int64_t k)
{
    const at::Tensor choice = stableTopK(score, k);
    return {score.detach(), choice, {}, at::ones_like(choice, score.options().requires_grad(false))};
}

Routing routeRows(const at::Tensor& rows, const at::Tensor& row)
{
    const at::Tensor weights = rows.index_select(0, row);
    return {weights, {}, {}, weights};
}

at::Tensor jitter(const at::Tensor& x, double e, bool training)
{
    if (!training || e == 0)
        return x;
    // Drawn on the CPU: its generator is the one that checkpoints keep.
    return x * at::empty(x.sizes(), x.options().device(at::kCPU)).uniform_(1 - e, 1 + e).to(x.device());
}

at::Tensor balanceLoss(const at::Tensor& probabilities, const at::Tensor& load)
{
    const at::Tensor share =
        (load / static_cast<double>(probabilities.size(0))).to(probabilities.scalar_type());
    return static_cast<double>(probabilities.size(-1)) * (share * probabilities.mean(0)).sum();
}

at::Tensor normalisedBalanceLoss(const at::Tensor& probabilities, const at::Tensor& load)
{
    const at::Tensor share = (load / load.sum()).to(probabilities.scalar_type());
    return static_cast<double>(probabilities.size(-1)) * (share * probabilities.mean(0)).sum();
}

at::Tensor zLoss(const at::Tensor& logits)
{
    return at::logsumexp(logits, -1).pow(2).mean();
}

void updateBalanceBias(at::Tensor bias, const at::Tensor& load, double rate)
{
    bias.add_((load.mean() - load).sign().to(bias.scalar_type()), rate);
}

} // namespace rankscope::adapter

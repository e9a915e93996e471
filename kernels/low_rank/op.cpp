// SPDX-License-Identifier: Apache-2.0
#include "kernels/low_rank/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

namespace rankscope::kernels
{
namespace
{

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Autograd functions take a tensor that may be missing as an optional, not as an undefined tensor.
std::optional<at::Tensor> optional(const at::Tensor& tensor)
{
    return tensor.defined() ? std::optional<at::Tensor>(tensor) : std::nullopt;
}

/// y += scale * h B^T, in the adapter's type, rounded once to y's.
void addProduct(at::Tensor y, const at::Tensor& h, const at::Tensor& bTransposed, double scale)
{
    if (y.scalar_type() == h.scalar_type())
        y.addmm_(h, bTransposed, 1, scale);
    else
        y.add_(at::mm(h, bTransposed), scale);
}

void keep(AutogradContext* context, const DropoutMask& drop)
{
    context->saved_data["p"] = drop.p;
    context->saved_data["seed"] = drop.seed;
}

DropoutMask kept(AutogradContext* context)
{
    return {context->saved_data["p"].toDouble(), context->saved_data["seed"].toInt()};
}

class LowRankLinear : public torch::autograd::Function<LowRankLinear>
{
public:
    // The bias comes last: needs_input_grad() counts only tensors that are there.
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                              const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias,
                              double scale, const DropoutMask& drop)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        at::Tensor y = at::linear(x, weight, bias);
        const at::Tensor h = at::mm(applyDropout(x.to(a.scalar_type()), drop), a.t());
        addProduct(y, h, b.t(), scale);
        context->save_for_backward({x, weight, a, b, h});
        context->saved_data["scale"] = scale;
        keep(context, drop);
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        const auto saved = context->get_saved_variables();
        const auto& [x, weight, a, b, h] = std::tie(saved[0], saved[1], saved[2], saved[3], saved[4]);
        const double scale = context->saved_data["scale"].toDouble();
        const DropoutMask drop = kept(context);
        const at::Tensor& gradient = gradients[0];
        const at::Tensor wide = gradient.to(a.scalar_type());
        const at::Tensor gradH = at::mm(wide, b).mul_(scale);
        at::Tensor gradX;
        if (context->needs_input_grad(0)) {
            gradX = at::mm(gradient, weight);
            if (drop.p == 0)
                addProduct(gradX, gradH, a, 1.0);
            else
                gradX.add_(applyDropout(at::mm(gradH, a), drop));
        }
        const at::Tensor gradA = at::mm(gradH.t(), applyDropout(x.to(a.scalar_type()), drop));
        const at::Tensor gradB = at::mm(wide.t(), h).mul_(scale);
        return {gradX, {}, gradA, gradB, {}, {}, {}};
    }
};

class LowRankDown : public torch::autograd::Function<LowRankDown>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& a,
                              const DropoutMask& drop)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({x, a});
        keep(context, drop);
        return at::mm(applyDropout(x.to(a.scalar_type()), drop), a.t());
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        const auto saved = context->get_saved_variables();
        const auto& [x, a] = std::tie(saved[0], saved[1]);
        const DropoutMask drop = kept(context);
        at::Tensor gradX;
        at::Tensor gradA;
        if (context->needs_input_grad(0))
            gradX = applyDropout(at::mm(gradients[0], a), drop).to(x.scalar_type());
        if (context->needs_input_grad(1))
            gradA = at::mm(gradients[0].t(), applyDropout(x.to(a.scalar_type()), drop));
        return {gradX, gradA, {}};
    }
};

class LowRankUp : public torch::autograd::Function<LowRankUp>
{
public:
    // The bias comes last: needs_input_grad() counts only tensors that are there.
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                              const at::Tensor& h, const at::Tensor& b, const std::optional<at::Tensor>& bias,
                              double scale, bool wide)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        at::Tensor y = at::linear(x, weight, bias);
        if (wide)
            y = y.to(h.scalar_type());
        addProduct(y, h, b.t(), scale);
        context->save_for_backward({weight, h, b});
        context->saved_data["scale"] = scale;
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        const auto saved = context->get_saved_variables();
        const auto& [weight, h, b] = std::tie(saved[0], saved[1], saved[2]);
        const double scale = context->saved_data["scale"].toDouble();
        const at::Tensor wide = gradients[0].to(b.scalar_type());
        at::Tensor gradX;
        at::Tensor gradH;
        at::Tensor gradB;
        if (context->needs_input_grad(0))
            gradX = at::mm(gradients[0].to(weight.scalar_type()), weight);
        if (context->needs_input_grad(2))
            gradH = at::mm(wide, b).mul_(scale);
        if (context->needs_input_grad(3))
            gradB = at::mm(wide.t(), h).mul_(scale);
        return {gradX, {}, gradH, gradB, {}, {}, {}};
    }
};

class GroupedLowRank : public torch::autograd::Function<GroupedLowRank>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& base, const at::Tensor& x,
                              const at::Tensor& a, const at::Tensor& b,
                              const std::vector<std::int64_t>& offsets, double scale, const DropoutMask& drop)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        at::Tensor y = base.clone();
        const at::Tensor seen = applyDropout(x.to(a.scalar_type()), drop);
        at::Tensor h = at::empty({x.size(0), a.size(1)}, a.options());
        for (std::size_t e = 0; e + 1 < offsets.size(); ++e) {
            const std::int64_t count = offsets[e + 1] - offsets[e];
            if (count == 0)
                continue;
            at::Tensor hidden = h.narrow(0, offsets[e], count);
            at::mm_out(hidden, seen.narrow(0, offsets[e], count), a[e].t());
            addProduct(y.narrow(0, offsets[e], count), hidden, b[e].t(), scale);
        }
        context->save_for_backward({x, a, b, h});
        context->saved_data["offsets"] = offsets;
        context->saved_data["scale"] = scale;
        keep(context, drop);
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        const auto saved = context->get_saved_variables();
        const auto& [x, a, b, h] = std::tie(saved[0], saved[1], saved[2], saved[3]);
        const auto offsets = context->saved_data["offsets"].toIntVector();
        const double scale = context->saved_data["scale"].toDouble();
        const DropoutMask drop = kept(context);
        const at::Tensor seen = applyDropout(x.to(a.scalar_type()), drop);
        const bool wantX = context->needs_input_grad(1);
        at::Tensor gradX = wantX ? at::empty_like(seen) : at::Tensor();
        at::Tensor gradA = at::zeros_like(a);
        at::Tensor gradB = at::zeros_like(b);
        for (std::size_t e = 0; e + 1 < offsets.size(); ++e) {
            const std::int64_t count = offsets[e + 1] - offsets[e];
            if (count == 0)
                continue;
            const at::Tensor wide = gradients[0].narrow(0, offsets[e], count).to(a.scalar_type());
            const at::Tensor gradH = at::mm(wide, b[e]).mul_(scale);
            gradA[e].copy_(at::mm(gradH.t(), seen.narrow(0, offsets[e], count)));
            gradB[e].copy_(at::mm(wide.t(), h.narrow(0, offsets[e], count)).mul_(scale));
            if (wantX) {
                at::Tensor part = gradX.narrow(0, offsets[e], count);
                at::mm_out(part, gradH, a[e]);
            }
        }
        if (wantX)
            gradX = applyDropout(gradX, drop).to(x.scalar_type());
        return {gradients[0], gradX, gradA, gradB, {}, {}, {}};
    }
};

class GatherTokens : public torch::autograd::Function<GatherTokens>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& token,
                              const std::optional<at::Tensor>& inverse)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({token, inverse.value_or(at::Tensor())});
        context->saved_data["tokens"] = x.size(0);
        return x.index_select(0, token);
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        const auto saved = context->get_saved_variables();
        return {sumRows(gradients[0], saved[0], saved[1], context->saved_data["tokens"].toInt()), {}, {}};
    }

    /// A fixed number of rows for each token is a gather and a sum; a varying one an indexed addition, row by
    /// row.
    static at::Tensor sumRows(const at::Tensor& y, const at::Tensor& token, const at::Tensor& inverse,
                              std::int64_t tokens)
    {
        if (!inverse.defined())
            return at::zeros({tokens, y.size(1)}, y.options()).index_add_(0, token, y);
        const std::int64_t choices = inverse.size(1);
        at::Tensor total = y.index_select(0, inverse.select(1, 0));
        for (std::int64_t choice = 1; choice < choices; ++choice)
            total.add_(y.index_select(0, inverse.select(1, choice)));
        return total;
    }
};

class ScatterTokens : public torch::autograd::Function<ScatterTokens>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& y, const at::Tensor& token,
                              const std::optional<at::Tensor>& inverse, std::int64_t tokens)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({token});
        return GatherTokens::sumRows(y, token, inverse.value_or(at::Tensor()), tokens);
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        return {gradients[0].index_select(0, context->get_saved_variables()[0]), {}, {}, {}};
    }
};

} // namespace

std::vector<std::int64_t> ExpertGroups::merged(std::int64_t groups) const
{
    std::vector<std::int64_t> result(static_cast<std::size_t>(groups) + 1, 0);
    for (std::int64_t e = 0; e < experts(); ++e)
        result[e * groups / experts() + 1] = offsets[e + 1];
    return result;
}

at::Tensor countEach(const at::Tensor& values, std::int64_t count)
{
    const at::Tensor flat = values.reshape({-1});
    if (flat.is_cpu())
        return at::bincount(flat, {}, count);
    return at::zeros({count}, flat.options()).scatter_add_(0, flat, at::ones_like(flat));
}

namespace
{

/// The rows of each expert end where its count says; the host waits for the device only here.
void setOffsets(ExpertGroups& groups, const at::Tensor& counts)
{
    const at::Tensor onHost = counts.cpu();
    groups.offsets.assign(static_cast<std::size_t>(counts.size(0)) + 1, 0);
    for (std::int64_t e = 0; e < counts.size(0); ++e)
        groups.offsets[e + 1] = groups.offsets[e] + onHost.const_data_ptr<std::int64_t>()[e];
}

/// A counting sort: stable, linear, and it gives the inverse on the way.
void sortOnCpu(ExpertGroups& groups, const at::Tensor& flat, std::int64_t choices)
{
    const auto* expert = flat.const_data_ptr<std::int64_t>();
    std::vector<std::int64_t> next(groups.offsets.begin(), groups.offsets.end() - 1);
    groups.token = at::empty_like(flat);
    groups.inverse = at::empty_like(flat);
    groups.source = at::empty_like(flat);
    auto* tokenOf = groups.token.mutable_data_ptr<std::int64_t>();
    auto* rowOf = groups.inverse.mutable_data_ptr<std::int64_t>();
    auto* sourceOf = groups.source.mutable_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < flat.size(0); ++i) {
        const std::int64_t row = next[expert[i]]++;
        tokenOf[row] = i / choices;
        rowOf[i] = row;
        sourceOf[row] = i;
    }
}

} // namespace

ExpertGroups groupByExpert(const at::Tensor& choice, std::int64_t experts)
{
    const std::int64_t choices = choice.size(1);
    const at::Tensor flat = choice.reshape({-1}).contiguous();
    ExpertGroups groups;
    groups.tokens = choice.size(0);
    setOffsets(groups, countEach(flat, experts));
    if (flat.is_cpu()) {
        sortOnCpu(groups, flat, choices);
    } else {
        groups.source = std::get<1>(at::sort(flat, /*stable=*/true, /*dim=*/0, /*descending=*/false));
        groups.token = groups.source.div(choices, "floor");
        groups.inverse =
            at::empty_like(flat).scatter_(0, groups.source, at::arange(flat.size(0), flat.options()));
    }
    groups.inverse = groups.inverse.view({groups.tokens, choices});
    return groups;
}

ExpertGroups groupByMask(const at::Tensor& kept)
{
    ExpertGroups groups;
    groups.tokens = kept.size(0);
    const at::Tensor pairs = kept.t().contiguous().nonzero(); // (expert, token), sorted by expert
    groups.token = pairs.select(1, 1).contiguous();
    groups.source = groups.token * kept.size(1) + pairs.select(1, 0);
    setOffsets(groups, kept.sum(0));
    return groups;
}

at::Tensor gatherTokens(const at::Tensor& x, const ExpertGroups& groups)
{
    TORCH_CHECK(x.dim() == 2 && x.size(0) == groups.tokens, "gather_tokens: one row of x for each token");
    return GatherTokens::apply(x, groups.token, optional(groups.inverse));
}

at::Tensor scatterTokens(const at::Tensor& y, const ExpertGroups& groups)
{
    TORCH_CHECK(y.dim() == 2 && y.size(0) == groups.token.size(0),
                "scatter_tokens: one row of y for each choice");
    return ScatterTokens::apply(y, groups.token, optional(groups.inverse), groups.tokens);
}

at::Tensor lowRankLinear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         const at::Tensor& a, const at::Tensor& b, double scale, const DropoutMask& drop)
{
    TORCH_CHECK(x.dim() == 2 && weight.dim() == 2 && a.dim() == 2 && b.dim() == 2 && a.size(0) == b.size(1) &&
                    a.size(1) == weight.size(1) && b.size(0) == weight.size(0) && x.size(1) == weight.size(1),
                "low_rank_linear: x [T, in], W [out, in], A [r, in], B [out, r]");
    TORCH_CHECK(!weight.requires_grad(), "low_rank_linear: the base weight is frozen");
    return LowRankLinear::apply(x, weight, a, b, optional(bias), scale, drop);
}

at::Tensor lowRankDown(const at::Tensor& x, const at::Tensor& a, const DropoutMask& drop)
{
    TORCH_CHECK(x.dim() == 2 && a.dim() == 2 && x.size(1) == a.size(1),
                "low_rank_down: x [T, in], A [r, in]");
    return LowRankDown::apply(x, a, drop);
}

at::Tensor lowRankUp(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                     const at::Tensor& h, const at::Tensor& b, double scale, bool wide)
{
    TORCH_CHECK(x.dim() == 2 && weight.dim() == 2 && h.dim() == 2 && b.dim() == 2 &&
                    x.size(1) == weight.size(1) && x.size(0) == h.size(0) && h.size(1) == b.size(1) &&
                    b.size(0) == weight.size(0),
                "low_rank_up: x [T, in], W [out, in], h [T, r], B [out, r]");
    TORCH_CHECK(!weight.requires_grad(), "low_rank_up: the base weight is frozen");
    return LowRankUp::apply(x, weight, h, b, optional(bias), scale, wide);
}

at::Tensor groupedLowRank(const at::Tensor& base, const at::Tensor& x, const at::Tensor& a,
                          const at::Tensor& b, const std::vector<std::int64_t>& offsets, double scale,
                          const DropoutMask& drop)
{
    TORCH_CHECK(a.dim() == 3 && b.dim() == 3 && a.size(0) == b.size(0) && a.size(1) == b.size(2) &&
                    a.size(2) == x.size(1) && b.size(1) == base.size(1) && base.size(0) == x.size(0),
                "grouped_low_rank: base [M, out], x [M, in], A [N, r, in], B [N, out, r]");
    TORCH_CHECK(static_cast<std::int64_t>(offsets.size()) == a.size(0) + 1 && offsets.front() == 0 &&
                    offsets.back() == x.size(0),
                "grouped_low_rank: offsets must run from 0 to the number of rows, one range for each expert");
    return GroupedLowRank::apply(base, x, a, b, offsets, scale, drop);
}

} // namespace rankscope::kernels

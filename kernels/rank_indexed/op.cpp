// SPDX-License-Identifier: Apache-2.0
// Three operators, each the gradient of another: with rows [r, d] (A, or B transposed), choice [T, k] and
// coefficients c [T, k],
//   rank_dots(x, rows, choice)[t, j] = x[t] . rows[choice[t, j]]
//   rank_sum(c, rows, choice)[t]     = sum_j c[t, j] rows[choice[t, j]]
//   rank_outer(c, x, choice, r)[q]   = sum of c[t, j] x[t] over the (t, j) with choice[t, j] = q
#include "kernels/rank_indexed/op.h"

#include "kernels/low_rank/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace rankscope::kernels
{
namespace
{

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor spread(const at::Tensor& c, const at::Tensor& choice, std::int64_t ranks)
{
    return at::zeros({c.size(0), ranks}, c.options()).scatter_add(1, choice, c);
}

at::Tensor rankDotsReference(const at::Tensor& x, const at::Tensor& rows, const at::Tensor& choice)
{
    return at::mm(x, rows.t()).gather(1, choice);
}

at::Tensor rankSumReference(const at::Tensor& c, const at::Tensor& rows, const at::Tensor& choice)
{
    return at::mm(spread(c, choice, rows.size(0)), rows);
}

at::Tensor rankOuterReference(const at::Tensor& c, const at::Tensor& x, const at::Tensor& choice,
                              std::int64_t ranks)
{
    return at::mm(spread(c, choice, ranks).t(), x);
}

at::Tensor rankDots(const at::Tensor& x, const at::Tensor& rows, const at::Tensor& choice)
{
    static const auto op = c10::Dispatcher::singleton()
                               .findSchemaOrThrow("rankscope::rank_dots", "")
                               .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&)>();
    return op.call(x.contiguous(), rows, choice);
}

at::Tensor rankSum(const at::Tensor& c, const at::Tensor& rows, const at::Tensor& choice)
{
    static const auto op = c10::Dispatcher::singleton()
                               .findSchemaOrThrow("rankscope::rank_sum", "")
                               .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&)>();
    return op.call(c.contiguous(), rows, choice);
}

at::Tensor rankOuter(const at::Tensor& c, const at::Tensor& x, const at::Tensor& choice, std::int64_t ranks)
{
    static const auto op =
        c10::Dispatcher::singleton()
            .findSchemaOrThrow("rankscope::rank_outer", "")
            .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, std::int64_t)>();
    return op.call(c.contiguous(), x.contiguous(), choice, ranks);
}

/// Reading rows one by one gives away what a matrix product gains by blocking: a factor of about four.
bool fewOfMany(const at::Tensor& choice, std::int64_t ranks)
{
    return choice.is_cpu() && 4 * choice.size(1) <= ranks;
}

class RankIndexedDown : public torch::autograd::Function<RankIndexedDown>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& a,
                              const at::Tensor& choice, const DropoutMask& drop)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({x, a, choice});
        context->saved_data["p"] = drop.p;
        context->saved_data["seed"] = drop.seed;
        return rankDots(applyDropout(x.to(a.scalar_type()), drop), a, choice);
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        const auto saved = context->get_saved_variables();
        const auto& [x, a, choice] = std::tie(saved[0], saved[1], saved[2]);
        const DropoutMask drop{context->saved_data["p"].toDouble(), context->saved_data["seed"].toInt()};
        at::Tensor gradX;
        at::Tensor gradA;
        if (context->needs_input_grad(0))
            gradX = applyDropout(rankSum(gradients[0], a, choice), drop).to(x.scalar_type());
        if (context->needs_input_grad(1))
            gradA = rankOuter(gradients[0], applyDropout(x.to(a.scalar_type()), drop), choice, a.size(0));
        return {gradX, gradA, {}, {}};
    }
};

class RankIndexedSum : public torch::autograd::Function<RankIndexedSum>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& h, const at::Tensor& b,
                              const at::Tensor& choice)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({h, b, choice});
        return rankSum(h, b.t().contiguous(), choice);
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        const auto saved = context->get_saved_variables();
        const auto& [h, b, choice] = std::tie(saved[0], saved[1], saved[2]);
        at::Tensor gradH;
        at::Tensor gradB;
        if (context->needs_input_grad(0))
            gradH = rankDots(gradients[0], b.t().contiguous(), choice);
        if (context->needs_input_grad(1))
            gradB = rankOuter(h, gradients[0], choice, b.size(1)).t();
        return {gradH, gradB, {}};
    }
};

} // namespace

at::Tensor rankIndexedDown(const at::Tensor& x, const at::Tensor& a, const at::Tensor& choice,
                           const DropoutMask& drop)
{
    TORCH_CHECK(x.dim() == 2 && a.dim() == 2 && choice.dim() == 2 && x.size(1) == a.size(1) &&
                    x.size(0) == choice.size(0) && choice.size(1) <= a.size(0),
                "rank_indexed_down: x [T, in], A [r, in], choice [T, k] with k <= r");
    if (!fewOfMany(choice, a.size(0)))
        return lowRankDown(x, a, drop).gather(1, choice);
    return RankIndexedDown::apply(x, a.contiguous(), choice.contiguous(), drop);
}

at::Tensor rankIndexedUp(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         const at::Tensor& h, const at::Tensor& b, const at::Tensor& choice, double scale)
{
    TORCH_CHECK(x.dim() == 2 && weight.dim() == 2 && h.dim() == 2 && b.dim() == 2 && choice.dim() == 2 &&
                    x.size(1) == weight.size(1) && x.size(0) == h.size(0) && h.sizes() == choice.sizes() &&
                    b.size(0) == weight.size(0) && choice.size(1) <= b.size(1),
                "rank_indexed_up: x [T, in], W [out, in], h and choice [T, k], B [out, r] with k <= r");
    TORCH_CHECK(!weight.requires_grad(), "rank_indexed_up: the base weight is frozen");
    if (!fewOfMany(choice, b.size(1)))
        return lowRankUp(x, weight, bias, spread(h, choice, b.size(1)), b, scale);
    const auto frozenBias = bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
    return at::linear(x, weight, frozenBias).add_(RankIndexedSum::apply(h * scale, b, choice.contiguous()));
}

TORCH_LIBRARY_FRAGMENT(rankscope, library)
{
    library.def("rank_dots(Tensor x, Tensor rows, Tensor choice) -> Tensor");
    library.def("rank_sum(Tensor c, Tensor rows, Tensor choice) -> Tensor");
    library.def("rank_outer(Tensor c, Tensor x, Tensor choice, int ranks) -> Tensor");
}

TORCH_LIBRARY_IMPL(rankscope, CompositeExplicitAutograd, library)
{
    library.impl("rank_dots", rankDotsReference);
    library.impl("rank_sum", rankSumReference);
    library.impl("rank_outer", rankOuterReference);
}

} // namespace rankscope::kernels

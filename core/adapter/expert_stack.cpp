// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/expert_stack.h"

#include "core/adapter/targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensordot.h>

namespace rankscope::adapter
{

ExpertStack::ExpertStack(ParameterStore& store, const checkpoint::LinearShape& shape,
                         const std::string& label, std::int64_t experts, std::int64_t rank)
    : ExpertStack(store, shape, label, experts, rank, Options{})
{
}

ExpertStack::ExpertStack(ParameterStore& store, const checkpoint::LinearShape& shape,
                         const std::string& label, std::int64_t experts, std::int64_t rank,
                         const Options& options)
    : m_a(store.add(tensorName(shape.path, label + "_A.weight"),
                    options.oneA ? std::vector<std::int64_t>{rank, shape.in}
                                 : std::vector<std::int64_t>{experts, rank, shape.in},
                    options.a)),
      m_b(store.add(tensorName(shape.path, label + "_B.weight"), {experts, shape.out, rank}, Init::zeros(),
                    options.bLearningRateFactor))
{
}

at::Tensor ExpertStack::down(const at::Tensor& x, const kernels::DropoutMask& drop) const
{
    return kernels::lowRankDown(x, m_a.flatten(0, -2), drop).view({x.size(0), -1, rank()});
}

at::Tensor ExpertStack::down(const at::Tensor& x, std::int64_t expert, const kernels::DropoutMask& drop) const
{
    return kernels::lowRankDown(x, expertA(expert), drop);
}

at::Tensor ExpertStack::up(const at::Tensor& x, const model::FrozenLinear& base, const at::Tensor& h,
                           double scale) const
{
    return kernels::lowRankUp(x, base.weight, base.bias, h.flatten(1), m_b.transpose(0, 1).flatten(1), scale);
}

at::Tensor ExpertStack::alone(const at::Tensor& x, const model::FrozenLinear& base, std::int64_t expert,
                              double scale) const
{
    return kernels::lowRankLinear(x, base.weight, base.bias, expertA(expert), m_b[expert], scale);
}

LowRankDelta ExpertStack::merged(const at::Tensor& weights, double scale) const
{
    const at::Tensor w = weights.detach().to(m_b.options().requires_grad(false));
    auto mix = [&](const at::Tensor& stack) { return at::tensordot(w, stack.detach(), {0}, {0}); };
    return {mix(m_b), m_a.dim() == 2 ? m_a.detach() : mix(m_a), {}, scale};
}

} // namespace rankscope::adapter

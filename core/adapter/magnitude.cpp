// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/magnitude.h"

#include "core/adapter/targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

namespace rankscope::adapter
{
Magnitude::Magnitude(ParameterStore& store, const model::FrozenLinear& base) : m_weight(base.weight)
{
    const auto options = at::TensorOptions(store.dtype()).device(store.device());
    m_initial =
        rowNorms(base.weight,
                 {at::empty({base.shape.out, 0}, options), at::empty({0, base.shape.in}, options), {}, 1});
    m_magnitude = store.add(tensorName(base.shape.path, "lora_magnitude_vector"), {base.shape.out},
                            Init::from(m_initial));
}

at::Tensor Magnitude::apply(const at::Tensor& v, const model::FrozenLinear& base,
                            const std::vector<at::Tensor>& trained,
                            const std::function<LowRankDelta()>& update)
{
    const at::Tensor& norm = m_norm.get(trained, [&] { return rowNorms(base.weight, update()); });
    at::Tensor y = v * rowScale(m_magnitude, norm);
    if (base.bias.defined())
        y = y + base.bias;
    return y.to(base.weight.scalar_type());
}

MagnitudeDelta Magnitude::delta(const LowRankDelta& update) const
{
    return {update, m_magnitude.detach(), m_weight};
}

at::Tensor Magnitude::drift() const
{
    const at::NoGradGuard guard;
    const at::Tensor moved = ((m_magnitude - m_initial).abs() / m_initial.clamp_min(1e-30)).to(at::kDouble);
    return at::where(m_initial > 0, moved, at::zeros_like(moved));
}

} // namespace rankscope::adapter

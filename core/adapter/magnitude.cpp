// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/magnitude.h"

#include "core/adapter/targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <algorithm>
#include <c10/core/GradMode.h>

namespace rankscope::adapter
{
namespace
{

constexpr std::int64_t blockElements = 1 << 19; ///< a block of rows stays in the processor's cache

/// m / norm; a row of zeros keeps its zeros.
at::Tensor outputScale(const at::Tensor& magnitude, const at::Tensor& norm)
{
    return magnitude / norm.clamp_min(1e-30);
}

} // namespace

at::Tensor rowNorms(const at::Tensor& weight, const LowRankDelta& update)
{
    const at::NoGradGuard guard;
    const at::Tensor down = update.down();
    const std::int64_t rows = weight.size(0);
    const std::int64_t step =
        std::max<std::int64_t>(1, blockElements / std::max<std::int64_t>(1, weight.size(1)));
    at::Tensor norms = at::empty({rows}, down.options());
    for (std::int64_t row = 0; row < rows; row += step) {
        const std::int64_t count = std::min(step, rows - row);
        const at::Tensor block = at::addmm(weight.narrow(0, row, count).to(down.scalar_type()),
                                           update.b.narrow(0, row, count), down, 1, update.scale);
        norms.narrow(0, row, count).copy_(at::linalg_vector_norm(block, 2, at::IntArrayRef{1}));
    }
    return norms;
}

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
    at::Tensor y = v.to(m_magnitude.scalar_type()) * outputScale(m_magnitude, norm);
    if (base.bias.defined())
        y = y + base.bias;
    return y.to(v.scalar_type());
}

Delta Magnitude::delta(const LowRankDelta& update) const
{
    const at::NoGradGuard guard;
    const at::Tensor scale = outputScale(m_magnitude, rowNorms(m_weight, update)).unsqueeze(1);
    const at::Tensor weight = m_weight.to(m_magnitude.scalar_type());
    return DenseDelta{at::addmm(weight, update.b, update.down(), 1, update.scale).mul_(scale).sub_(weight)};
}

at::Tensor Magnitude::drift() const
{
    const at::NoGradGuard guard;
    const at::Tensor moved = ((m_magnitude - m_initial).abs() / m_initial.clamp_min(1e-30)).to(at::kDouble);
    return at::where(m_initial > 0, moved, at::zeros_like(moved));
}

} // namespace rankscope::adapter

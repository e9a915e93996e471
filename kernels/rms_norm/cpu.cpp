// SPDX-License-Identifier: Apache-2.0
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <cmath>
#include <torch/library.h>
#include <vector>

namespace rankscope::kernels
{
namespace
{

/// Sixteen partial sums, so that the compiler can vectorise without changing the order of additions.
template <typename Real, typename Term>
Real sum(std::int64_t count, Term term)
{
    constexpr std::int64_t lanes = 16;
    Real partial[lanes] = {};
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        for (std::int64_t lane = 0; lane < lanes; ++lane)
            partial[lane] += term(i + lane);
    }
    Real total = 0;
    for (; i < count; ++i)
        total += term(i);
    for (const Real part : partial)
        total += part;
    return total;
}

std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& x, const at::Tensor& weight, double epsilon)
{
    const std::int64_t width = x.size(-1);
    const std::int64_t rows = width == 0 ? 0 : x.numel() / width;
    at::Tensor y = at::empty_like(x);
    at::Tensor scale =
        at::empty(x.sizes().slice(0, x.dim() - 1),
                  x.options().dtype(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat));
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rms_norm", [&] {
        using Real = at::opmath_type<scalar_t>;
        const auto* in = x.const_data_ptr<scalar_t>();
        const auto* w = weight.const_data_ptr<scalar_t>();
        auto* out = y.mutable_data_ptr<scalar_t>();
        auto* s = scale.mutable_data_ptr<Real>();
        at::parallel_for(0, rows, 16, [=](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) {
                const scalar_t* a = in + row * width;
                scalar_t* o = out + row * width;
                const Real square = sum<Real>(width, [a](std::int64_t i) {
                    const auto value = static_cast<Real>(a[i]);
                    return value * value;
                });
                const Real factor =
                    1 / std::sqrt(square / static_cast<Real>(width) + static_cast<Real>(epsilon));
                s[row] = factor;
                // Rounded to the storage type before the weight, as the reference implementations do.
                for (std::int64_t i = 0; i < width; ++i)
                    o[i] = static_cast<scalar_t>(
                        static_cast<Real>(static_cast<scalar_t>(static_cast<Real>(a[i]) * factor)) *
                        static_cast<Real>(w[i]));
            }
        });
    });
    return {y, scale};
}

at::Tensor backward(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight,
                    const at::Tensor& scale)
{
    const std::int64_t width = x.size(-1);
    const std::int64_t rows = width == 0 ? 0 : x.numel() / width;
    at::Tensor result = at::empty_like(x);
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rms_norm_backward", [&] {
        using Real = at::opmath_type<scalar_t>;
        const auto* d = gradient.const_data_ptr<scalar_t>();
        const auto* in = x.const_data_ptr<scalar_t>();
        const auto* w = weight.const_data_ptr<scalar_t>();
        const auto* s = scale.const_data_ptr<Real>();
        auto* out = result.mutable_data_ptr<scalar_t>();
        at::parallel_for(0, rows, 16, [=](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) {
                const scalar_t* g = d + row * width;
                const scalar_t* a = in + row * width;
                const Real factor = s[row];
                const Real dot = sum<Real>(width, [=](std::int64_t i) {
                    return static_cast<Real>(g[i]) * static_cast<Real>(w[i]) * static_cast<Real>(a[i]);
                });
                const Real mean = dot * factor * factor / static_cast<Real>(width);
                for (std::int64_t i = 0; i < width; ++i)
                    out[row * width + i] = static_cast<scalar_t>(
                        (static_cast<Real>(g[i]) * static_cast<Real>(w[i]) - static_cast<Real>(a[i]) * mean) *
                        factor);
            }
        });
    });
    return result;
}

} // namespace

TORCH_LIBRARY_IMPL(rankscope, CPU, library)
{
    library.impl("rms_norm", forward);
    library.impl("rms_norm_backward", backward);
}

} // namespace rankscope::kernels

// SPDX-License-Identifier: Apache-2.0
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <algorithm>
#include <cmath>
#include <torch/library.h>

namespace rankscope::kernels
{
namespace
{

constexpr std::int64_t block =
    256; // elements converted to the computing type at a time: stays in the first cache
constexpr std::int64_t grain = 1 << 14;

/// exp(-g), but never infinite: fast-math divides by an approximate reciprocal and a correction, which make
/// NaN of infinity. Beyond the limit the sigmoid is far below the type's rounding anyway.
template <typename Real>
inline Real expOfMinus(Real g)
{
    constexpr Real most = sizeof(Real) == sizeof(float) ? 40 : 80;
    return std::exp(std::min(-g, most));
}

template <typename Storage, typename Real>
void forwardRange(const Storage* gate, const Storage* up, Storage* out, std::int64_t begin, std::int64_t end)
{
    Real g[block];
    Real u[block];
    for (std::int64_t start = begin; start < end; start += block) {
        const std::int64_t count = std::min(block, end - start);
        for (std::int64_t i = 0; i < count; ++i) {
            g[i] = static_cast<Real>(gate[start + i]);
            u[i] = static_cast<Real>(up[start + i]);
        }
        for (std::int64_t i = 0; i < count; ++i)
            g[i] = g[i] / (1 + expOfMinus(g[i])) * u[i];
        for (std::int64_t i = 0; i < count; ++i)
            out[start + i] = static_cast<Storage>(g[i]);
    }
}

template <typename Storage, typename Real>
void backwardRange(const Storage* gradient, const Storage* gate, const Storage* up, Storage* gradGate,
                   Storage* gradUp, std::int64_t begin, std::int64_t end)
{
    Real d[block];
    Real g[block];
    Real u[block];
    for (std::int64_t start = begin; start < end; start += block) {
        const std::int64_t count = std::min(block, end - start);
        for (std::int64_t i = 0; i < count; ++i) {
            d[i] = static_cast<Real>(gradient[start + i]);
            g[i] = static_cast<Real>(gate[start + i]);
            u[i] = static_cast<Real>(up[start + i]);
        }
        for (std::int64_t i = 0; i < count; ++i) {
            const Real e = expOfMinus(g[i]);
            const Real s = 1 / (1 + e);
            const Real silu = g[i] * s;
            u[i] = d[i] * u[i] * (s + silu * (e * s)); // 1 - s is all rounding where s is near 1
            d[i] = d[i] * silu;
        }
        for (std::int64_t i = 0; i < count; ++i) {
            gradGate[start + i] = static_cast<Storage>(u[i]);
            gradUp[start + i] = static_cast<Storage>(d[i]);
        }
    }
}

at::Tensor forward(const at::Tensor& gate, const at::Tensor& up)
{
    at::Tensor out = at::empty_like(gate);
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, gate.scalar_type(), "swiglu", [&] {
        using Real = at::opmath_type<scalar_t>;
        const auto* g = gate.const_data_ptr<scalar_t>();
        const auto* u = up.const_data_ptr<scalar_t>();
        auto* o = out.mutable_data_ptr<scalar_t>();
        at::parallel_for(0, gate.numel(), grain, [=](std::int64_t begin, std::int64_t end) {
            forwardRange<scalar_t, Real>(g, u, o, begin, end);
        });
    });
    return out;
}

std::tuple<at::Tensor, at::Tensor> backward(const at::Tensor& gradient, const at::Tensor& gate,
                                            const at::Tensor& up)
{
    at::Tensor gradGate = at::empty_like(gate);
    at::Tensor gradUp = at::empty_like(gate);
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, gate.scalar_type(), "swiglu_backward", [&] {
        using Real = at::opmath_type<scalar_t>;
        const auto* d = gradient.const_data_ptr<scalar_t>();
        const auto* g = gate.const_data_ptr<scalar_t>();
        const auto* u = up.const_data_ptr<scalar_t>();
        auto* dg = gradGate.mutable_data_ptr<scalar_t>();
        auto* du = gradUp.mutable_data_ptr<scalar_t>();
        at::parallel_for(0, gate.numel(), grain, [=](std::int64_t begin, std::int64_t end) {
            backwardRange<scalar_t, Real>(d, g, u, dg, du, begin, end);
        });
    });
    return {gradGate, gradUp};
}

} // namespace

TORCH_LIBRARY_IMPL(rankscope, CPU, library)
{
    library.impl("swiglu", forward);
    library.impl("swiglu_backward", backward);
}

} // namespace rankscope::kernels

// SPDX-License-Identifier: Apache-2.0
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

namespace rankscope::kernels
{
namespace
{

at::Tensor forward(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine)
{
    at::Tensor y = at::empty_like(x);
    const std::int64_t tokens = x.size(0);
    const std::int64_t heads = x.size(1);
    const std::int64_t half = x.size(2) / 2;
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rotary", [&] {
        using Real = at::opmath_type<scalar_t>;
        const auto* in = x.const_data_ptr<scalar_t>();
        const auto* c = cosine.const_data_ptr<Real>();
        const auto* s = sine.const_data_ptr<Real>();
        auto* out = y.mutable_data_ptr<scalar_t>();
        at::parallel_for(0, tokens, 16, [=](std::int64_t begin, std::int64_t end) {
            for (std::int64_t token = begin; token < end; ++token) {
                const Real* ct = c + token * half;
                const Real* st = s + token * half;
                for (std::int64_t head = 0; head < heads; ++head) {
                    const scalar_t* a = in + (token * heads + head) * 2 * half;
                    scalar_t* o = out + (token * heads + head) * 2 * half;
                    for (std::int64_t i = 0; i < half; ++i) {
                        const auto first = static_cast<Real>(a[i]);
                        const auto second = static_cast<Real>(a[half + i]);
                        o[i] = static_cast<scalar_t>(first * ct[i] - second * st[i]);
                        o[half + i] = static_cast<scalar_t>(second * ct[i] + first * st[i]);
                    }
                }
            }
        });
    });
    return y;
}

} // namespace

TORCH_LIBRARY_IMPL(rankscope, CPU, library)
{
    library.impl("rotary", forward);
}

} // namespace rankscope::kernels

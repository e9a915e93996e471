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

constexpr std::int64_t grain = 1 << 14;

/// A 32-bit integer hash of place and seed ("lowbias32", C. Wellons 2018, with the seed entering twice).
inline std::uint32_t hash(std::uint32_t place, std::uint32_t low, std::uint32_t high)
{
    std::uint32_t h = place * 0x9E3779B9U + low;
    h ^= h >> 16;
    h *= 0x7FEB352DU;
    h ^= high;
    h ^= h >> 15;
    h *= 0x846CA68BU;
    h ^= h >> 16;
    return h;
}

template <typename Storage, typename Real>
void range(const Storage* x, Storage* y, std::uint32_t threshold, Real scale, std::uint32_t low,
           std::uint32_t high, std::int64_t begin, std::int64_t end)
{
    for (std::int64_t i = begin; i < end; ++i) {
        const Real factor = hash(static_cast<std::uint32_t>(i), low, high) >= threshold ? scale : Real(0);
        y[i] = static_cast<Storage>(static_cast<Real>(x[i]) * factor);
    }
}

at::Tensor forward(const at::Tensor& x, double p, std::int64_t seed)
{
    at::Tensor y = at::empty_like(x);
    const auto low = static_cast<std::uint32_t>(seed);
    const auto high = static_cast<std::uint32_t>(static_cast<std::uint64_t>(seed) >> 32);
    const auto threshold = static_cast<std::uint32_t>(p * 4294967296.0);
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "dropout", [&] {
        using Real = at::opmath_type<scalar_t>;
        const auto* in = x.const_data_ptr<scalar_t>();
        auto* out = y.mutable_data_ptr<scalar_t>();
        at::parallel_for(0, x.numel(), grain, [=](std::int64_t begin, std::int64_t end) {
            range<scalar_t, Real>(in, out, threshold, static_cast<Real>(1 / (1 - p)), low, high, begin, end);
        });
    });
    return y;
}

} // namespace

TORCH_LIBRARY_IMPL(rankscope, CPU, library)
{
    library.impl("dropout", forward);
}

} // namespace rankscope::kernels

// SPDX-License-Identifier: Apache-2.0
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <algorithm>
#include <array>
#include <torch/library.h>
#include <vector>

namespace rankscope::kernels
{
namespace
{

constexpr std::int64_t grainElements = 1 << 15; // read by a thread before another one is worth waking

std::int64_t grain(std::int64_t elementsEach)
{
    return std::max<std::int64_t>(1, grainElements / std::max<std::int64_t>(1, elementsEach));
}

template <typename Real>
Real dot(const Real* a, const Real* b, std::int64_t width)
{
    // Independent sums, so that neither the order of addition nor its latency stands in the way of vectors.
    constexpr std::int64_t lanes = 64 / sizeof(Real);
    std::array<Real, lanes> sums{};
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) {
        for (std::int64_t lane = 0; lane < lanes; ++lane)
            sums[lane] += a[i + lane] * b[i + lane];
    }
    Real total = 0;
    for (const Real sum : sums)
        total += sum;
    for (; i < width; ++i)
        total += a[i] * b[i];
    return total;
}

/// y = sum_n c[n] * rows[n], four rows at a time: y is read and written once for all of them.
template <typename Real, typename Coefficient, typename Row>
void sumRows(Real* y, std::int64_t width, std::int64_t count, Coefficient c, Row row)
{
    std::fill_n(y, width, Real(0));
    std::int64_t n = 0;
    for (; n + 4 <= count; n += 4) {
        const Real c0 = c(n), c1 = c(n + 1), c2 = c(n + 2), c3 = c(n + 3);
        const Real *r0 = row(n), *r1 = row(n + 1), *r2 = row(n + 2), *r3 = row(n + 3);
        for (std::int64_t i = 0; i < width; ++i)
            y[i] += c0 * r0[i] + c1 * r1[i] + c2 * r2[i] + c3 * r3[i];
    }
    for (; n < count; ++n) {
        const Real c0 = c(n);
        const Real* r0 = row(n);
        for (std::int64_t i = 0; i < width; ++i)
            y[i] += c0 * r0[i];
    }
}

const std::int64_t* checked(const at::Tensor& choice, std::int64_t ranks)
{
    const auto* rank = choice.const_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < choice.numel(); ++i)
        TORCH_CHECK_INDEX(rank[i] >= 0 && rank[i] < ranks, "rank ", rank[i], " of ", ranks);
    return rank;
}

at::Tensor rankDots(const at::Tensor& x, const at::Tensor& rows, const at::Tensor& choice)
{
    at::Tensor result = at::empty(choice.sizes(), x.options());
    const std::int64_t width = x.size(1);
    const std::int64_t k = choice.size(1);
    const auto* rank = checked(choice, rows.size(0));
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rank_dots", [&] {
        const auto* in = x.const_data_ptr<scalar_t>();
        const auto* row = rows.const_data_ptr<scalar_t>();
        auto* out = result.mutable_data_ptr<scalar_t>();
        at::parallel_for(0, x.size(0), grain(k * width), [=](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin * k; i < end * k; ++i)
                out[i] = dot(in + i / k * width, row + rank[i] * width, width);
        });
    });
    return result;
}

at::Tensor rankSum(const at::Tensor& c, const at::Tensor& rows, const at::Tensor& choice)
{
    const std::int64_t width = rows.size(1);
    const std::int64_t k = choice.size(1);
    at::Tensor result = at::empty({c.size(0), width}, c.options());
    const auto* rank = checked(choice, rows.size(0));
    AT_DISPATCH_FLOATING_TYPES(c.scalar_type(), "rank_sum", [&] {
        const auto* factor = c.const_data_ptr<scalar_t>();
        const auto* row = rows.const_data_ptr<scalar_t>();
        auto* out = result.mutable_data_ptr<scalar_t>();
        at::parallel_for(0, c.size(0), grain(k * width), [=](std::int64_t begin, std::int64_t end) {
            for (std::int64_t t = begin; t < end; ++t)
                sumRows(
                    out + t * width, width, k, [&](std::int64_t j) { return factor[t * k + j]; },
                    [&](std::int64_t j) { return row + rank[t * k + j] * width; });
        });
    });
    return result;
}

/// The places of each rank in choice, in the order of the tokens: a rank's sum is then one thread's, and the
/// same whatever their number.
struct Places {
    std::vector<std::int64_t> offsets; ///< [r + 1]
    std::vector<std::int64_t> place;   ///< [T k]

    Places(const std::int64_t* rank, std::int64_t count, std::int64_t ranks)
        : offsets(static_cast<std::size_t>(ranks) + 1, 0),
          place(static_cast<std::size_t>(count))
    {
        for (std::int64_t i = 0; i < count; ++i)
            ++offsets[rank[i] + 1];
        for (std::int64_t q = 0; q < ranks; ++q)
            offsets[q + 1] += offsets[q];
        std::vector<std::int64_t> next(offsets.begin(), offsets.end() - 1);
        for (std::int64_t i = 0; i < count; ++i)
            place[next[rank[i]]++] = i;
    }
};

at::Tensor rankOuter(const at::Tensor& c, const at::Tensor& x, const at::Tensor& choice, std::int64_t ranks)
{
    const std::int64_t width = x.size(1);
    const std::int64_t k = choice.size(1);
    at::Tensor result = at::empty({ranks, width}, x.options());
    const Places places(checked(choice, ranks), choice.numel(), ranks);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rank_outer", [&] {
        const auto* factor = c.const_data_ptr<scalar_t>();
        const auto* in = x.const_data_ptr<scalar_t>();
        auto* out = result.mutable_data_ptr<scalar_t>();
        const std::int64_t each = choice.numel() / std::max<std::int64_t>(1, ranks);
        at::parallel_for(0, ranks, grain(each * width), [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t q = begin; q < end; ++q) {
                const std::int64_t* place = places.place.data() + places.offsets[q];
                sumRows(
                    out + q * width, width, places.offsets[q + 1] - places.offsets[q],
                    [&](std::int64_t n) { return factor[place[n]]; },
                    [&](std::int64_t n) { return in + place[n] / k * width; });
            }
        });
    });
    return result;
}

} // namespace

TORCH_LIBRARY_IMPL(rankscope, CPU, library)
{
    library.impl("rank_dots", rankDots);
    library.impl("rank_sum", rankSum);
    library.impl("rank_outer", rankOuter);
}

} // namespace rankscope::kernels

// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/principal.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <algorithm>
#include <c10/core/GradMode.h>
#include <cmath>

namespace rankscope::adapter {
namespace {

constexpr std::int64_t oversampling = 8; ///< probes beyond the rank (Halko et al., section 4.2)

at::Tensor orthonormal(const at::Tensor& columns)
{
    return std::get<0>(at::linalg_qr(columns));
}

/// An orthonormal basis [out, k] of what `weight` does to k random vectors, sharpened by power iterations. Made
/// orthonormal after every product: otherwise the smaller directions would drown in the rounding of the largest.
at::Tensor randomRange(const at::Tensor& weight, std::int64_t k, std::int64_t iterations, std::uint64_t seed)
{
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    const at::Tensor probes =
        at::randn({weight.size(1), k}, generator, at::TensorOptions(at::kDouble)).to(weight.options());
    at::Tensor basis = orthonormal(at::mm(weight, probes));
    for (std::int64_t i = 0; i < iterations; ++i)
        basis = orthonormal(at::mm(weight, orthonormal(at::mm(weight.t(), basis))));
    return basis;
}

} // namespace

PrincipalOptions PrincipalOptions::read(const Settings& settings)
{
    return {settings.text("svd") == "exact", settings.integer("powerIterations")};
}

Status checkPrincipalRank(const std::vector<checkpoint::LinearShape>& linears, std::int64_t rank)
{
    for (const auto& shape : linears) {
        if (const std::int64_t most = std::min(shape.in, shape.out); rank > most)
            return fail("rank is " + std::to_string(rank) + ", but " + shape.module + " [" + std::to_string(shape.out) +
                        " x " + std::to_string(shape.in) + "] has only " + std::to_string(most) +
                        " singular values; choose a rank of at most that, or other targets");
    }
    return {};
}

LowRankDelta principalPair(const at::Tensor& weight, std::int64_t rank, double scale, const PrincipalOptions& options,
                           std::uint64_t seed)
{
    const at::NoGradGuard guard;
    const at::Tensor w = weight.scalar_type() == at::kDouble ? weight : weight.to(at::kFloat);
    const std::int64_t smaller = std::min(w.size(0), w.size(1));
    at::Tensor u;
    at::Tensor s;
    at::Tensor vt;
    if (options.exact) {
        std::tie(u, s, vt) = at::linalg_svd(w, /*full_matrices=*/false);
    } else {
        const at::Tensor basis =
            randomRange(w, std::min(rank + oversampling, smaller), options.powerIterations, seed);
        std::tie(u, s, vt) = at::linalg_svd(at::mm(basis.t(), w), /*full_matrices=*/false);
        u = at::mm(basis, u);
    }
    const at::Tensor root = (s.narrow(0, 0, rank) / scale).sqrt();
    return {u.narrow(1, 0, rank) * root, root.unsqueeze(1) * vt.narrow(0, 0, rank), {}, scale};
}

} // namespace rankscope::adapter

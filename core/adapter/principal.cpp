// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/principal.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <algorithm>
#include <c10/core/GradMode.h>
#include <cmath>

namespace rankscope::adapter
{
namespace
{

constexpr std::int64_t oversampling = 8; ///< probes beyond the rank (Halko et al., section 4.2)

/// The columns made orthonormal by the Cholesky factor of their inner products, twice, in float64: for a few
/// long columns this is matrix products, where a Householder QR waits for memory and, with several threads,
/// for itself.
at::Tensor orthonormal(const at::Tensor& columns)
{
    at::Tensor q = columns.to(at::kDouble);
    double worst = 0;
    for (int pass = 0; pass < 2; ++pass) {
        const auto [factor, info] = at::linalg_cholesky_ex(at::mm(q.t(), q));
        if (info.item<int>() != 0)
            return std::get<0>(at::linalg_qr(columns)); // columns that depend on one another
        worst = (factor.diagonal() - 1).abs().max().item<double>();
        q = at::linalg_solve_triangular(factor, q.t(), /*upper=*/false).t();
    }
    // The second pass finds them orthonormal but for rounding, unless the first could not tell some of them
    // apart.
    return worst < 0.1 ? q.to(columns.scalar_type()) : std::get<0>(at::linalg_qr(columns));
}

/// An orthonormal basis [out, k] of what `weight` does to k random vectors, sharpened by power iterations.
/// Made orthonormal after every step: otherwise the smaller directions would drown in the rounding of the
/// largest.
at::Tensor randomRange(const at::Tensor& weight, std::int64_t k, std::int64_t iterations, std::uint64_t seed)
{
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    const at::Tensor probes =
        at::randn({weight.size(1), k}, generator, at::TensorOptions(at::kDouble)).to(weight.options());
    at::Tensor basis = orthonormal(at::mm(weight, probes));
    const at::Tensor transposed = weight.t();
    std::int64_t done = 0;
    // One product W W^T pays for itself once the iterations would have cost more: then all but the last go
    // through it. The last goes through W, which mends what squaring lost.
    if (weight.size(0) < 2 * k * (iterations - 1)) {
        const at::Tensor square = at::mm(weight, transposed);
        for (; done + 1 < iterations; ++done)
            basis = orthonormal(at::mm(square, basis));
    }
    for (; done < iterations; ++done)
        basis = orthonormal(at::mm(weight, orthonormal(at::mm(transposed, basis))));
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
            return fail("rank is " + std::to_string(rank) + ", but " + shape.module + " [" +
                        std::to_string(shape.out) + " x " + std::to_string(shape.in) + "] has only " +
                        std::to_string(most) +
                        " singular values; choose a rank of at most that, or other targets");
    }
    return {};
}

LowRankDelta principalPair(const at::Tensor& weight, std::int64_t rank, double scale,
                           const PrincipalOptions& options, std::uint64_t seed)
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
        // On the smaller side: W^T has the same singular values with the vectors exchanged.
        const bool turned = w.size(0) > w.size(1);
        const at::Tensor wide = turned ? w.t().contiguous() : w;
        const at::Tensor basis =
            randomRange(wide, std::min(rank + oversampling, smaller), options.powerIterations, seed);
        // The SVD of the small core between an orthonormal basis on either side.
        const at::Tensor rows = at::mm(basis.t(), wide);
        const at::Tensor right = orthonormal(rows.t());
        std::tie(u, s, vt) = at::linalg_svd(at::mm(rows, right), /*full_matrices=*/false);
        u = at::mm(basis, u);
        vt = at::mm(vt, right.t());
        if (turned) {
            const at::Tensor left = vt.t();
            vt = u.t();
            u = left;
        }
    }
    const at::Tensor root = (s.narrow(0, 0, rank) / scale).sqrt();
    return {u.narrow(1, 0, rank) * root, root.unsqueeze(1) * vt.narrow(0, 0, rank), {}, scale};
}

} // namespace rankscope::adapter

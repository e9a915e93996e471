// SPDX-License-Identifier: Apache-2.0
#include "core/analysis/rank_measures.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/diag_embed.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

namespace rankscope::analysis
{
namespace
{

/// F [n, r, r] with F^T F = M^T M for every M [n, m, r]: the triangular factor of a thin QR up to a rotation,
/// which singular values do not see. Taken from the small Gram matrix in float64: its rounding (1e-8 of the
/// largest singular value) is below that of the float32 tensors themselves, and it is one batched product
/// instead of n decompositions.
at::Tensor gramFactor(const at::Tensor& tall)
{
    const at::Tensor gram = at::bmm(tall.transpose(1, 2), tall);
    const auto [values, vectors] = at::linalg_eigh(gram);
    return values.clamp_min(0).sqrt().unsqueeze(-1) * vectors.transpose(1, 2);
}

at::Tensor coreMatrix(const adapter::LowRankDelta& delta)
{
    const at::Tensor core = delta.core.to(at::kDouble);
    return core.dim() == 1 ? at::diag_embed(core) : core;
}

} // namespace

RankMeasures rankMeasures(const at::Tensor& singularValues)
{
    const at::Tensor s = singularValues.to(at::kCPU, at::kDouble).contiguous();
    const auto* value = s.const_data_ptr<double>();
    double sum = 0;
    double square = 0;
    double largest = 0;
    for (std::int64_t i = 0; i < s.numel(); ++i) {
        sum += value[i];
        square += value[i] * value[i];
        largest = std::max(largest, value[i]);
    }
    if (!(largest > 0)) {
        const double none = std::numeric_limits<double>::quiet_NaN();
        return {none, none, none};
    }
    double entropy = 0;
    for (std::int64_t i = 0; i < s.numel(); ++i) {
        if (value[i] > 0)
            entropy -= value[i] / sum * std::log(value[i] / sum);
    }
    return {std::exp(entropy), square / (largest * largest), sum / largest};
}

std::vector<at::Tensor> singularValues(const std::vector<adapter::LowRankDelta>& deltas)
{
    std::vector<at::Tensor> results(deltas.size());
    std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t, bool>, std::vector<std::size_t>> byShape;
    for (std::size_t i = 0; i < deltas.size(); ++i)
        byShape[{deltas[i].b.size(0), deltas[i].a.size(1), deltas[i].a.size(0), deltas[i].core.defined()}]
            .push_back(i);
    for (const auto& [shape, members] : byShape) {
        std::vector<at::Tensor> b;
        std::vector<at::Tensor> a;
        for (const std::size_t i : members) {
            b.push_back(deltas[i].b.detach());
            a.push_back(deltas[i].a.detach().t());
        }
        at::Tensor left = gramFactor(at::stack(b).to(at::kCPU, at::kDouble));
        const at::Tensor right = gramFactor(at::stack(a).to(at::kCPU, at::kDouble));
        if (deltas[members.front()].core.defined()) {
            std::vector<at::Tensor> cores;
            for (const std::size_t i : members)
                cores.push_back(coreMatrix(deltas[i]));
            left = at::bmm(left, at::stack(cores).to(at::kCPU));
        }
        const at::Tensor values = at::linalg_svdvals(at::bmm(left, right.transpose(1, 2)));
        for (std::size_t n = 0; n < members.size(); ++n)
            results[members[n]] = values[static_cast<std::int64_t>(n)] * std::abs(deltas[members[n]].scale);
    }
    return results;
}

at::Tensor singularValues(const adapter::Delta& delta)
{
    if (const auto* lowRank = std::get_if<adapter::LowRankDelta>(&delta))
        return singularValues(std::vector<adapter::LowRankDelta>{*lowRank}).front();
    // Through the Gram matrix of the shorter side, an order of magnitude cheaper than a dense SVD; see
    // gramFactor().
    const at::Tensor dense = adapter::denseDelta(delta).detach().to(at::kCPU, at::kDouble);
    const at::Tensor gram =
        dense.size(0) <= dense.size(1) ? at::matmul(dense, dense.t()) : at::matmul(dense.t(), dense);
    return at::linalg_eigvalsh(gram).clamp_min(0).sqrt().flip(0);
}

} // namespace rankscope::analysis

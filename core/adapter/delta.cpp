// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/delta.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <algorithm>

namespace rankscope::adapter
{
namespace
{

struct ToDense {
    at::Tensor operator()(const LowRankDelta& delta) const
    {
        return delta.scale * at::matmul(delta.b, delta.down());
    }
    at::Tensor operator()(const MpoDelta& delta) const
    {
        const at::Tensor expert = delta.expertMatrix();
        return delta.scale * (expert - delta.weight.to(expert.scalar_type()));
    }
    at::Tensor operator()(const DenseDelta& delta) const { return delta.matrix; }
};

} // namespace

at::Tensor LowRankDelta::down() const
{
    if (!core.defined())
        return a;
    return core.dim() == 1 ? core.unsqueeze(1) * a : at::matmul(core, a);
}

at::Tensor MpoDelta::expertMatrix() const
{
    const std::size_t centre = legs.centre();
    return kernels::mpoExpertMatrix(weight, leftBlock(cores, centre), rightBlock(cores, centre),
                                    leftBlock(initial, centre), rightBlock(initial, centre),
                                    legs.grouping(transposed));
}

Delta mixDeltas(const std::vector<Delta>& deltas, const at::Tensor& weights)
{
    const at::Tensor shares = weights.to(at::kCPU, at::kDouble).contiguous();
    const auto* share = shares.const_data_ptr<double>();
    const bool lowRank = std::all_of(deltas.begin(), deltas.end(), [](const Delta& delta) {
        return std::holds_alternative<LowRankDelta>(delta);
    });
    if (!lowRank) {
        at::Tensor sum;
        for (std::size_t j = 0; j < deltas.size(); ++j) {
            const at::Tensor part = denseDelta(deltas[j]) * share[j];
            sum = sum.defined() ? sum.add_(part) : part;
        }
        return DenseDelta{sum};
    }
    std::vector<at::Tensor> b;
    std::vector<at::Tensor> a;
    for (std::size_t j = 0; j < deltas.size(); ++j) {
        const auto& delta = std::get<LowRankDelta>(deltas[j]);
        b.push_back(delta.b * (delta.scale * share[j]));
        a.push_back(delta.down());
    }
    return LowRankDelta{at::cat(b, 1), at::cat(a, 0), {}, 1.0};
}

at::Tensor denseDelta(const Delta& delta)
{
    return std::visit(ToDense{}, delta);
}

} // namespace rankscope::adapter

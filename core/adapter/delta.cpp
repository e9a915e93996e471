// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/delta.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <algorithm>
#include <c10/core/GradMode.h>

namespace rankscope::adapter
{
namespace
{

constexpr std::int64_t blockElements = 1 << 19; ///< a block of rows stays in the processor's cache

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
    at::Tensor operator()(const MagnitudeDelta& delta) const
    {
        const LowRankDelta& update = delta.update;
        const at::Tensor scale = rowScale(delta.magnitude, rowNorms(delta.weight, update)).unsqueeze(1);
        const at::Tensor weight = delta.weight.to(delta.magnitude.scalar_type());
        return at::addmm(weight, update.b, update.down(), 1, update.scale).mul_(scale).sub_(weight);
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
    return kernels::mpoExpertMatrices(weight, leftBlock(cores, centre).unsqueeze(0),
                                      rightBlock(cores, centre).unsqueeze(0), leftBlock(initial, centre),
                                      rightBlock(initial, centre), legs.grouping(transposed))
        .squeeze(0);
}

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

at::Tensor rowScale(const at::Tensor& magnitude, const at::Tensor& norm)
{
    return magnitude / norm.clamp_min(1e-30);
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

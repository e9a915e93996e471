// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/delta.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>

namespace rankscope::adapter {
namespace {

struct ToDense {
    at::Tensor operator()(const LowRankDelta& delta) const
    {
        at::Tensor a = delta.a;
        if (delta.core.defined())
            a = delta.core.dim() == 1 ? delta.core.unsqueeze(1) * a : at::matmul(delta.core, a);
        return delta.scale * at::matmul(delta.b, a);
    }
    at::Tensor operator()(const MpoDelta& delta) const
    {
        const at::Tensor expert = delta.expertMatrix();
        return delta.scale * (expert - delta.weight.to(expert.scalar_type()));
    }
    at::Tensor operator()(const DenseDelta& delta) const { return delta.matrix; }
};

} // namespace

at::Tensor MpoDelta::expertMatrix() const
{
    const std::size_t centre = legs.centre();
    return kernels::mpoExpertMatrix(weight, leftBlock(cores, centre), rightBlock(cores, centre),
                                    leftBlock(initial, centre), rightBlock(initial, centre), legs.grouping(transposed));
}

at::Tensor denseDelta(const Delta& delta)
{
    return std::visit(ToDense{}, delta);
}

} // namespace rankscope::adapter

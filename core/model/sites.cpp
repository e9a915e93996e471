// SPDX-License-Identifier: Apache-2.0
#include "core/model/sites.h"

#include "kernels/swiglu/op.h"

#include <ATen/ops/linear.h>

namespace rankscope::model
{

at::Tensor FrozenLinear::forward(const at::Tensor& x) const
{
    return at::linear(x, weight, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt);
}

at::Tensor MlpBlock::activate(const std::vector<at::Tensor>& projected)
{
    if (projected.size() == 2)
        return kernels::swiglu(projected[0], projected[1]);
    const auto halves = projected[0].chunk(2, -1);
    return kernels::swiglu(halves[0].contiguous(), halves[1].contiguous());
}

at::Tensor MlpBlock::forwardLinears(const at::Tensor& x, const Pass& pass) const
{
    std::vector<at::Tensor> projected;
    for (const auto& input : inputs)
        projected.push_back(input.forward(x, pass));
    return down.forward(activate(projected), pass);
}

at::Tensor MlpBlock::forward(const at::Tensor& x, const Pass& pass) const
{
    return adapter && !pass.bare ? adapter->forward(x, *this, pass) : forwardLinears(x, pass);
}

} // namespace rankscope::model

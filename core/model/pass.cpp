// SPDX-License-Identifier: Apache-2.0
#include "core/model/pass.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

namespace rankscope::model
{

at::Tensor Pass::rowOfToken() const
{
    at::Tensor row = at::empty({tokens()}, at::kLong);
    auto* out = row.mutable_data_ptr<std::int64_t>();
    for (std::int64_t b = 0; b < rows(); ++b)
        std::fill(out + starts[b], out + starts[b + 1], b);
    return row.to(ids.device());
}

at::Tensor Pass::taskOfToken() const
{
    at::Tensor task = at::empty({tokens()}, at::kLong);
    auto* out = task.mutable_data_ptr<std::int64_t>();
    for (std::int64_t b = 0; b < rows(); ++b)
        std::fill(out + starts[b], out + starts[b + 1], tasks.empty() ? -1 : tasks[b]);
    return task.to(ids.device());
}

Pass makePass(const std::vector<std::vector<std::int32_t>>& rows, bool training, at::Device device)
{
    Pass pass;
    pass.training = training;
    pass.starts.push_back(0);
    for (const auto& row : rows)
        pass.starts.push_back(pass.starts.back() + static_cast<std::int64_t>(row.size()));
    at::Tensor ids = at::empty({pass.tokens()}, at::kLong);
    auto* out = ids.mutable_data_ptr<std::int64_t>();
    pass.positions.reserve(static_cast<std::size_t>(pass.tokens()));
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            *out++ = row[i];
            pass.positions.push_back(static_cast<std::int64_t>(i));
        }
    }
    pass.ids = ids.to(device);
    return pass;
}

} // namespace rankscope::model

// SPDX-License-Identifier: Apache-2.0
#include "core/model/pass.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <algorithm>
#include <numeric>

namespace rankscope::model
{

const at::Tensor& Pass::OfTokens::get(const Pass& pass, std::vector<std::int64_t> rows)
{
    if (values.defined() && starts == pass.starts && ofRows == rows && values.device() == pass.ids.device())
        return values;
    at::Tensor made = at::empty({pass.tokens()}, at::kLong);
    auto* out = made.mutable_data_ptr<std::int64_t>();
    for (std::int64_t b = 0; b < pass.rows(); ++b)
        std::fill(out + pass.starts[b], out + pass.starts[b + 1], rows[b]);
    values = made.to(pass.ids.device());
    starts = pass.starts;
    ofRows = std::move(rows);
    return values;
}

at::Tensor Pass::rowOfToken() const
{
    std::vector<std::int64_t> rows(static_cast<std::size_t>(this->rows()));
    std::iota(rows.begin(), rows.end(), 0);
    return m_row.get(*this, std::move(rows));
}

at::Tensor Pass::taskOfToken() const
{
    return m_task.get(*this, tasks.empty() ? std::vector<std::int64_t>(static_cast<std::size_t>(rows()), -1)
                                           : tasks);
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

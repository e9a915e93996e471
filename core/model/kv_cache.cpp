// SPDX-License-Identifier: Apache-2.0
#include "core/model/kv_cache.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

namespace rankscope::model
{

KvCache::KvCache(std::int64_t layers, std::int64_t rows, std::int64_t capacity, std::int64_t kvHeads,
                 std::int64_t headDim, at::ScalarType dtype, at::Device device)
    : m_lengths(static_cast<std::size_t>(rows), 0)
{
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        m_keys.push_back(
            at::zeros({rows, kvHeads, capacity, headDim}, at::TensorOptions(dtype).device(device)));
        m_values.push_back(
            at::zeros({rows, kvHeads, capacity, headDim}, at::TensorOptions(dtype).device(device)));
    }
}

void KvCache::store(std::int64_t layer, const Pass& pass, const at::Tensor& keys, const at::Tensor& values)
{
    for (std::int64_t row = 0; row < pass.rows(); ++row) {
        const std::int64_t count = pass.starts[row + 1] - pass.starts[row];
        const std::int64_t held = m_lengths[row];
        m_keys[layer][row]
            .narrow(1, held, count)
            .copy_(keys.narrow(0, pass.starts[row], count).transpose(0, 1));
        m_values[layer][row]
            .narrow(1, held, count)
            .copy_(values.narrow(0, pass.starts[row], count).transpose(0, 1));
    }
}

const at::Tensor& KvCache::lengthsOnDevice() const
{
    if (!m_lengthsOnDevice.defined())
        m_lengthsOnDevice = at::tensor(m_lengths, at::kLong).to(m_keys.front().device());
    return m_lengthsOnDevice;
}

void KvCache::advance(const Pass& pass)
{
    m_lengthsOnDevice.reset();
    for (std::int64_t row = 0; row < pass.rows(); ++row)
        m_lengths[row] += pass.starts[row + 1] - pass.starts[row];
}

void KvCache::select(const std::vector<std::int64_t>& rows)
{
    const at::Tensor index = at::tensor(rows, at::kLong).to(m_keys.front().device());
    for (auto& keys : m_keys)
        keys = keys.index_select(0, index);
    for (auto& values : m_values)
        values = values.index_select(0, index);
    std::vector<std::int64_t> lengths;
    for (const std::int64_t row : rows)
        lengths.push_back(m_lengths[row]);
    m_lengths = std::move(lengths);
    m_lengthsOnDevice.reset();
    for (auto& [owner, state] : adapterState) {
        if (state.defined())
            state = state.index_select(0, index);
    }
}

} // namespace rankscope::model

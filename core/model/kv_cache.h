// SPDX-License-Identifier: Apache-2.0
// Keys and values of the tokens seen so far, for decoding several rows of different length together.
#pragma once

#include "core/model/pass.h"

#include <ATen/core/Tensor.h>
#include <unordered_map>
#include <vector>

namespace rankscope::model
{

class KvCache
{
public:
    /// Room for `rows` rows of up to `capacity` tokens each.
    KvCache(std::int64_t layers, std::int64_t rows, std::int64_t capacity, std::int64_t kvHeads,
            std::int64_t headDim, at::ScalarType dtype, at::Device device);

    /// Tokens held of each row. Advanced by advance(), once a pass has gone through all layers.
    [[nodiscard]] const std::vector<std::int64_t>& lengths() const { return m_lengths; }
    /// The same [rows] int64 on the device, copied once for all layers.
    [[nodiscard]] const at::Tensor& lengthsOnDevice() const;
    /// Stores keys and values [T, kvHeads, headDim] of the pass's tokens behind those held.
    void store(std::int64_t layer, const Pass& pass, const at::Tensor& keys, const at::Tensor& values);
    /// [rows, kvHeads, capacity, headDim]
    [[nodiscard]] const at::Tensor& keys(std::int64_t layer) const { return m_keys[layer]; }
    [[nodiscard]] const at::Tensor& values(std::int64_t layer) const { return m_values[layer]; }
    void advance(const Pass& pass);
    /// Keeps only these rows, in this order.
    void select(const std::vector<std::int64_t>& rows);

    /// What an adapter wants to remember of each row between the passes of one decoding (SMEAR's pooled
    /// routing, what each of Switch's experts has taken).
    std::unordered_map<const void*, at::Tensor> adapterState;

private:
    std::vector<at::Tensor> m_keys;
    std::vector<at::Tensor> m_values;
    std::vector<std::int64_t> m_lengths;
    mutable at::Tensor m_lengthsOnDevice; ///< undefined: not as m_lengths are now
};

} // namespace rankscope::model

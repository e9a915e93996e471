// SPDX-License-Identifier: Apache-2.0
// The tokens of one forward pass. Rows are laid end to end: there is no padding, so no layer, router or loss
// can ever see a token that is not there.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>
#include <vector>

namespace rankscope::model
{

class KvCache;

/// Rows of token ids, flattened. T tokens in B rows.
struct Pass {
    at::Tensor ids;                   ///< [T] int64
    std::vector<std::int64_t> starts; ///< [B + 1]: row b is tokens starts[b] .. starts[b + 1]
    std::vector<std::int64_t>
        positions;                   ///< [T]: of each token in its own row (after what a cache already holds)
    std::vector<std::int64_t> tasks; ///< [B]: task of each row; -1: none
    std::vector<std::int64_t>
        promptLengths;        ///< [B]: tokens of the row that belong to its prompt; empty: unknown
                              ///< (while decoding: all of the first pass, which holds the whole prompt)
    bool training = false;    ///< dropout, jitter and balance updates happen only in training
    KvCache* cache = nullptr; ///< keys and values of earlier tokens, while decoding
    bool bare = false; ///< as if no adapter stood on the model; a weight that one has replaced stays so

    [[nodiscard]] std::int64_t rows() const { return static_cast<std::int64_t>(starts.size()) - 1; }
    [[nodiscard]] std::int64_t tokens() const { return starts.empty() ? 0 : starts.back(); }
    /// [T] int64, the row of each token.
    [[nodiscard]] at::Tensor rowOfToken() const;
    /// [T] int64, the task of each token.
    [[nodiscard]] at::Tensor taskOfToken() const;

private:
    /// A number for each row, repeated for the row's tokens on the device of the ids. Every linear may ask
    /// for it, and a copy makes the host wait for a GPU: it is made once.
    struct OfTokens {
        std::vector<std::int64_t> starts;
        std::vector<std::int64_t> ofRows;
        at::Tensor values;

        const at::Tensor& get(const Pass& pass, std::vector<std::int64_t> rows);
    };
    mutable OfTokens m_row;
    mutable OfTokens m_task;
};

/// Rows as a pass, on the device of the model.
Pass makePass(const std::vector<std::vector<std::int32_t>>& rows, bool training,
              at::Device device = at::kCPU);

} // namespace rankscope::model

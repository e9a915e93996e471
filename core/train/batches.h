// SPDX-License-Identifier: Apache-2.0
// Which rows make up which batch: a pure function of lengths, batch size and seed, so that a resumed run sees
// the same.
#pragma once

#include <cstdint>
#include <vector>

namespace rankscope::train
{

class BatchOrder
{
public:
    /// `lengths`: tokens of each row.
    BatchOrder(std::vector<std::int64_t> lengths, std::int64_t batchSize, std::uint64_t seed);

    /// Batches of one epoch; the last one may be smaller.
    [[nodiscard]] std::int64_t batchesPerEpoch() const;
    /// Row indices of batch `index` (counted over all epochs), sorted by length. Every epoch has every row
    /// once, in an order of its own; rows of like length are put together within windows of several batches,
    /// so that batches stay mixed and attention still runs on few distinct lengths.
    [[nodiscard]] std::vector<std::int64_t> batch(std::int64_t index) const;

private:
    void arrange(std::int64_t epoch) const;

    std::vector<std::int64_t> m_lengths;
    std::int64_t m_batchSize;
    std::uint64_t m_seed;
    mutable std::int64_t m_epoch = -1; ///< the epoch that m_order holds
    mutable std::vector<std::vector<std::int64_t>> m_order;
};

} // namespace rankscope::train

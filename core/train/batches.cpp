// SPDX-License-Identifier: Apache-2.0
#include "core/train/batches.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace rankscope::train
{
namespace
{

constexpr std::int64_t window = 8; ///< batches within which rows are sorted by length

/// Fisher-Yates with a defined draw: std::shuffle may differ between standard libraries.
template <typename T>
void shuffle(std::vector<T>& items, std::mt19937_64& random)
{
    for (std::size_t i = items.size(); i > 1; --i)
        std::swap(items[i - 1], items[static_cast<std::size_t>(random() % i)]);
}

} // namespace

BatchOrder::BatchOrder(std::vector<std::int64_t> lengths, std::int64_t batchSize, std::uint64_t seed)
    : m_lengths(std::move(lengths)),
      m_batchSize(batchSize),
      m_seed(seed)
{
}

std::int64_t BatchOrder::batchesPerEpoch() const
{
    return (static_cast<std::int64_t>(m_lengths.size()) + m_batchSize - 1) / m_batchSize;
}

void BatchOrder::arrange(std::int64_t epoch) const
{
    std::mt19937_64 random(m_seed * 0x9E3779B97F4A7C15ULL + static_cast<std::uint64_t>(epoch));
    std::vector<std::int64_t> rows(m_lengths.size());
    std::iota(rows.begin(), rows.end(), 0);
    shuffle(rows, random);
    m_order.clear();
    const auto shorter = [this](std::int64_t a, std::int64_t b) { return m_lengths[a] < m_lengths[b]; };
    const auto span = static_cast<std::size_t>(window * m_batchSize);
    for (std::size_t start = 0; start < rows.size(); start += span) {
        const std::size_t end = std::min(rows.size(), start + span);
        std::stable_sort(rows.begin() + static_cast<std::ptrdiff_t>(start),
                         rows.begin() + static_cast<std::ptrdiff_t>(end), shorter);
        for (std::size_t first = start; first < end; first += static_cast<std::size_t>(m_batchSize)) {
            const std::size_t last = std::min(end, first + static_cast<std::size_t>(m_batchSize));
            m_order.emplace_back(rows.begin() + static_cast<std::ptrdiff_t>(first),
                                 rows.begin() + static_cast<std::ptrdiff_t>(last));
        }
    }
    shuffle(m_order, random);
    m_epoch = epoch;
}

std::vector<std::int64_t> BatchOrder::batch(std::int64_t index) const
{
    const std::int64_t epoch = index / batchesPerEpoch();
    if (epoch != m_epoch)
        arrange(epoch);
    return m_order[static_cast<std::size_t>(index % batchesPerEpoch())];
}

} // namespace rankscope::train

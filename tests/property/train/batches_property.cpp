// SPDX-License-Identifier: Apache-2.0
// Whatever the rows: each epoch has every row once, batches are sorted by length, and a resumed run sees the
// same.
#include "core/train/batches.h"

#include <algorithm>
#include <rapidcheck.h>

namespace
{

using rankscope::train::BatchOrder;

struct Rows {
    std::vector<std::int64_t> lengths;
    std::int64_t batchSize = 1;
    std::uint64_t seed = 0;
};

Rows anyRows()
{
    const auto count = *rc::gen::inRange<std::size_t>(1, 200);
    return {*rc::gen::container<std::vector<std::int64_t>>(count, rc::gen::inRange<std::int64_t>(1, 40)),
            *rc::gen::inRange<std::int64_t>(1, 24), *rc::gen::arbitrary<std::uint64_t>()};
}

std::vector<std::int64_t> epochOf(const BatchOrder& order, std::int64_t epoch)
{
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < order.batchesPerEpoch(); ++i) {
        for (const std::int64_t row : order.batch(epoch * order.batchesPerEpoch() + i))
            rows.push_back(row);
    }
    return rows;
}

} // namespace

int main()
{
    bool passed = true;
    passed &= rc::check("every epoch has every row once, in batches of at most the size asked for", [] {
        const Rows rows = anyRows();
        const auto count = static_cast<std::int64_t>(rows.lengths.size());
        const BatchOrder order(rows.lengths, rows.batchSize, rows.seed);
        RC_ASSERT(order.batchesPerEpoch() == (count + rows.batchSize - 1) / rows.batchSize);
        const auto epoch = *rc::gen::inRange<std::int64_t>(0, 5);
        std::int64_t smaller = 0;
        for (std::int64_t i = 0; i < order.batchesPerEpoch(); ++i) {
            const auto size =
                static_cast<std::int64_t>(order.batch(epoch * order.batchesPerEpoch() + i).size());
            RC_ASSERT(size >= 1 && size <= rows.batchSize);
            smaller += size < rows.batchSize ? 1 : 0;
        }
        RC_ASSERT(smaller == (count % rows.batchSize == 0 ? 0 : 1));
        auto seen = epochOf(order, epoch);
        std::sort(seen.begin(), seen.end());
        for (std::int64_t i = 0; i < count; ++i)
            RC_ASSERT(seen[static_cast<std::size_t>(i)] == i);
    });
    passed &= rc::check("a batch is sorted by length", [] {
        const Rows rows = anyRows();
        const BatchOrder order(rows.lengths, rows.batchSize, rows.seed);
        for (std::int64_t i = 0; i < order.batchesPerEpoch(); ++i) {
            const auto batch = order.batch(i);
            RC_ASSERT(std::is_sorted(batch.begin(), batch.end(), [&](std::int64_t a, std::int64_t b) {
                return rows.lengths[static_cast<std::size_t>(a)] < rows.lengths[static_cast<std::size_t>(b)];
            }));
        }
    });
    passed &= rc::check("a batch depends on its index alone, not on what was asked before", [] {
        const Rows rows = anyRows();
        const BatchOrder order(rows.lengths, rows.batchSize, rows.seed);
        const auto indices =
            *rc::gen::container<std::vector<std::int64_t>>(6, rc::gen::inRange<std::int64_t>(0, 300));
        for (const std::int64_t index : indices)
            RC_ASSERT(order.batch(index) == BatchOrder(rows.lengths, rows.batchSize, rows.seed).batch(index));
    });
    passed &= rc::check("epochs and seeds differ", [] {
        const auto count =
            *rc::gen::inRange<std::size_t>(30, 200); // 30! orders: two alike would be no chance
        const std::vector<std::int64_t> lengths(count, 7);
        const auto batchSize = *rc::gen::inRange<std::int64_t>(1, 8);
        const auto seed = *rc::gen::arbitrary<std::uint64_t>();
        const BatchOrder order(lengths, batchSize, seed);
        RC_ASSERT(epochOf(order, 0) != epochOf(order, 1));
        RC_ASSERT(epochOf(order, 1) != epochOf(order, 2));
        RC_ASSERT(epochOf(order, 0) != epochOf(BatchOrder(lengths, batchSize, seed + 1), 0));
    });
    return passed ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
#include "core/train/longest_batch.h"

#include "core/base/files.h"
#include "core/base/json.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <string_view>
#include <vector>

namespace rankscope::train
{
namespace
{

constexpr std::size_t bytesLookedAt = std::size_t{64} << 20;
constexpr std::int64_t bytesPerToken = 3;

/// Adds the size of every outermost object, of at most `maxRows` (0: all): a line of JSON Lines or an element
/// of a list. What is no JSON is found by the check of the job.
void addRowSizes(std::string_view text, std::int64_t maxRows, std::vector<std::int64_t>& sizes)
{
    std::int64_t rows = 0;
    std::size_t depth = 0;
    std::size_t start = 0;
    base::scanOutsideStrings(text, [&](std::size_t place, char c) {
        if (c == '{' && depth++ == 0)
            start = place;
        if (c == '}' && depth > 0 && --depth == 0) {
            sizes.push_back(static_cast<std::int64_t>(place + 1 - start));
            ++rows;
        }
        return maxRows == 0 || rows < maxRows;
    });
}

} // namespace

std::int64_t longestBatchTokens(const protocol::Job& job)
{
    std::vector<std::int64_t> sizes;
    for (const auto& path : job.data.train) {
        if (const auto file = base::MappedFile::open(path); file && !file->bytes().empty()) {
            const auto bytes = file->bytes().first(std::min(bytesLookedAt, file->bytes().size()));
            addRowSizes({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, job.data.trainRows,
                        sizes);
        }
    }
    const std::int64_t batch = job.training.batchSize;
    if (sizes.empty())
        return batch * job.data.maxLength;
    const auto count = std::min(batch, static_cast<std::int64_t>(sizes.size()));
    std::ranges::partial_sort(sizes, sizes.begin() + count, std::ranges::greater());
    return std::accumulate(
        sizes.begin(), sizes.begin() + count, std::int64_t{0}, [&](std::int64_t sum, std::int64_t size) {
            return sum + std::min((size + bytesPerToken - 1) / bytesPerToken, job.data.maxLength);
        });
}

} // namespace rankscope::train

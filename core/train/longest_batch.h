// SPDX-License-Identifier: Apache-2.0
// How large batches can become, judged from the size of the rows: for the memory estimate of a plan, which is
// made while the user types and has no time for a tokenizer.
#pragma once

#include "core/protocol/job.h"

#include <cstdint>

namespace rankscope::train
{

/// About how many tokens the batch of a job's longest training rows has: a token for every three bytes of a
/// row as it stands in its file (of English and of sums it is one for three to four), at most data.maxLength
/// a row. Of a file larger than 64 MB only the start is looked at. Where no row can be read, every row of the
/// batch counts as data.maxLength long.
[[nodiscard]] std::int64_t longestBatchTokens(const protocol::Job& job);

} // namespace rankscope::train

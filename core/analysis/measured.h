// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/record/run_record.h"

#include <cstdint>
#include <string>
#include <vector>

namespace rankscope::analysis
{

/// A measure and its values at one step, ready to be recorded.
struct Measured {
    record::MeasureInfo info;
    std::vector<float> values;
};

/// "0", "1", ..., count - 1: the labels of an axis of numbered things.
std::vector<std::string> numbered(std::int64_t count);

/// The measure's values, all "not measured" (NaN).
Measured unmeasured(record::MeasureInfo info);

} // namespace rankscope::analysis

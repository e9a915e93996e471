// SPDX-License-Identifier: Apache-2.0
#include "core/analysis/measured.h"

#include <limits>

namespace rankscope::analysis
{

std::vector<std::string> numbered(std::int64_t count)
{
    std::vector<std::string> labels;
    for (std::int64_t i = 0; i < count; ++i)
        labels.push_back(std::to_string(i));
    return labels;
}

Measured unmeasured(record::MeasureInfo info)
{
    const std::size_t size = info.size();
    return {std::move(info), std::vector<float>(size, std::numeric_limits<float>::quiet_NaN())};
}

} // namespace rankscope::analysis

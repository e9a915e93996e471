// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/family.h"

#include <algorithm>

namespace rankscope::adapter
{

void InsideMeasure::measure(std::size_t i)
{
    const std::vector<float> part = piece(i);
    std::copy_n(part.begin(), std::min(part.size(), values.size() / pieces),
                values.begin() + static_cast<std::ptrdiff_t>(i * (values.size() / pieces)));
}

std::vector<std::string> Adapter::modules() const
{
    std::vector<std::string> names;
    for (const auto& site : deltaSites()) {
        if (std::find(names.begin(), names.end(), site.module) == names.end())
            names.push_back(site.module);
    }
    return names;
}

Delta Adapter::meanDelta(const DeltaSite& site, const at::Tensor& weights) const
{
    std::vector<Delta> deltas;
    for (std::int64_t expert = 0; expert < site.experts; ++expert)
        deltas.push_back(delta(site.layer, site.module, expert));
    return mixDeltas(deltas, weights);
}

} // namespace rankscope::adapter

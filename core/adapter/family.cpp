// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/family.h"

namespace rankscope::adapter
{

Delta Adapter::meanDelta(const DeltaSite& site, const at::Tensor& weights) const
{
    std::vector<Delta> deltas;
    for (std::int64_t expert = 0; expert < site.experts; ++expert)
        deltas.push_back(delta(site.layer, site.module, expert));
    return mixDeltas(deltas, weights);
}

} // namespace rankscope::adapter

// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/scale.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rankscope::views
{

void setScale(HeatMap& map, const RunningRange& range, bool automatic)
{
    double low = range.known() ? range.minimum() : 0;
    double high = range.known() ? range.maximum() : 1;
    const bool bothSigns = low < 0 && high > 0;
    if (automatic && map.hasValues()) {
        low = std::numeric_limits<double>::infinity();
        high = -low;
        for (const float value : map.values)
            if (std::isfinite(value)) {
                low = std::min<double>(low, value);
                high = std::max<double>(high, value);
            }
    }
    if (bothSigns) {
        map.map = ColourMap::Diverging;
        high = std::max(std::abs(low), std::abs(high));
        low = -high;
    }
    if (!(high > low)) { // all alike: from zero to there
        low = std::min(low, 0.0);
        high = std::max(high, 0.0);
        if (low == high)
            high = 1;
    }
    map.minimum = low;
    map.maximum = high;
}

void setScale(CurvePlot& plot, const RunningRange& range, bool automatic)
{
    plot.scale.reset();
    if (automatic || !range.known() || (plot.logarithmic && !range.hasPositive()))
        return;
    plot.scale = std::pair{plot.logarithmic ? range.smallestPositive() : range.minimum(), range.maximum()};
}

} // namespace rankscope::views

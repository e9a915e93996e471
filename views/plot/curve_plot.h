// SPDX-License-Identifier: GPL-3.0-or-later
// What a chart of curves shows, without saying how: made and appended to by a view's model.
#pragma once

#include "views/plot/min_max_series.h"

#include <QString>

#include <set>
#include <vector>

namespace rankscope::views
{

struct Curve {
    QString label;     ///< in the legend
    QString name;      ///< at the cursor: the model's own name
    int key = -1;      ///< what a click on it selects (a layer), or -1
    int category = -1; ///< colour by category, or
    double depth = -1; ///< colour by depth, 0 the first layer, 1 the last
    bool raw = false;  ///< drawn faintly behind: the values before smoothing
    MinMaxSeries data;
};

/// Median and the 10th and 90th percentile over many curves.
struct CurveBand {
    MinMaxSeries low, median, high;
};

enum class CurveLegend { None, Categories, Depth };

struct CurvePlot {
    QString title;
    QString xTitle = QStringLiteral("optimizer step");
    QString yTitle;     ///< with the unit, after yFactor: "memory (GB)"
    QString unit;       ///< of the values as recorded, for the cursor
    double yFactor = 1; ///< recorded value times this is drawn
    bool logarithmic = false;
    bool fromZero = false;
    std::vector<Curve> curves;
    CurveBand band;
    bool showBand = false;    ///< the band instead of the curves that are not emphasised
    std::set<int> emphasised; ///< keys drawn thick; the others are faded while there is one
    CurveLegend legend = CurveLegend::None;
    QString depthLow, depthHigh; ///< ends of the depth legend
    QString emptyText;           ///< what would be shown, while there is nothing

    [[nodiscard]] bool empty() const
    {
        for (const Curve& curve : curves)
            if (!curve.data.empty())
                return false;
        return true;
    }
};

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
// The one rule for colours and scales, so that a quantity looks the same in every view: over the whole run's
// range, so that it stays while the step moves, or `automatic`, over the values that are shown.
#pragma once

#include "views/plot/curve_plot.h"
#include "views/plot/heat_map.h"
#include "views/plot/measure_access.h"

namespace rankscope::views
{

/// A quantity that has both signs in the run is diverging about zero.
void setScale(HeatMap& map, const RunningRange& range, bool automatic);

/// Of curves that are made for one step; those over steps show all steps at once. A logarithmic axis begins
/// at the run's smallest positive value.
void setScale(CurvePlot& plot, const RunningRange& range, bool automatic);

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
// What lies under the cursor in a panel: the layers, modules, experts and tasks that it stands for, and its
// numbers.
#pragma once

#include "views/selection/selection.h"

#include <QPoint>
#include <QString>

class QWidget;

namespace rankscope::views
{

struct BarPlot;
struct CurvePlot;
struct HeatMap;

SelectionState cellsOf(const HeatMap& map, int row0, int row1, int column0, int column1);
SelectionState curveOf(const CurvePlot& plot, int key);
SelectionState groupOf(const BarPlot& plot, int group);

/// The exact number under the cursor; empty where there is none.
QString valueAt(const QWidget* panel, const QPoint& place);
/// The row of cells that it is in, tab-separated; empty where there are no rows.
QString rowAt(const QWidget* panel, const QPoint& place);

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
// What lies under the cursor in a panel: the layers, modules, experts and tasks that it stands for, and its
// numbers.
#pragma once

#include "views/selection/selection.h"

#include <QPoint>
#include <QString>

#include <cstdint>
#include <optional>

class QTableWidget;
class QWidget;

namespace rankscope::views
{

struct BarPlot;
struct CurvePlot;
struct HeatMap;

SelectionState cellsOf(const HeatMap& map, int row0, int row1, int column0, int column1);
SelectionState curveOf(const CurvePlot& plot, int key);
SelectionState groupOf(const BarPlot& plot, int group);
/// Of a table whose property "rowNoun" says what its first column names.
SelectionState rowOf(const QTableWidget& table, int row);

/// What the cell, curve, bar or row under the cursor stands for; nothing where it is none that is selected
/// by. A place is the panel's own or, of one that scrolls, its viewport's, here and below.
SelectionState pointedAt(const QWidget* panel, const QPoint& place);
/// The optimizer step under the cursor, where an axis is one of steps.
std::optional<std::int64_t> stepAt(const QWidget* panel, const QPoint& place);
/// The exact number under the cursor; empty where there is none.
QString valueAt(const QWidget* panel, const QPoint& place);
/// The row of cells that it is in, tab-separated; empty where there are no rows.
QString rowAt(const QWidget* panel, const QPoint& place);
/// The table's selected cells, tab-separated, a line for each row that has any.
QString selectedCells(const QTableWidget& table);

} // namespace rankscope::views

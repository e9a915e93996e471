// SPDX-License-Identifier: GPL-3.0-or-later
// A heat map as data, its geometry and its drawing; the same on the screen and on paper.
#pragma once

#include "views/plot/colour_map.h"
#include "views/plot/measure_access.h"
#include "views/plot/plot_style.h"

#include <QRectF>
#include <QString>
#include <QStringList>

#include <set>
#include <vector>

class QPainter;

namespace rankscope::views
{

struct HeatMap {
    QString measure; ///< "rank/entropy": its name in the record
    QString title;
    QString note;        ///< under the title: when the values were measured, and how many of how many
    QString rowTitle;    ///< "layer"
    QString columnTitle; ///< "module"
    QString valueTitle;  ///< of the scale bar, with the unit
    QString unit;
    QStringList rowLabels;
    QStringList columnLabels;
    std::vector<float> values; ///< row-major; NaN is drawn hatched: not measured
    ColourMap map = ColourMap::Cividis;
    double minimum = 0;
    double maximum = 1;
    std::set<int> selectedRows;
    std::set<int> selectedColumns;
    QString emptyText;

    [[nodiscard]] int rows() const { return static_cast<int>(rowLabels.size()); }
    [[nodiscard]] int columns() const { return static_cast<int>(columnLabels.size()); }
    [[nodiscard]] float value(int row, int column) const
    {
        return values[static_cast<std::size_t>(row) * static_cast<std::size_t>(columns()) +
                      static_cast<std::size_t>(column)];
    }
    [[nodiscard]] bool hasValues() const;
    [[nodiscard]] QColor colour(float value) const;
};

struct HeatMapGeometry {
    QRectF plot;  ///< the cells
    QRectF scale; ///< the scale bar
    double cellWidth = 0;
    double cellHeight = 0;
    bool turnedColumns = false; ///< column labels are drawn upwards

    [[nodiscard]] QRectF cell(int row, int column) const
    {
        return {plot.left() + column * cellWidth, plot.top() + row * cellHeight, cellWidth, cellHeight};
    }
    /// Row and column at a place; -1 outside.
    [[nodiscard]] std::pair<int, int> cellAt(const QPointF& place, const HeatMap& map) const;
};

HeatMapGeometry layOut(const QRectF& area, const HeatMap& map, const PlotStyle& style);
void paintHeatMap(QPainter& painter, const QRectF& area, const HeatMap& map, const PlotStyle& style);

} // namespace rankscope::views

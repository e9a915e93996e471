// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/base/pointed.h"

#include "views/plot/bar_plot.h"
#include "views/plot/curve_chart.h"
#include "views/plot/format.h"
#include "views/plot/heat_map_widget.h"

#include <QTableWidget>

#include <algorithm>

namespace rankscope::views
{

SelectionState cellsOf(const HeatMap& map, int row0, int row1, int column0, int column1)
{
    SelectionState places = placesOn(map.rowTitle, map.rowLabels.mid(row0, row1 - row0 + 1));
    places.add(placesOn(map.columnTitle, map.columnLabels.mid(column0, column1 - column0 + 1)));
    return places;
}

SelectionState curveOf(const CurvePlot& plot, int key)
{
    const auto curve = std::ranges::find(plot.curves, key, &Curve::key);
    return key < 0 || curve == plot.curves.end() ? SelectionState()
                                                 : placesOn(plot.curveNoun, {curve->place});
}

SelectionState groupOf(const BarPlot& plot, int group)
{
    return group < 0 ? SelectionState() : placesOn(plot.groupNoun, {plot.groups[group]});
}

SelectionState rowOf(const QTableWidget& table, int row)
{
    return row < 0 ? SelectionState()
                   : placesOn(table.property("rowNoun").toString(), {table.item(row, 0)->text()});
}

SelectionState pointedAt(const QWidget* panel, const QPoint& place)
{
    if (const auto* map = qobject_cast<const HeatMapWidget*>(panel)) {
        const auto [row, column] = map->cellAt(place);
        return row < 0 ? SelectionState() : cellsOf(map->map(), row, row, column, column);
    }
    if (const auto* chart = qobject_cast<const CurveChart*>(panel);
        chart != nullptr && chart->plot() != nullptr)
        return curveOf(*chart->plot(), chart->keyAt(place));
    if (const auto* bars = qobject_cast<const BarWidget*>(panel))
        return groupOf(bars->plot(), bars->groupAt(place));
    if (const auto* table = qobject_cast<const QTableWidget*>(panel))
        return rowOf(*table, table->rowAt(place.y()));
    return {};
}

std::optional<std::int64_t> stepAt(const QWidget* panel, const QPoint& place)
{
    if (const auto* chart = qobject_cast<const CurveChart*>(panel))
        return chart->stepAt(place);
    if (const auto* map = qobject_cast<const HeatMapWidget*>(panel);
        map != nullptr && map->map().columnTitle == CurvePlot::overStepsTitle())
        if (const int column = map->cellAt(place).second; column >= 0)
            return map->map().columnLabels[column].toLongLong();
    return std::nullopt;
}

QString valueAt(const QWidget* panel, const QPoint& place)
{
    if (const auto* map = qobject_cast<const HeatMapWidget*>(panel)) {
        const auto [row, column] = map->cellAt(place);
        return row < 0 ? QString() : exactNumber(map->map().value(row, column));
    }
    if (const auto* chart = qobject_cast<const CurveChart*>(panel))
        if (const auto point = chart->pointAt(place))
            return exactNumber(static_cast<float>(point->y() * chart->plot()->unitFactor));
    if (const auto* bars = qobject_cast<const BarWidget*>(panel))
        if (const auto value = bars->valueAt(place))
            return exactNumber(*value);
    if (const auto* table = qobject_cast<const QTableWidget*>(panel))
        if (const QTableWidgetItem* item = table->itemAt(place))
            return item->text();
    return {};
}

QString rowAt(const QWidget* panel, const QPoint& place)
{
    QStringList texts;
    if (const auto* map = qobject_cast<const HeatMapWidget*>(panel)) {
        const int row = map->cellAt(place).first;
        for (int column = 0; row >= 0 && column < map->map().columns(); ++column)
            texts << exactNumber(map->map().value(row, column));
    }
    if (const auto* table = qobject_cast<const QTableWidget*>(panel)) {
        const int row = table->rowAt(place.y());
        for (int column = 0; row >= 0 && column < table->columnCount(); ++column)
            texts << table->item(row, column)->text();
    }
    return texts.join(QLatin1Char('\t'));
}

QString selectedCells(const QTableWidget& table)
{
    QStringList lines;
    for (int row = 0; row < table.rowCount(); ++row) {
        QStringList texts;
        for (int column = 0; column < table.columnCount(); ++column)
            if (table.item(row, column)->isSelected())
                texts << table.item(row, column)->text();
        if (!texts.isEmpty())
            lines << texts.join(QLatin1Char('\t'));
    }
    return lines.join(QLatin1Char('\n'));
}

} // namespace rankscope::views

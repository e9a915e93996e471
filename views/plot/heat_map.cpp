// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/heat_map.h"

#include "views/plot/hatch.h"
#include "views/plot/ticks.h"

#include <QFontMetricsF>
#include <QLinearGradient>
#include <QPainter>

#include <algorithm>
#include <cmath>
#include <limits>

namespace rankscope::views
{

bool HeatMap::hasValues() const
{
    return std::any_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

QColor HeatMap::colour(float value) const
{
    const double span = maximum - minimum;
    return colourAt(map, span > 0 ? (value - minimum) / span : 0.5);
}

std::pair<int, int> HeatMapGeometry::cellAt(const QPointF& place, const HeatMap& map) const
{
    if (!plot.contains(place) || cellWidth <= 0 || cellHeight <= 0)
        return {-1, -1};
    return {std::min(static_cast<int>((place.y() - plot.top()) / cellHeight), map.rows() - 1),
            std::min(static_cast<int>((place.x() - plot.left()) / cellWidth), map.columns() - 1)};
}

namespace
{

constexpr double noteLine = 1.15; ///< in heights of the font

double widest(const QStringList& labels, const QFontMetricsF& metrics)
{
    double width = 0;
    for (const QString& label : labels)
        width = std::max(width, metrics.horizontalAdvance(label));
    return width;
}

/// Every how many labels one is drawn, so that they do not touch.
int labelStride(double cell, double needed)
{
    if (cell >= needed)
        return 1;
    for (const int stride : {2, 5, 10, 20, 50, 100})
        if (cell * stride >= needed)
            return stride;
    return 200;
}

bool numeric(const QStringList& labels)
{
    return std::all_of(labels.begin(), labels.end(), [](const QString& label) {
        bool valid = false;
        label.toInt(&valid);
        return valid;
    });
}

void paintScale(QPainter& painter, const HeatMapGeometry& geometry, const HeatMap& map,
                const PlotStyle& style)
{
    const QFontMetricsF metrics(style.font);
    QLinearGradient ramp(geometry.scale.bottomLeft(), geometry.scale.topLeft());
    for (int i = 0; i <= 16; ++i)
        ramp.setColorAt(i / 16.0, colourAt(map.map, i / 16.0));
    painter.fillRect(geometry.scale, ramp);
    const int wanted = std::clamp(static_cast<int>(geometry.scale.height() / (metrics.height() * 2)), 2, 8);
    const int exponent = axisExponent(std::max(std::abs(map.minimum), std::abs(map.maximum)));
    const double factor = std::pow(10.0, -exponent);
    const Ticks ticks = niceTicks(map.minimum * factor, map.maximum * factor, wanted);
    painter.setFont(style.font);
    const double span = (map.maximum - map.minimum) * factor;
    for (const double value : ticks.values()) {
        const double share = span > 0 ? (value - map.minimum * factor) / span : 0.5;
        if (share < -1e-6 || share > 1 + 1e-6)
            continue;
        const double y = geometry.scale.bottom() - share * geometry.scale.height();
        painter.setPen(QPen(style.muted, style.thinLine));
        painter.drawLine(QPointF(geometry.scale.right(), y), QPointF(geometry.scale.right() + 3, y));
        painter.drawText(QPointF(geometry.scale.right() + 5, y + metrics.ascent() * 0.38),
                         ticks.label(value));
    }
    QString title = map.valueTitle;
    if (exponent != 0)
        title += QStringLiteral(" (×%1)").arg(powerOfTen(exponent));
    painter.save();
    double labels = 0;
    for (const double value : ticks.values())
        labels = std::max(labels, metrics.horizontalAdvance(ticks.label(value)));
    painter.translate(geometry.scale.right() + 8 + labels + metrics.height(), geometry.scale.center().y());
    painter.rotate(-90);
    painter.setPen(style.muted);
    const QString shown = metrics.elidedText(title, Qt::ElideRight, geometry.scale.height());
    painter.drawText(QPointF(-metrics.horizontalAdvance(shown) / 2, 0), shown);
    painter.restore();
}

void paintLabels(QPainter& painter, const HeatMapGeometry& geometry, const HeatMap& map,
                 const PlotStyle& style)
{
    const QFontMetricsF metrics(style.font);
    painter.setFont(style.font);
    const int rowStride =
        numeric(map.rowLabels) ? labelStride(geometry.cellHeight, metrics.height() * 1.05) : 1;
    for (int row = 0; row < map.rows(); row += rowStride) {
        const bool chosen = map.selectedRows.contains(row);
        painter.setPen(chosen ? style.text : style.muted);
        painter.setFont(chosen ? style.scaled(1, true) : style.font);
        const QString& label = map.rowLabels[row];
        painter.drawText(
            QPointF(geometry.plot.left() - 5 - QFontMetricsF(painter.font()).horizontalAdvance(label),
                    geometry.cell(row, 0).center().y() + metrics.ascent() * 0.38),
            label);
    }
    const double needed = geometry.turnedColumns ? metrics.height() : widest(map.columnLabels, metrics) + 6;
    const int columnStride = numeric(map.columnLabels) ? labelStride(geometry.cellWidth, needed) : 1;
    for (int column = 0; column < map.columns(); column += columnStride) {
        const bool chosen = map.selectedColumns.contains(column);
        painter.setPen(chosen ? style.text : style.muted);
        painter.setFont(chosen ? style.scaled(1, true) : style.font);
        const QString& label = map.columnLabels[column];
        const double width = QFontMetricsF(painter.font()).horizontalAdvance(label);
        const double centre = geometry.cell(0, column).center().x();
        if (geometry.turnedColumns) {
            painter.save();
            painter.translate(centre + metrics.ascent() * 0.38, geometry.plot.bottom() + 5 + width);
            painter.rotate(-90);
            painter.drawText(QPointF(0, 0), label);
            painter.restore();
        } else {
            painter.drawText(QPointF(centre - width / 2, geometry.plot.bottom() + 4 + metrics.ascent()),
                             label);
        }
    }
    painter.setFont(style.font);
    painter.setPen(style.muted);
    const double columnsHeight =
        geometry.turnedColumns ? widest(map.columnLabels, metrics) : metrics.height();
    painter.drawText(QPointF(geometry.plot.center().x() - metrics.horizontalAdvance(map.columnTitle) / 2,
                             geometry.plot.bottom() + columnsHeight + metrics.height() + 5),
                     map.columnTitle);
    painter.save();
    painter.translate(geometry.plot.left() - widest(map.rowLabels, metrics) * 1.08 - 12,
                      geometry.plot.center().y());
    painter.rotate(-90);
    painter.drawText(QPointF(-metrics.horizontalAdvance(map.rowTitle) / 2, 0), map.rowTitle);
    painter.restore();
}

} // namespace

HeatMapGeometry layOut(const QRectF& area, const HeatMap& map, const PlotStyle& style)
{
    const QFontMetricsF metrics(style.font);
    HeatMapGeometry geometry;
    const double title = (map.title.isEmpty() ? 4 : metrics.height() * 1.5 + 4) +
                         static_cast<double>(noteLines(map.note, metrics, area.width() - 10).size()) *
                             metrics.height() * noteLine;
    const double left = widest(map.rowLabels, metrics) * 1.08 + metrics.height() + 14;
    const double right = metrics.height() * 4.6 + 16;
    const double width = std::max(10.0, area.width() - left - right);
    geometry.turnedColumns = !numeric(map.columnLabels) && map.columns() > 0 &&
                             width / map.columns() < widest(map.columnLabels, metrics) + 6;
    const double bottom = (geometry.turnedColumns ? widest(map.columnLabels, metrics) : metrics.height()) +
                          metrics.height() + 10;
    geometry.plot =
        QRectF(area.left() + left, area.top() + title, width, std::max(10.0, area.height() - title - bottom));
    geometry.cellWidth = map.columns() > 0 ? geometry.plot.width() / map.columns() : 0;
    geometry.cellHeight = map.rows() > 0 ? geometry.plot.height() / map.rows() : 0;
    geometry.scale = QRectF(geometry.plot.right() + 10, geometry.plot.top(), metrics.height() * 0.8,
                            geometry.plot.height());
    return geometry;
}

void paintHeatMap(QPainter& painter, const QRectF& area, const HeatMap& map, const PlotStyle& style)
{
    painter.save();
    painter.fillRect(area, style.background);
    const QFontMetricsF titleMetrics(style.scaled(1, true));
    painter.setFont(style.scaled(1, true));
    painter.setPen(style.text);
    painter.drawText(QPointF(area.left() + 6, area.top() + titleMetrics.ascent() + 3),
                     titleMetrics.elidedText(map.title, Qt::ElideRight, area.width() - 10));
    const QFontMetricsF metrics(style.font);
    painter.setFont(style.font);
    painter.setPen(style.muted);
    double y = area.top() + titleMetrics.ascent() + 3;
    for (const QString& line : noteLines(map.note, metrics, area.width() - 10)) {
        y += metrics.height() * noteLine;
        painter.drawText(QPointF(area.left() + 6, y),
                         metrics.elidedText(line, Qt::ElideRight, area.width() - 10));
    }
    if (map.rows() == 0 || map.columns() == 0 || !map.hasValues()) {
        painter.setFont(style.font);
        painter.setPen(style.muted);
        painter.drawText(area.adjusted(16, 16, -16, -16), Qt::AlignCenter | Qt::TextWordWrap, map.emptyText);
        painter.restore();
        return;
    }
    const HeatMapGeometry geometry = layOut(area, map, style);
    painter.setRenderHint(QPainter::Antialiasing, false);
    painter.setPen(Qt::NoPen);
    const QColor missing = style.dark ? QColor(0x2a, 0x2e, 0x35) : QColor(0xf1, 0xf2, 0xf4);
    for (int row = 0; row < map.rows(); ++row)
        for (int column = 0; column < map.columns(); ++column) {
            const float value = map.value(row, column);
            const QRectF cell = geometry.cell(row, column);
            painter.fillRect(cell, std::isfinite(value) ? map.colour(value) : missing);
            if (!std::isfinite(value))
                paintHatch(painter, cell, style.grid.darker(style.dark ? 70 : 115));
        }
    if (geometry.cellWidth > 6 && geometry.cellHeight > 6) {
        painter.setPen(
            QPen(style.background.alpha() == 0 ? QColor(Qt::white) : style.background, style.thinLine));
        for (int row = 1; row < map.rows(); ++row)
            painter.drawLine(QPointF(geometry.plot.left(), geometry.cell(row, 0).top()),
                             QPointF(geometry.plot.right(), geometry.cell(row, 0).top()));
        for (int column = 1; column < map.columns(); ++column)
            painter.drawLine(QPointF(geometry.cell(0, column).left(), geometry.plot.top()),
                             QPointF(geometry.cell(0, column).left(), geometry.plot.bottom()));
    }
    painter.setRenderHint(QPainter::Antialiasing, true);
    painter.setBrush(Qt::NoBrush);
    // A light line on a dark one is seen on every colour of a map.
    for (const auto& [colour, width] :
         {std::pair{QColor(0x10, 0x13, 0x18), style.line * 2.4}, std::pair{QColor(Qt::white), style.line}}) {
        painter.setPen(QPen(colour, width, Qt::SolidLine, Qt::SquareCap, Qt::MiterJoin));
        for (const int row : map.selectedRows)
            if (row >= 0 && row < map.rows())
                painter.drawRect(QRectF(geometry.plot.left(), geometry.cell(row, 0).top(),
                                        geometry.plot.width(), geometry.cellHeight));
        for (const int column : map.selectedColumns)
            if (column >= 0 && column < map.columns())
                painter.drawRect(QRectF(geometry.cell(0, column).left(), geometry.plot.top(),
                                        geometry.cellWidth, geometry.plot.height()));
    }
    paintLabels(painter, geometry, map, style);
    paintScale(painter, geometry, map, style);
    painter.restore();
}

} // namespace rankscope::views

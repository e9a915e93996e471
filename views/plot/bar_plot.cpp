// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/bar_plot.h"

#include "views/plot/colour_map.h"
#include "views/plot/format.h"
#include "views/plot/hatch.h"
#include "views/plot/ticks.h"

#include <QFontMetricsF>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace rankscope::views
{

namespace
{

struct Geometry {
    QRectF plot;
    Ticks ticks;
    bool turned = false;
    double groupWidth = 0;
    double barWidth = 0;
    double labelHeight = 0;

    [[nodiscard]] double barLeft(int group, std::size_t series) const
    {
        return plot.left() + groupWidth * (group + 0.12) + static_cast<double>(series) * barWidth;
    }
    /// Which bar of the group is above or below x; nothing beside them.
    [[nodiscard]] std::optional<std::size_t> seriesAt(double x, int group, std::size_t count) const
    {
        for (std::size_t series = 0; series < count; ++series)
            if (x >= barLeft(group, series) && x < barLeft(group, series + 1))
                return series;
        return std::nullopt;
    }
};

Geometry layOutBars(const QRectF& area, const BarPlot& plot, const PlotStyle& style)
{
    const QFontMetricsF metrics(style.font);
    double highest = plot.maximum;
    if (highest <= 0)
        for (const BarSeries& series : plot.series)
            for (const float value : series.values)
                if (std::isfinite(value))
                    highest = std::max<double>(highest, value);
    Geometry geometry;
    double widest = 0;
    for (const QString& group : plot.groups)
        widest = std::max(widest, metrics.horizontalAdvance(group));
    const double left = metrics.height() * 3.4;
    const double width = area.width() - left - 8;
    geometry.groupWidth = plot.groups.isEmpty() ? width : width / static_cast<double>(plot.groups.size());
    geometry.turned = widest + 6 > geometry.groupWidth;
    geometry.labelHeight = geometry.turned ? std::min(widest, area.height() * 0.35) : metrics.height();
    const double top = metrics.height() * 2.9 + 4;
    geometry.plot = QRectF(area.left() + left, area.top() + top, width,
                           std::max(10.0, area.height() - top - geometry.labelHeight - 12));
    geometry.ticks =
        niceTicks(0, highest > 0 ? highest : 1,
                  std::clamp(static_cast<int>(geometry.plot.height() / (metrics.height() * 2.2)), 2, 6));
    geometry.barWidth =
        geometry.groupWidth * 0.76 / static_cast<double>(std::max<std::size_t>(1, plot.series.size()));
    return geometry;
}

/// What the series are called; the longest name gives way where there is no room for all.
QStringList legendLabels(const BarPlot& plot, const QFontMetricsF& metrics, double room)
{
    QStringList labels;
    for (const BarSeries& series : plot.series) {
        labels << series.label;
        room -= metrics.horizontalAdvance(series.label);
    }
    if (room < 0) {
        const auto longest = std::ranges::max_element(
            labels, {}, [&metrics](const QString& label) { return metrics.horizontalAdvance(label); });
        *longest = metrics.elidedText(*longest, Qt::ElideRight,
                                      std::max(0.0, metrics.horizontalAdvance(*longest) + room));
    }
    return labels;
}

} // namespace

bool BarPlot::hasValues() const
{
    for (const BarSeries& bars : series)
        for (const float value : bars.values)
            if (std::isfinite(value))
                return true;
    return false;
}

void paintBarPlot(QPainter& painter, const QRectF& area, const BarPlot& plot, const PlotStyle& style)
{
    painter.save();
    painter.fillRect(area, style.background);
    const QFontMetricsF metrics(style.font);
    painter.setFont(style.scaled(1, true));
    painter.setPen(style.text);
    painter.drawText(QPointF(area.left() + 6, area.top() + QFontMetricsF(painter.font()).ascent() + 3),
                     QFontMetricsF(painter.font()).elidedText(plot.title, Qt::ElideRight, area.width() - 10));
    if (!plot.hasValues()) {
        painter.setFont(style.font);
        painter.setPen(style.muted);
        painter.drawText(area.adjusted(12, 16, -12, -12), Qt::AlignCenter | Qt::TextWordWrap, plot.emptyText);
        painter.restore();
        return;
    }
    const Geometry geometry = layOutBars(area, plot, style);
    const auto yOf = [&](double value) {
        return geometry.plot.bottom() - value / geometry.ticks.maximum * geometry.plot.height();
    };
    painter.setFont(style.font);
    for (const double value : geometry.ticks.values()) {
        painter.setPen(QPen(style.grid, style.thinLine));
        painter.drawLine(QPointF(geometry.plot.left(), yOf(value)),
                         QPointF(geometry.plot.right(), yOf(value)));
        painter.setPen(style.muted);
        const QString label = geometry.ticks.label(value);
        painter.drawText(QPointF(geometry.plot.left() - 5 - metrics.horizontalAdvance(label),
                                 yOf(value) + metrics.ascent() * 0.38),
                         label);
    }
    painter.save();
    painter.translate(area.left() + metrics.height(), geometry.plot.center().y());
    painter.rotate(-90);
    painter.drawText(QPointF(-metrics.horizontalAdvance(plot.valueTitle) / 2, 0), plot.valueTitle);
    painter.restore();

    double legend = area.left() + 6;
    const double legendY = area.top() + metrics.height() * 2.4;
    // Two bars of one task differ in lightness and fill too, not in hue alone.
    const auto fill = [&](std::size_t s) {
        if (plot.series[s].reference)
            return QBrush(style.dark ? QColor(0x6b, 0x72, 0x7c) : QColor(0xb8, 0xbe, 0xc6));
        return QBrush(categoryColour(0, style.dark));
    };
    const double size = metrics.ascent() * 0.75;
    const QStringList labels = legendLabels(
        plot, metrics, area.width() - 12 - (size + 16) * static_cast<double>(plot.series.size()));
    for (std::size_t s = 0; s < plot.series.size(); ++s) {
        const QString& label = labels[static_cast<qsizetype>(s)];
        painter.fillRect(QRectF(legend, legendY - size, size, size), fill(s));
        painter.setPen(style.muted);
        painter.drawText(QPointF(legend + size + 4, legendY), label);
        legend += size + 16 + metrics.horizontalAdvance(label);
    }
    for (int group = 0; group < plot.groups.size(); ++group) {
        for (std::size_t s = 0; s < plot.series.size(); ++s) {
            const float value = plot.series[s].values[static_cast<std::size_t>(group)];
            const double x = geometry.barLeft(group, s);
            if (std::isfinite(value)) {
                // A measured zero is still a line.
                const double height = std::max(style.line, geometry.plot.bottom() - yOf(value));
                painter.fillRect(QRectF(x, geometry.plot.bottom() - height, geometry.barWidth * 0.92, height),
                                 fill(s));
            } else {
                paintHatch(painter, QRectF(x, geometry.plot.bottom() - 8, geometry.barWidth * 0.92, 8),
                           style.muted);
            }
        }
        const bool chosen = plot.selectedGroups.contains(group);
        painter.setPen(chosen ? style.text : style.muted);
        painter.setFont(chosen ? style.scaled(1, true) : style.font);
        const QString label =
            geometry.turned ? metrics.elidedText(plot.groups[group], Qt::ElideRight, geometry.labelHeight)
                            : plot.groups[group];
        const double centre = geometry.plot.left() + geometry.groupWidth * (group + 0.5);
        const double width = QFontMetricsF(painter.font()).horizontalAdvance(label);
        if (geometry.turned) {
            painter.save();
            painter.translate(centre + metrics.ascent() * 0.38, geometry.plot.bottom() + 6 + width);
            painter.rotate(-90);
            painter.drawText(QPointF(0, 0), label);
            painter.restore();
        } else {
            painter.drawText(QPointF(centre - width / 2, geometry.plot.bottom() + 5 + metrics.ascent()),
                             label);
        }
    }
    painter.setPen(QPen(style.muted, style.thinLine));
    painter.drawLine(geometry.plot.bottomLeft(), geometry.plot.bottomRight());
    painter.restore();
}

int barGroupAt(const QPointF& place, const QRectF& area, const BarPlot& plot, const PlotStyle& style)
{
    const Geometry geometry = layOutBars(area, plot, style);
    if (!plot.hasValues() || place.x() < geometry.plot.left() || place.x() >= geometry.plot.right() ||
        place.y() < geometry.plot.top())
        return -1;
    return std::min(static_cast<int>((place.x() - geometry.plot.left()) / geometry.groupWidth),
                    static_cast<int>(plot.groups.size()) - 1);
}

BarWidget::BarWidget(QWidget* parent) : QWidget(parent), m_reading(new CursorReading(this))
{
    connect(m_reading, &CursorReading::changed, this, &BarWidget::hovered);
    setMouseTracking(true);
    setFocusPolicy(Qt::StrongFocus);
    setContextMenuPolicy(Qt::CustomContextMenu);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
}

void BarWidget::setPlot(const BarPlot& plot)
{
    m_plot = plot;
    setAccessibleName(plot.title);
    m_reading->renew();
    update();
}

void BarWidget::paintEvent(QPaintEvent* /*event*/)
{
    QPainter painter(this);
    paintBarPlot(painter, rect(), m_plot, style());
    if (!hasFocus() || !m_plot.hasValues() || m_cursor >= m_plot.groups.size())
        return;
    const Geometry geometry = layOutBars(rect(), m_plot, style());
    painter.setPen(QPen(style().accent, 2));
    painter.drawRect(QRectF(geometry.plot.left() + geometry.groupWidth * m_cursor, geometry.plot.top(),
                            geometry.groupWidth, geometry.plot.height()));
}

int BarWidget::groupAt(const QPointF& place) const
{
    return barGroupAt(place, rect(), m_plot, style());
}

std::optional<float> BarWidget::valueAt(const QPointF& place) const
{
    const int group = groupAt(place);
    if (group < 0)
        return std::nullopt;
    const auto series = layOutBars(rect(), m_plot, style()).seriesAt(place.x(), group, m_plot.series.size());
    if (!series)
        return std::nullopt;
    return m_plot.series[*series].values[static_cast<std::size_t>(group)];
}

QString BarWidget::readingOf(int group) const
{
    if (group < 0 || group >= m_plot.groups.size())
        return {};
    QString lines = m_plot.groups[group];
    for (const BarSeries& series : m_plot.series)
        lines +=
            QStringLiteral("\n%1: %2")
                .arg(series.label, formatValue(series.values[static_cast<std::size_t>(group)], m_plot.unit));
    return lines;
}

void BarWidget::mouseMoveEvent(QMouseEvent* event)
{
    const int group = groupAt(event->position());
    m_reading->show([this, group] { return readingOf(group); }, event->globalPosition().toPoint());
}

void BarWidget::keyPressEvent(QKeyEvent* event)
{
    // Shift with arrows, as in a heat map: the bare arrows step through the run.
    const int by = !event->modifiers().testFlag(Qt::ShiftModifier) ? 0
                   : event->key() == Qt::Key_Left                  ? -1
                   : event->key() == Qt::Key_Right                 ? 1
                                                                   : 0;
    const bool enter = event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter;
    if ((by == 0 && !enter) || !m_plot.hasValues()) {
        QWidget::keyPressEvent(event);
        return;
    }
    m_cursor = std::clamp(m_cursor + by, 0, static_cast<int>(m_plot.groups.size()) - 1);
    update();
    if (enter)
        Q_EMIT groupChosen(m_cursor, event->modifiers());
    else
        m_reading->show([this] { return readingOf(m_cursor); }, {});
}

void BarWidget::mouseReleaseEvent(QMouseEvent* event)
{
    const int group = groupAt(event->position());
    if (event->button() == Qt::LeftButton && group >= 0)
        Q_EMIT groupChosen(group, event->modifiers());
}

void BarWidget::leaveEvent(QEvent* event)
{
    m_reading->clear();
    QWidget::leaveEvent(event);
}

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/plot_header.h"

#include "views/plot/colour_map.h"
#include "views/plot/plot_chart.h"

#include <QCoreApplication>
#include <QLinearGradient>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace rankscope::views
{

void PlotHeader::set(const CurvePlot& plot, const PlotStyle& style)
{
    prepareGeometryChange();
    m_style = style;
    m_title = plot.title;
    m_axisText.clear();
    m_note = plot.fullNote();
    m_entries.clear();
    m_depth = plot.legend == CurveLegend::Depth;
    m_topLabel = plot.topLabel;
    m_topTitle = plot.topTitle;
    m_low = plot.depthLow;
    m_high = plot.depthHigh;
    m_band = plot.bandShown();
    int others = 0; // beyond the colours that can be told apart
    if (plot.legend == CurveLegend::Categories)
        for (const Curve& curve : plot.curves)
            if (!curve.raw && !curve.label.isEmpty()) {
                if (curve.category > categoryCount)
                    ++others;
                else
                    m_entries.append({curve.label, PlotChart::penOf(curve, style), curve.key});
            }
    if (others > 0 && !m_entries.isEmpty())
        m_entries.last() = {QCoreApplication::translate("PlotHeader", "%1 others").arg(others + 1),
                            m_entries.last().pen, -1};
    update();
}

int PlotHeader::keyAt(const QPointF& place) const
{
    const QFontMetricsF small(m_style.font);
    const std::vector<QPointF> starts = entryStarts();
    for (std::size_t i = 0; i < starts.size(); ++i) {
        const LegendEntry& entry = m_entries[static_cast<qsizetype>(i)];
        if (QRectF(starts[i].x(), starts[i].y() - small.ascent() - 2,
                   entryWidth(entry.label) - small.height() * 0.5, small.height() + 4)
                .contains(place))
            return entry.key;
    }
    return -1;
}

void PlotHeader::setWidth(double width)
{
    prepareGeometryChange();
    m_width = width;
}

double PlotHeader::height() const
{
    const double line = QFontMetricsF(m_style.font).height();
    return (m_title.isEmpty() ? 0 : line * 1.5) + static_cast<double>(notes().size()) * line * 1.15 +
           (hasLegend() && !legendBesideTitle() ? legendLines() * line * 1.25 : 0) +
           (m_topLabel ? line * 1.3 : 0) + 4;
}

void PlotHeader::setTicks(std::pair<double, double> range, double interval)
{
    m_range = range;
    m_interval = interval;
}

void PlotHeader::setAxisText(const QString& text)
{
    if (text.isEmpty())
        return;
    const QString whole = m_title + QStringLiteral(": ") + text;
    if (text.startsWith(m_title, Qt::CaseInsensitive)) // "Learning rate" and "learning rate (×10⁻⁴)"
        m_title += text.mid(m_title.size());
    else if (QFontMetricsF(m_style.scaled(1.0, true)).horizontalAdvance(whole) < m_width - left - 4)
        m_title = whole;
    else
        m_axisText = text;
}

void PlotHeader::paint(QPainter* painter, const QStyleOptionGraphicsItem* /*option*/, QWidget* /*widget*/)
{
    const QFont titleFont = m_style.scaled(1.0, true);
    const QFontMetricsF title(titleFont);
    const QFontMetricsF small(m_style.font);
    double y = title.ascent() + 3;
    if (!m_title.isEmpty()) {
        painter->setFont(titleFont);
        painter->setPen(m_style.text);
        painter->drawText(QPointF(left, y), title.elidedText(m_title, Qt::ElideRight, m_width - left - 4));
    }
    painter->setFont(m_style.font);
    painter->setPen(m_style.muted);
    for (const QString& note : notes()) {
        y += small.height() * 1.15;
        painter->drawText(QPointF(left, y), small.elidedText(note, Qt::ElideRight, m_width - left - 4));
    }
    if (m_topLabel)
        paintTopAxis(*painter, small);
    if (!hasLegend())
        return;
    if (m_depth) {
        const QPointF start = legendStart();
        paintDepth(*painter, start.x(), start.y(), small);
        return;
    }
    const std::vector<QPointF> starts = entryStarts();
    for (std::size_t i = 0; i < starts.size(); ++i) {
        const LegendEntry& entry = m_entries[static_cast<qsizetype>(i)];
        const double middle = starts[i].y() - small.ascent() * 0.35;
        painter->setPen(entry.pen);
        painter->drawLine(QPointF(starts[i].x(), middle),
                          QPointF(starts[i].x() + small.height() * sample, middle));
        painter->setPen(m_style.muted);
        painter->drawText(starts[i] + QPointF(small.height() * (sample + 0.2), 0), entry.label);
    }
}

QPointF PlotHeader::legendStart() const
{
    const QFontMetricsF small(m_style.font);
    const double titleLine = QFontMetricsF(m_style.scaled(1.0, true)).ascent() + 3;
    if (legendBesideTitle())
        return {m_width - legendWidth() - left, titleLine};
    return {left, titleLine + static_cast<double>(notes().size()) * small.height() * 1.15 +
                      (m_title.isEmpty() ? 0 : small.height() * 1.25)};
}

std::vector<QPointF> PlotHeader::entryStarts() const
{
    std::vector<QPointF> starts;
    const QPointF first = legendStart();
    const bool beside = legendBesideTitle();
    QPointF place = first;
    for (const LegendEntry& entry : m_entries) {
        const double width = entryWidth(entry.label);
        if (!beside && place.x() > first.x() && place.x() + width > m_width - left)
            place = {first.x(), place.y() + QFontMetricsF(m_style.font).height() * 1.25};
        starts.push_back(place);
        place.rx() += width;
    }
    return starts;
}

QStringList PlotHeader::notes() const
{
    QStringList lines = noteLines(m_note, QFontMetricsF(m_style.font), m_width - left - 4);
    if (!m_axisText.isEmpty())
        lines << m_axisText;
    return lines;
}

double PlotHeader::legendWidth() const
{
    const QFontMetricsF small(m_style.font);
    if (m_depth)
        return small.horizontalAdvance(m_low + m_high) + rampWidth() + 12 +
               (m_band ? small.horizontalAdvance(bandText()) + small.height() * 2 : 0);
    double width = 0;
    for (const LegendEntry& entry : m_entries)
        width += entryWidth(entry.label);
    return width;
}

double PlotHeader::entryWidth(const QString& label) const
{
    const QFontMetricsF small(m_style.font);
    return small.horizontalAdvance(label) + small.height() * (sample + 0.9);
}

int PlotHeader::legendLines() const
{
    if (m_entries.isEmpty())
        return 1; // the ramp by depth
    const QFontMetricsF small(m_style.font);
    const double below = entryStarts().back().y() - legendStart().y();
    return 1 + static_cast<int>(std::lround(below / (small.height() * 1.25)));
}

bool PlotHeader::legendBesideTitle() const
{
    return QFontMetricsF(m_style.scaled(1.0, true)).horizontalAdvance(m_title) + legendWidth() + 30 < m_width;
}

void PlotHeader::paintTopAxis(QPainter& painter, const QFontMetricsF& small) const
{
    const QRectF plot = static_cast<const QChart*>(parentItem())->plotArea();
    const double baseline = plot.top() - small.descent() - 5;
    painter.drawText(QPointF(left, baseline), m_topTitle);
    double free = left + small.horizontalAdvance(m_topTitle) + small.height() * 0.6;
    const double span = m_range.second - m_range.first;
    if (!(span > 0) || !(m_interval > 0))
        return;
    for (double x = std::ceil(m_range.first / m_interval) * m_interval; x <= m_range.second;
         x += m_interval) {
        const QString label = m_topLabel(x);
        const double width = small.horizontalAdvance(label);
        const double at = plot.left() + (x - m_range.first) / span * plot.width();
        const double start = std::min(at - width / 2, m_width - left - width);
        if (start < free)
            continue;
        painter.drawText(QPointF(start, baseline), label);
        painter.drawLine(QPointF(at, plot.top() - 4), QPointF(at, plot.top()));
        free = start + width + small.height() * 0.6;
    }
}

void PlotHeader::paintDepth(QPainter& painter, double x, double y, const QFontMetricsF& small) const
{
    const double top = y - small.ascent() * 0.65;
    const double height = small.ascent() * 0.55;
    if (m_band) {
        QColor fill = m_style.muted;
        fill.setAlphaF(0.25F);
        painter.fillRect(QRectF(x, top, small.height(), height), fill);
        painter.setPen(QPen(m_style.text, m_style.line));
        painter.drawLine(QPointF(x, top + height / 2), QPointF(x + small.height(), top + height / 2));
        painter.setPen(m_style.muted);
        painter.drawText(QPointF(x + small.height() + 4, y), bandText());
        x += small.height() * 2 + small.horizontalAdvance(bandText());
    }
    painter.setPen(m_style.muted);
    painter.drawText(QPointF(x, y), m_low);
    x += small.horizontalAdvance(m_low) + 4;
    const QRectF bar(x, top, rampWidth(), height);
    QLinearGradient ramp(bar.topLeft(), bar.topRight());
    for (int i = 0; i <= 8; ++i)
        ramp.setColorAt(i / 8.0, depthColour(i / 8.0, m_style.dark));
    painter.fillRect(bar, ramp);
    painter.drawText(QPointF(bar.right() + 4, y), m_high);
}

} // namespace rankscope::views

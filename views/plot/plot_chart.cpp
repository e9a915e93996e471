// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/plot_chart.h"

#include "views/plot/colour_map.h"
#include "views/plot/plot_header.h"
#include "views/plot/ticks.h"

#include <QCoreApplication>
#include <QFontMetricsF>
#include <QGraphicsLayout>
#include <QGraphicsScene>
#include <QGraphicsSceneResizeEvent>
#include <QPainter>
#include <QPen>
#include <QtCharts/QAreaSeries>
#include <QtCharts/QCategoryAxis>
#include <QtCharts/QLineSeries>
#include <QtCharts/QValueAxis>

#include <algorithm>
#include <array>
#include <cmath>

namespace rankscope::views
{

namespace
{

/// A little more than the range of an axis so long: lines and points are cut off at the edges of the plot
/// area, and a point at the end of the axis would lose a half.
std::pair<double, double> withRoom(std::pair<double, double> range, double length, const PlotStyle& style)
{
    const double points = style.line * 2.5;
    const double room = (range.second - range.first) * points / std::max(length - 2 * points, 8 * points);
    return {range.first - room, range.second + room};
}

/// In the order in which there are at no moment more ticks than are wanted. Qt lays out as many as a new
/// range and the interval before it give: of a long run's range with a short one's interval it does so for
/// minutes.
void setTicks(QValueAxis& axis, std::pair<double, double> range, double interval)
{
    if (interval > axis.tickInterval())
        axis.setTickInterval(interval);
    axis.setRange(range.first, range.second);
    axis.setTickInterval(interval);
}

} // namespace

PlotChart::PlotChart(bool logarithmic) : m_logarithmic(logarithmic)
{
    legend()->hide();
    layout()->setContentsMargins(0, 0, 0, 0);
    setBackgroundRoundness(0);
    setBackgroundPen(Qt::NoPen);
    setAnimationOptions(QChart::NoAnimation);
    const auto valueAxis = [this] {
        auto* axis = new QValueAxis(this);
        axis->setTickInterval(1);
        axis->setTickAnchor(0);
        axis->setTickType(QValueAxis::TicksDynamic);
        return axis;
    };
    m_x = valueAxis();
    if (logarithmic) { // of logarithms: a logarithmic axis of Qt has labels at powers of ten alone
        auto* axis = new QCategoryAxis(this);
        axis->setLabelsPosition(QCategoryAxis::AxisLabelsPositionOnValue);
        m_y = axis;
    } else {
        m_y = valueAxis();
    }
    addAxis(m_x, Qt::AlignBottom);
    addAxis(m_y, Qt::AlignLeft);
    m_areaLow = new QLineSeries(this);
    m_areaHigh = new QLineSeries(this);
    m_area = new QAreaSeries(m_areaHigh, m_areaLow);
    addSeries(m_area);
    m_area->attachAxis(m_x);
    m_area->attachAxis(m_y);
    m_marker = addLine();
    m_median = addLine();
    m_header = new PlotHeader(this);
}

PlotChart::~PlotChart() = default;

QLineSeries* PlotChart::addLine()
{
    auto* line = new QLineSeries(this);
    addSeries(line);
    line->attachAxis(m_x);
    line->attachAxis(m_y);
    return line;
}

QColor PlotChart::colourOf(const Curve& curve, const PlotStyle& style)
{
    if (curve.depth >= 0)
        return depthColour(curve.depth, style.dark);
    return curve.category >= 0 ? categoryColour(curve.category, style.dark) : categoryColour(0, style.dark);
}

QPen PlotChart::penOf(const Curve& curve, const PlotStyle& style)
{
    // In widths of the line; the last one is of all that have no colour of their own.
    static const std::array<QList<qreal>, categoryCount + 1> dashes = {{{},
                                                                        {6, 2},
                                                                        {1.5, 1.5},
                                                                        {6, 1.5, 1.5, 1.5},
                                                                        {3, 2},
                                                                        {6, 1.5, 1.5, 1.5, 1.5, 1.5},
                                                                        {10, 2},
                                                                        {1.5, 3.5}}};
    QPen pen(colourOf(curve, style), style.line, Qt::SolidLine, Qt::FlatCap, Qt::RoundJoin);
    const auto& pattern = dashes[static_cast<std::size_t>(std::clamp(curve.category, 0, categoryCount))];
    if (curve.depth < 0 && !curve.raw && !pattern.isEmpty())
        pen.setDashPattern(pattern);
    return pen;
}

std::pair<double, double> PlotChart::extent(const CurvePlot& plot)
{
    double low = std::numeric_limits<double>::infinity();
    double high = -low;
    for (const Curve& curve : plot.curves)
        if (!curve.data.empty()) {
            low = std::min(low, curve.data.firstX());
            high = std::max(high, curve.data.lastX());
        }
    if (low > high)
        return {0, 1};
    return low == high ? std::pair{low - 0.5, high + 0.5} : std::pair{low, high};
}

void PlotChart::applyStyle(const PlotStyle& style)
{
    setBackgroundBrush(style.background);
    for (QAbstractAxis* axis : {static_cast<QAbstractAxis*>(m_x), m_y}) {
        axis->setLabelsFont(style.font);
        axis->setTitleFont(style.font);
        axis->setLabelsBrush(style.muted);
        axis->setTitleBrush(style.muted);
        axis->setLinePen(QPen(style.muted, style.thinLine));
        axis->setGridLinePen(QPen(style.grid, style.thinLine));
        axis->setMinorGridLineVisible(false);
    }
}

void PlotChart::setAxes(const CurvePlot& plot, const PlotStyle& style, double low, double high)
{
    const QFontMetricsF metrics(style.font);
    const int wantedX = std::clamp(static_cast<int>(size().width() / (metrics.height() * 5)), 2, 8);
    const int wantedY = std::clamp(static_cast<int>(size().height() / (metrics.height() * 3)), 2, 7);
    const Ticks x = niceTicks(m_range.first, m_range.second, wantedX);
    const double interval = std::max(x.interval, 1.0); // steps and indices are whole
    m_x->setLabelFormat(QStringLiteral("%.0f"));
    m_x->setTitleText(plot.xTitle);
    QString title = plot.yTitle;
    std::pair<double, double> yRange;
    double yInterval = 0;
    if (m_logarithmic) {
        auto* y = static_cast<QCategoryAxis*>(m_y);
        const LogTicks ticks = niceLogTicks(low, high, wantedY);
        for (const QString& label : y->categoriesLabels())
            y->remove(label);
        y->setStartValue(std::log10(ticks.minimum()));
        for (const double value : ticks.values)
            y->append(LogTicks::label(value), std::log10(value));
        yRange = {std::log10(ticks.minimum()), std::log10(ticks.maximum())};
    } else {
        const int exponent = axisExponent(std::max(std::abs(low), std::abs(high)));
        m_scale = plot.yFactor * std::pow(10.0, -exponent);
        if (exponent != 0)
            title += QStringLiteral(" (×%1)").arg(powerOfTen(exponent));
        const double factor = std::pow(10.0, -exponent);
        const Ticks ticks = niceTicks(low * factor, high * factor, wantedY);
        auto* y = static_cast<QValueAxis*>(m_y);
        yInterval = ticks.interval;
        y->setLabelFormat(QStringLiteral("%.%1f").arg(ticks.decimals));
        yRange = {ticks.minimum, ticks.maximum};
    }
    // The plot area has its size only later; labels and titles take about this much of the chart.
    m_shown = withRoom(m_range, size().width() - metrics.height() * 4, style);
    yRange = withRoom(yRange, size().height() - m_header->height() - metrics.height() * 3, style);
    setTicks(*m_x, m_shown, interval);
    if (m_logarithmic)
        m_y->setRange(yRange.first, yRange.second);
    else
        setTicks(*static_cast<QValueAxis*>(m_y), yRange, yInterval);
    m_header->setTicks(m_shown, interval);
    // A title longer than its axis would be cut: it goes beside the plot's title then.
    const double space = size().height() - m_header->height() - metrics.height() * 5.5;
    const bool fits = metrics.horizontalAdvance(title) < space;
    m_y->setTitleText(fits ? title : QString());
    m_y->setTitleVisible(fits);
    m_header->setAxisText(fits ? QString() : title);
    m_x->setTitleVisible(space > metrics.height() * 2.5);
}

void PlotChart::show(const CurvePlot& plot, const PlotStyle& style,
                     std::optional<std::pair<double, double>> range, std::optional<double> marker)
{
    applyStyle(style);
    m_header->set(plot, style);
    m_header->setWidth(size().width());
    m_range = range.value_or(extent(plot));
    const int columns = std::max(32, static_cast<int>(plotArea().width()));

    std::vector<QList<QPointF>> drawn;
    double low = std::numeric_limits<double>::infinity();
    double high = -low;
    m_close.assign(plot.curves.size(), std::nullopt);
    const auto take = [&](const MinMaxSeries& data) {
        QList<QPointF> points = data.points(m_range.first, m_range.second, columns);
        if (m_logarithmic)
            points.removeIf([](const QPointF& point) { return point.y() <= 0; });
        for (const QPointF& point : points)
            if (point.x() >= m_range.first && point.x() <= m_range.second) {
                low = std::min(low, point.y() * plot.yFactor);
                high = std::max(high, point.y() * plot.yFactor);
            }
        return points;
    };
    const bool anyChosen = !plot.emphasised.empty();
    for (std::size_t i = 0; i < plot.curves.size(); ++i) {
        const Curve& curve = plot.curves[i];
        if (plot.isDrawn(curve) && !curve.data.isExact() && curve.closeUp)
            m_close[i] = curve.closeUp(m_range.first, m_range.second);
        drawn.push_back(plot.isDrawn(curve) ? take(series(plot, i)) : QList<QPointF>());
    }
    QList<QPointF> bandLow, bandMedian, bandHigh;
    const bool bandShown = plot.bandShown();
    m_closeBand.reset();
    if (bandShown) {
        if (!plot.band.median.isExact())
            m_closeBand = CurveBand::closeUp(plot.curves, m_range.first, m_range.second);
        bandLow = take(band(plot).low);
        bandMedian = take(band(plot).median);
        bandHigh = take(band(plot).high);
    }
    if (plot.scale) {
        low = plot.scale->first * plot.yFactor;
        high = plot.scale->second * plot.yFactor;
    }
    if (low > high) {
        low = m_logarithmic ? 0.1 : 0;
        high = 1;
    }
    if (plot.fromZero && !m_logarithmic) {
        low = std::min(low, 0.0);
        if (high <= low) // nothing but zeros
            high = low + 1;
    }
    m_scale = plot.yFactor;
    setAxes(plot, style, low, high);
    setMargins(QMargins(2, static_cast<int>(m_header->height()), style.paper ? 6 : 12, 2));
    const auto scaled = [this](QList<QPointF> points) {
        for (QPointF& point : points)
            point.ry() = onAxis(point.y());
        return points;
    };

    while (m_lines.size() < plot.curves.size())
        m_lines.push_back(addLine());
    for (std::size_t i = 0; i < m_lines.size(); ++i) {
        const bool used = i < plot.curves.size() && !drawn[i].isEmpty();
        m_lines[i]->setVisible(used);
        if (!used) {
            m_lines[i]->clear();
            continue;
        }
        const Curve& curve = plot.curves[i];
        const bool chosen = plot.emphasised.contains(curve.key);
        QPen pen = penOf(curve, style);
        QColor colour = pen.color();
        if (curve.raw)
            colour.setAlphaF(0.28F);
        else if (anyChosen && !chosen && curve.key >= 0)
            colour.setAlphaF(0.3F);
        const bool many = plot.curves.size() > 8;
        double width = many && !chosen ? style.thinLine : style.line;
        if (chosen && anyChosen)
            width = style.line * 1.6;
        const bool alone = drawn[i].size() == 1; // a point has the width of its pen
        pen.setColor(colour);
        pen.setWidthF(alone ? style.line * 1.4 : width);
        m_lines[i]->setPen(pen);
        m_lines[i]->setPointsVisible(alone);
        m_lines[i]->replace(scaled(drawn[i]));
    }
    const auto wide = [this](const QList<QPointF>& edge) { // at one step alone the band is a bar
        const QPointF half((m_shown.second - m_shown.first) * 0.01, 0);
        return edge.size() == 1 ? QList<QPointF>{edge[0] - half, edge[0] + half} : edge;
    };
    m_area->setVisible(bandShown);
    m_median->setVisible(bandShown);
    if (bandShown) {
        QColor fill = style.muted;
        fill.setAlphaF(0.22F);
        m_area->setPen(Qt::NoPen);
        m_area->setBrush(fill);
        m_areaLow->replace(wide(scaled(bandLow)));
        m_areaHigh->replace(wide(scaled(bandHigh)));
        QColor medianColour = style.text;
        medianColour.setAlphaF(anyChosen ? 0.5F : 0.9F);
        m_median->setPen(QPen(medianColour, style.line));
        m_median->setPointsVisible(bandMedian.size() == 1);
        m_median->replace(scaled(bandMedian));
    }
    const bool markerShown = marker && *marker >= m_range.first && *marker <= m_range.second;
    m_marker->setVisible(markerShown);
    if (markerShown) {
        QColor colour = style.accent;
        colour.setAlphaF(0.75F);
        m_marker->setPen(QPen(colour, style.thinLine, Qt::DashLine));
        const auto* y = static_cast<const QValueAxis*>(m_y);
        m_marker->replace(QList<QPointF>{{*marker, y->min()}, {*marker, y->max()}});
    }
}

QPointF PlotChart::toChart(double x, double y) const
{
    return const_cast<PlotChart*>(this)->mapToPosition({x, onAxis(y)}, m_marker);
}

int PlotChart::legendKeyAt(const QPointF& place) const
{
    return m_header->keyAt(m_header->mapFromParent(place));
}

double PlotChart::headerHeight() const
{
    return m_header->height();
}

double PlotChart::onAxis(double value) const
{
    return m_logarithmic ? std::log10(value) : value * m_scale;
}

const MinMaxSeries& PlotChart::series(const CurvePlot& plot, std::size_t curve) const
{
    return curve < m_close.size() && m_close[curve] ? *m_close[curve] : plot.curves[curve].data;
}

const CurveBand& PlotChart::band(const CurvePlot& plot) const
{
    return m_closeBand ? *m_closeBand : plot.band;
}

double PlotChart::xAt(const QPointF& place) const
{
    const QRectF area = plotArea();
    const double x = m_shown.first + (place.x() - area.left()) / std::max(1.0, area.width()) *
                                         (m_shown.second - m_shown.first);
    return std::clamp(x, m_range.first, m_range.second);
}

void PlotChart::resizeEvent(QGraphicsSceneResizeEvent* event)
{
    QChart::resizeEvent(event);
    if (m_header != nullptr)
        m_header->setWidth(event->newSize().width());
}

void paintCurvePlot(QPainter& painter, const QRectF& area, const CurvePlot& plot, const PlotStyle& style,
                    std::optional<std::pair<double, double>> range, std::optional<double> marker)
{
    QGraphicsScene scene;
    auto* chart = new PlotChart(plot.logarithmic);
    scene.addItem(chart);
    chart->resize(area.size());
    // Axis titles and labels claim their room in a layout that would otherwise wait for the event loop, and
    // decimation needs the plot area that the first pass settles.
    for (int pass = 0; pass < 2; ++pass) {
        chart->show(plot, style, range, marker);
        chart->layout()->invalidate();
        chart->layout()->activate();
        QCoreApplication::sendPostedEvents(chart, QEvent::LayoutRequest);
    }
    scene.setSceneRect(QRectF(QPointF(0, 0), area.size()));
    scene.render(&painter, area, scene.sceneRect(), Qt::IgnoreAspectRatio);
}

} // namespace rankscope::views

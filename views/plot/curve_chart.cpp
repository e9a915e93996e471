// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/curve_chart.h"

#include "views/plot/coverage.h"
#include "views/plot/format.h"
#include "views/plot/plot_chart.h"

#include <QFocusEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QRubberBand>

#include <algorithm>
#include <cmath>
#include <utility>

namespace rankscope::views
{

CurveChart::CurveChart(bool logarithmic, QWidget* parent)
    : QChartView(parent),
      m_chart(new PlotChart(logarithmic)),
      m_band(new QRubberBand(QRubberBand::Rectangle, this)),
      m_reading(new CursorReading(this))
{
    connect(m_reading, &CursorReading::changed, this, &CurveChart::hovered);
    setChart(m_chart);
    setRenderHint(QPainter::Antialiasing);
    setFrameShape(QFrame::NoFrame);
    setMouseTracking(true);
    viewport()->setMouseTracking(true);
    setFocusPolicy(Qt::StrongFocus);
    setContextMenuPolicy(Qt::CustomContextMenu);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
}

void CurveChart::setPlot(const CurvePlot* plot)
{
    m_plot = plot;
    refresh();
}

void CurveChart::setMarker(std::optional<double> step)
{
    m_marker = step;
}

void CurveChart::refresh()
{
    if (m_plot == nullptr)
        return;
    setAccessibleName(m_plot->title);
    const PlotStyle style = PlotStyle::screen(palette(), font());
    setBackgroundBrush(style.background);
    m_chart->show(*m_plot, style, m_zoom, m_marker);
    m_reading->renew();
    viewport()->update();
}

void CurveChart::fit()
{
    m_zoom.reset();
    refresh();
}

void CurveChart::setZoom(std::pair<double, double> range)
{
    if (!(range.first < range.second))
        return;
    m_zoom = range;
    refresh();
}

int CurveChart::curveAt(const QPoint& place) const
{
    if (m_plot == nullptr || !m_chart->plotArea().adjusted(-4, -4, 4, 4).contains(place))
        return -1;
    const double x = m_chart->xAt(place);
    int best = -1;
    double bestDistance = 40;
    for (std::size_t i = 0; i < m_plot->curves.size(); ++i) {
        const Curve& curve = m_plot->curves[i];
        if (curve.data.empty() || !m_plot->isDrawn(curve))
            continue;
        const QPointF point = m_chart->series(*m_plot, i).nearest(x);
        if (m_plot->logarithmic && point.y() <= 0)
            continue;
        const QPointF at = m_chart->toChart(point.x(), point.y());
        // the eye follows the curve: height counts, distance along the axis only where points are sparse
        const double distance =
            std::abs(at.y() - place.y()) + 0.1 * std::abs(at.x() - place.x()) + (curve.raw ? 6 : 0);
        if (distance < bestDistance) {
            bestDistance = distance;
            best = static_cast<int>(i);
        }
    }
    return best;
}

std::optional<QPointF> CurveChart::pointAt(const QPoint& place) const
{
    const int index = curveAt(place);
    if (index < 0)
        return std::nullopt;
    return m_chart->series(*m_plot, static_cast<std::size_t>(index)).nearest(m_chart->xAt(place));
}

int CurveChart::keyAt(const QPoint& place) const
{
    const int index = curveAt(place);
    return index >= 0 ? m_plot->curves[static_cast<std::size_t>(index)].key : m_chart->legendKeyAt(place);
}

std::optional<std::int64_t> CurveChart::stepAt(const QPoint& place) const
{
    if (m_plot == nullptr || !m_plot->overSteps() || m_plot->empty() || !m_chart->plotArea().contains(place))
        return std::nullopt;
    return std::llround(m_chart->xAt(place));
}

QString CurveChart::bandReadingAt(const QPoint& place) const
{
    if (m_plot == nullptr || !m_plot->bandShown() || !m_chart->plotArea().contains(place))
        return {};
    const CurveBand& band = m_chart->band(*m_plot);
    const double x = m_chart->xAt(place);
    const QPointF median = band.median.nearest(x);
    const auto read = [this](double value) { return formatValue(value * m_plot->unitFactor, m_plot->unit); };
    return QStringLiteral("step %1\nmedian %2\n10-90 %: %3 to %4\n%5 of %6 %7 measured")
        .arg(median.x(), 0, 'f', 0)
        .arg(read(median.y()), read(band.low.nearest(x).y()), read(band.high.nearest(x).y()))
        .arg(band.known.nearest(x).y(), 0, 'f', 0)
        .arg(m_plot->curves.size())
        .arg(pluralOf(m_plot->curveNoun.isEmpty() ? QStringLiteral("curve") : m_plot->curveNoun));
}

QString CurveChart::readingAt(const QPoint& place) const
{
    const int index = curveAt(place);
    return index < 0 ? bandReadingAt(place) : readingOf(index, m_chart->xAt(place));
}

QString CurveChart::readingOf(int index, double x) const
{
    if (index < 0 || index >= static_cast<int>(m_plot->curves.size()))
        return {}; // the plot that had it was made anew
    const Curve& curve = m_plot->curves[static_cast<std::size_t>(index)];
    if (curve.data.empty())
        return {};
    const QPointF point = m_chart->series(*m_plot, static_cast<std::size_t>(index)).nearest(x);
    const QString name = curve.name.isEmpty() ? curve.label : curve.name;
    const QString where = m_plot->overSteps() ? QStringLiteral("step") : m_plot->xTitle;
    QString lines = QStringLiteral("%1\n%2 %3\n%4")
                        .arg(name.isEmpty() ? m_plot->title : name, where)
                        .arg(point.x(), 0, 'f', 0)
                        .arg(formatValue(point.y() * m_plot->unitFactor, m_plot->unit));
    if (!m_plot->note.isEmpty()) // of one step, which is not on the axis
        lines += QLatin1Char('\n') + m_plot->note;
    return lines;
}

void CurveChart::changeEvent(QEvent* event)
{
    QChartView::changeEvent(event);
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange ||
        event->type() == QEvent::StyleChange)
        refresh();
}

void CurveChart::resizeEvent(QResizeEvent* event)
{
    QChartView::resizeEvent(event);
    refresh();
}

void CurveChart::mouseMoveEvent(QMouseEvent* event)
{
    const QPoint place = event->position().toPoint();
    if (m_dragging) {
        const QRect area = m_chart->plotArea().toRect();
        const int left = std::clamp(std::min(place.x(), m_pressed.x()), area.left(), area.right());
        const int right = std::clamp(std::max(place.x(), m_pressed.x()), area.left(), area.right());
        m_band->setGeometry(QRect(QPoint(left, area.top()), QPoint(right, area.bottom())));
        m_band->setVisible(right - left > 6);
        return;
    }
    const auto read = [this, place] {
        m_hoverCurve = curveAt(place); // where the cursor rests, curves may come and go
        m_hoverX = m_chart->xAt(place);
        return readingAt(place);
    };
    m_reading->show(read, event->globalPosition().toPoint());
    viewport()->setCursor(m_chart->legendKeyAt(place) >= 0 ? Qt::PointingHandCursor : Qt::ArrowCursor);
    viewport()->update();
}

void CurveChart::mousePressEvent(QMouseEvent* event)
{
    setFocus(Qt::MouseFocusReason);
    if (event->button() != Qt::LeftButton)
        return;
    m_pressed = event->position().toPoint();
    m_clickedCurve = false;
    m_dragging = m_chart->plotArea().contains(m_pressed);
}

void CurveChart::mouseReleaseEvent(QMouseEvent* event)
{
    if (event->button() != Qt::LeftButton)
        return;
    const QPoint place = event->position().toPoint();
    if (!m_dragging) {
        const int key = m_chart->legendKeyAt(place);
        if (key >= 0 && key == m_chart->legendKeyAt(m_pressed))
            Q_EMIT keyClicked(key, event->modifiers());
        return;
    }
    m_dragging = false;
    if (m_band->isVisible()) {
        const double a = m_chart->xAt(m_band->geometry().topLeft());
        const double b = m_chart->xAt(m_band->geometry().topRight());
        m_band->hide();
        setZoom({a, b});
        return;
    }
    const int index = curveAt(place);
    if (index >= 0 && m_plot->curves[static_cast<std::size_t>(index)].key >= 0) {
        m_clickedCurve = true;
        Q_EMIT keyClicked(m_plot->curves[static_cast<std::size_t>(index)].key, event->modifiers());
    }
}

void CurveChart::mouseDoubleClickEvent(QMouseEvent* event)
{
    if (event->button() != Qt::LeftButton || !m_chart->plotArea().contains(event->position()))
        return;
    if (std::exchange(m_clickedCurve, false))
        Q_EMIT clickTakenBack();
    fit();
}

void CurveChart::wheelEvent(QWheelEvent* event)
{
    if (m_plot == nullptr || !m_chart->plotArea().contains(event->position()) ||
        event->angleDelta().y() == 0) {
        event->ignore();
        return;
    }
    const auto full = PlotChart::extent(*m_plot);
    const auto range = m_zoom.value_or(full);
    const double centre = m_chart->xAt(event->position());
    const double factor = std::pow(0.8, event->angleDelta().y() / 120.0);
    const double low = std::max(full.first, centre - (centre - range.first) * factor);
    const double high = std::min(full.second, centre + (range.second - centre) * factor);
    if (high - low < 1)
        return;
    if (low <= full.first && high >= full.second)
        m_zoom.reset();
    else
        m_zoom = std::pair{low, high};
    refresh();
    event->accept();
}

int CurveChart::nextCurve(int from, int direction) const
{
    const auto count = static_cast<int>(m_plot->curves.size());
    for (int i = 1; i <= count; ++i) {
        const int next = ((from + direction * i) % count + count) % count;
        const Curve& curve = m_plot->curves[static_cast<std::size_t>(next)];
        if (!curve.raw && !curve.data.empty() && m_plot->isDrawn(curve))
            return next;
    }
    return from;
}

void CurveChart::keyPressEvent(QKeyEvent* event)
{
    const bool enter = event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter;
    const bool arrow = event->modifiers().testFlag(Qt::ShiftModifier) &&
                       (event->key() == Qt::Key_Left || event->key() == Qt::Key_Right ||
                        event->key() == Qt::Key_Up || event->key() == Qt::Key_Down);
    if (m_plot == nullptr || m_plot->empty() || (!enter && !arrow)) {
        QChartView::keyPressEvent(event);
        return;
    }
    const auto known = static_cast<int>(m_plot->curves.size());
    if (m_hoverCurve < 0 || m_hoverCurve >= known) { // come to by key: the newest point of the first curve
        m_hoverCurve = nextCurve(-1, 1);
        if (m_hoverCurve < 0)
            return; // nothing is drawn one by one
        m_hoverX = m_chart->xRange().second;
    } else if (event->key() == Qt::Key_Up || event->key() == Qt::Key_Down) {
        m_hoverCurve = nextCurve(m_hoverCurve, event->key() == Qt::Key_Up ? -1 : 1);
    } else if (arrow) {
        // To another point, however far apart they are.
        const MinMaxSeries& points = m_chart->series(*m_plot, static_cast<std::size_t>(m_hoverCurve));
        const auto [low, high] = m_chart->xRange();
        const double direction = event->key() == Qt::Key_Left ? -1 : 1;
        const double from = points.nearest(m_hoverX).x();
        for (double way = std::max(1.0, (high - low) / 200); way <= high - low; way *= 2)
            if (const double next = points.nearest(from + direction * way).x();
                next != from && next >= low && next <= high) {
                m_hoverX = next;
                break;
            }
    }
    viewport()->update();
    const int key = m_plot->curves[static_cast<std::size_t>(m_hoverCurve)].key;
    if (enter && key >= 0)
        Q_EMIT keyClicked(key, event->modifiers());
    else
        m_reading->show([this] { return readingOf(m_hoverCurve, m_hoverX); }, {});
}

void CurveChart::leaveEvent(QEvent* event)
{
    m_hoverCurve = -1;
    viewport()->update();
    m_reading->clear();
    QChartView::leaveEvent(event);
}

void CurveChart::focusInEvent(QFocusEvent* event)
{
    m_framed = event->reason() == Qt::TabFocusReason || event->reason() == Qt::BacktabFocusReason;
    viewport()->update();
    QChartView::focusInEvent(event);
}

void CurveChart::focusOutEvent(QFocusEvent* event)
{
    m_framed = false;
    viewport()->update();
    QChartView::focusOutEvent(event);
}

void CurveChart::paintEvent(QPaintEvent* event)
{
    QChartView::paintEvent(event);
    if (!m_framed)
        return;
    QPainter painter(viewport());
    painter.setPen(QPen(PlotStyle::screen(palette(), font()).accent, 2));
    painter.drawRect(viewport()->rect().adjusted(1, 1, -1, -1));
}

void CurveChart::drawForeground(QPainter* painter, const QRectF& /*rect*/)
{
    if (m_plot == nullptr)
        return;
    const PlotStyle style = PlotStyle::screen(palette(), font());
    if (m_plot->empty() && !m_plot->emptyText.isEmpty()) {
        painter->setPen(style.muted);
        painter->setFont(style.font);
        painter->drawText(m_chart->plotArea().adjusted(8, 0, -8, 0), Qt::AlignCenter | Qt::TextWordWrap,
                          m_plot->emptyText);
        return;
    }
    if (m_hoverCurve < 0 || m_hoverCurve >= static_cast<int>(m_plot->curves.size()))
        return;
    const Curve& curve = m_plot->curves[static_cast<std::size_t>(m_hoverCurve)];
    if (curve.data.empty())
        return;
    const QPointF point = m_chart->series(*m_plot, static_cast<std::size_t>(m_hoverCurve)).nearest(m_hoverX);
    painter->setPen(QPen(style.background, 1.5));
    painter->setBrush(PlotChart::colourOf(curve, style));
    painter->drawEllipse(m_chart->toChart(point.x(), point.y()), 4, 4);
}

} // namespace rankscope::views

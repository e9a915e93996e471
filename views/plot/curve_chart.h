// SPDX-License-Identifier: GPL-3.0-or-later
// The widget around a PlotChart: hover, zoom, click.
#pragma once

#include "views/plot/cursor_reading.h"
#include "views/plot/curve_plot.h"
#include "views/plot/plot_style.h"

#include <QtCharts/QChartView>

#include <cstdint>
#include <optional>

class QRubberBand;

namespace rankscope::views
{

class PlotChart;

class CurveChart : public QChartView
{
    Q_OBJECT

public:
    explicit CurveChart(bool logarithmic = false, QWidget* parent = nullptr);

    /// The plot is the model's own and must outlive the widget; call refresh() after each change of it.
    void setPlot(const CurvePlot* plot);
    /// Shown by the next refresh().
    void setMarker(std::optional<double> step);
    void refresh();
    /// Shows everything again after a zoom.
    void fit();
    [[nodiscard]] const CurvePlot* plot() const { return m_plot; }
    [[nodiscard]] std::optional<std::pair<double, double>> zoom() const { return m_zoom; }
    /// Shows this part of the x axis.
    void setZoom(std::pair<double, double> range);
    [[nodiscard]] std::optional<double> marker() const { return m_marker; }
    /// Index of the drawn curve nearest to a place in the widget, or -1.
    [[nodiscard]] int curveAt(const QPoint& place) const;
    /// The point of that curve nearest to the place.
    [[nodiscard]] std::optional<QPointF> pointAt(const QPoint& place) const;
    /// Key of the curve, or of the legend's entry, at a place in the widget, or -1.
    [[nodiscard]] int keyAt(const QPoint& place) const;
    /// The step under the cursor, in a chart over steps.
    [[nodiscard]] std::optional<std::int64_t> stepAt(const QPoint& place) const;
    /// What the cursor reads there: one line, or nothing.
    [[nodiscard]] QString readingAt(const QPoint& place) const;

    [[nodiscard]] QSize sizeHint() const override { return {420, 260}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {140, 96}; }

Q_SIGNALS:
    /// A curve with a key was clicked.
    void keyClicked(int key, Qt::KeyboardModifiers modifiers);
    /// That click was the first half of a double click, which shows everything and selects nothing.
    void clickTakenBack();
    void hovered(const QString& lines);

protected:
    void changeEvent(QEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    /// Shift and arrows go along a curve and from curve to curve, Enter selects it.
    void keyPressEvent(QKeyEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void paintEvent(QPaintEvent* event) override;
    void drawForeground(QPainter* painter, const QRectF& rect) override;

private:
    [[nodiscard]] QString bandReadingAt(const QPoint& place) const;
    /// The curve's point nearest to x.
    [[nodiscard]] QString readingOf(int curve, double x) const;
    /// The next drawn curve after (1) or before (-1) this one; the same if there is no other.
    [[nodiscard]] int nextCurve(int from, int direction) const;

    PlotChart* m_chart;
    const CurvePlot* m_plot = nullptr;
    std::optional<std::pair<double, double>> m_zoom;
    std::optional<double> m_marker;
    QPoint m_pressed;
    bool m_clickedCurve = false; ///< by the last click
    bool m_dragging = false;
    bool m_framed = false; ///< come to by key, which is shown where there is nothing else that shows it
    QRubberBand* m_band = nullptr;
    CursorReading* m_reading;
    int m_hoverCurve = -1;
    double m_hoverX = 0;
};

} // namespace rankscope::views

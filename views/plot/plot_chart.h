// SPDX-License-Identifier: GPL-3.0-or-later
// A Qt chart that shows a CurvePlot: the same on the screen and on paper.
#pragma once

#include "views/plot/curve_plot.h"
#include "views/plot/plot_style.h"

#include <QtCharts/QChart>

#include <optional>
#include <vector>

class QAbstractAxis;
class QAreaSeries;
class QLineSeries;
class QPainter;
class QValueAxis;

namespace rankscope::views
{

class PlotHeader;

class PlotChart : public QChart
{
    Q_OBJECT

public:
    explicit PlotChart(bool logarithmic);
    ~PlotChart() override;

    /// Shows the plot between x0 and x1 (all of it if nothing is given) with `marker` as a line at that step.
    void show(const CurvePlot& plot, const PlotStyle& style, std::optional<std::pair<double, double>> range,
              std::optional<double> marker);
    /// What is drawn for a curve.
    static QColor colourOf(const Curve& curve, const PlotStyle& style);
    /// The line of a category: colour and dashes, so that none is told by colour alone.
    static QPen penOf(const Curve& curve, const PlotStyle& style);
    /// Full extent of the data in x.
    static std::pair<double, double> extent(const CurvePlot& plot);
    [[nodiscard]] std::pair<double, double> xRange() const { return m_range; }
    /// Position of the last drawn data value in the chart.
    [[nodiscard]] QPointF toChart(double x, double y) const;
    [[nodiscard]] double xAt(const QPointF& place) const;
    /// The points that a curve of the plot shown is drawn from, and the band: as recorded where a close look
    /// at a long run asks for that.
    [[nodiscard]] const MinMaxSeries& series(const CurvePlot& plot, std::size_t curve) const;
    [[nodiscard]] const CurveBand& band(const CurvePlot& plot) const;
    /// Key of the curve whose legend entry is at this place, or -1.
    [[nodiscard]] int legendKeyAt(const QPointF& place) const;
    /// Space above the plot that the title and the legend take.
    [[nodiscard]] double headerHeight() const;

protected:
    void resizeEvent(QGraphicsSceneResizeEvent* event) override;

private:
    QLineSeries* addLine();
    void applyStyle(const PlotStyle& style);
    [[nodiscard]] double onAxis(double value) const;
    void setAxes(const CurvePlot& plot, const PlotStyle& style, double low, double high);

    QValueAxis* m_x = nullptr;
    QAbstractAxis* m_y = nullptr;
    bool m_logarithmic = false;
    std::vector<QLineSeries*> m_lines;
    QAreaSeries* m_area = nullptr;
    QLineSeries* m_areaLow = nullptr;
    QLineSeries* m_areaHigh = nullptr;
    QLineSeries* m_median = nullptr;
    QLineSeries* m_marker = nullptr;
    PlotHeader* m_header = nullptr;
    std::vector<std::optional<MinMaxSeries>> m_close; ///< by curve
    std::optional<CurveBand> m_closeBand;
    std::pair<double, double> m_range{0, 1}; ///< of the data shown
    std::pair<double, double> m_shown{0, 1}; ///< of the x axis, with the room at its ends
    double m_scale = 1;                      ///< recorded value times this is the axis's value
};

/// Draws the plot into `area`; the painter's unit is the style's.
void paintCurvePlot(QPainter& painter, const QRectF& area, const CurvePlot& plot, const PlotStyle& style,
                    std::optional<std::pair<double, double>> range = {}, std::optional<double> marker = {});

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
// How a chart is drawn.
#include "views/plot/bar_plot.h"
#include "views/plot/colour_map.h"
#include "views/plot/plot_chart.h"

#include <QGraphicsScene>
#include <QImage>
#include <QPainter>
#include <QTest>
#include <QtCharts/QAreaSeries>
#include <QtCharts/QLineSeries>
#include <QtCharts/QValueAxis>

#include <algorithm>
#include <set>
#include <vector>

using namespace rankscope;
using namespace rankscope::views;

class ChartTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void legendStaysAboveThePlot();
    void pointsAtTheEndsAreWhole();
    void anotherExtentAsksForNoMoreTicks();
    void bandOfOneStepIsABar();
    void legendOfNarrowBarsStaysInside();
    void categoriesDifferWithoutColour();
};

void ChartTest::legendStaysAboveThePlot()
{
    CurvePlot plot;
    plot.title = QStringLiteral("Spectra at the cuts, step 36");
    plot.legend = CurveLegend::Categories;
    for (int i = 0; i < 5; ++i) {
        Curve curve;
        curve.label = QStringLiteral("core %1").arg(i);
        curve.category = i;
        plot.curves.push_back(curve);
    }
    const PlotStyle style = PlotStyle::onPaper(11, false);
    for (int width = 240; width < 900; width += 7) {
        QGraphicsScene scene;
        auto* chart = new PlotChart(false);
        scene.addItem(chart);
        chart->resize(width, 300);
        chart->show(plot, style, {}, {});
        QImage picture(width, 300, QImage::Format_RGB32);
        picture.fill(Qt::white);
        QPainter painter(&picture);
        scene.render(&painter, QRectF(0, 0, width, 300), QRectF(0, 0, width, 300));
        painter.end();
        int lowest = 0;
        for (int y = 0; y < picture.height(); ++y)
            for (int x = 0; x < width; ++x)
                if (picture.pixelColor(x, y).saturation() > 100)
                    lowest = y;
        QVERIFY(lowest > 0);
        QVERIFY2(lowest < chart->headerHeight(), qPrintable(QString::number(width)));
    }
}

void ChartTest::pointsAtTheEndsAreWhole()
{
    // One point each in the middle and in the corners of the data: all have the same ink.
    CurvePlot plot;
    plot.fromZero = true;
    int category = 0;
    for (const QPointF& point : {QPointF(50, 5), QPointF(0, 0), QPointF(100, 10), QPointF(0, 10)}) {
        Curve curve;
        curve.category = category++;
        curve.data.append(point.x(), point.y());
        plot.curves.push_back(curve);
    }
    const PlotStyle style = PlotStyle::onPaper(8, false);
    QImage picture(1200, 900, QImage::Format_RGB32);
    picture.fill(Qt::white);
    QPainter painter(&picture);
    painter.setRenderHint(QPainter::Antialiasing);
    painter.scale(3, 3);
    paintCurvePlot(painter, QRectF(0, 0, 400, 300), plot, style);
    painter.end();
    std::vector<int> ink(plot.curves.size(), 0);
    for (int y = 0; y < picture.height(); ++y)
        for (int x = 0; x < picture.width(); ++x)
            for (std::size_t i = 0; i < ink.size(); ++i)
                ink[i] += picture.pixelColor(x, y) == PlotChart::colourOf(plot.curves[i], style) ? 1 : 0;
    for (const int pixels : ink)
        QVERIFY2(pixels > 0.9 * ink.front() && ink.front() > 20,
                 qPrintable(QStringLiteral("%1 of %2").arg(pixels).arg(ink.front())));
}

void ChartTest::anotherExtentAsksForNoMoreTicks()
{
    const auto line = [](double lastStep, double last) {
        CurvePlot plot;
        Curve curve;
        curve.data.append(1, 0);
        curve.data.append(lastStep, last);
        plot.curves.push_back(curve);
        return plot;
    };
    const PlotStyle style = PlotStyle::onPaper(8, false);
    QGraphicsScene scene;
    auto* chart = new PlotChart(false);
    scene.addItem(chart);
    chart->resize(400, 300);
    chart->show(line(100, 1), style, {}, {});
    double most = 0; // what Qt lays out at each of these moments
    for (QAbstractAxis* axis : chart->axes()) {
        const auto* values = qobject_cast<QValueAxis*>(axis);
        const auto count = [&most, values] {
            most = std::max(most, (values->max() - values->min()) / values->tickInterval());
        };
        connect(values, &QValueAxis::rangeChanged, this, count);
        connect(values, &QValueAxis::tickIntervalChanged, this, count);
    }
    for (const auto& [lastStep, last] : {std::pair(1e6, 9e3), std::pair(3.0, 0.01), std::pair(1e6, 9e3)})
        chart->show(line(lastStep, last), style, {}, {});
    QVERIFY(most > 1);
    QVERIFY2(most < 20, qPrintable(QString::number(most)));
}

void ChartTest::bandOfOneStepIsABar()
{
    CurvePlot plot;
    plot.showBand = true;
    std::vector<double> values;
    for (int layer = 0; layer < 20; ++layer) {
        Curve curve;
        curve.data.append(5, layer);
        plot.curves.push_back(curve);
        values.push_back(layer);
    }
    plot.band.append(5, values);
    PlotChart chart(false);
    chart.resize(400, 300);
    chart.show(plot, PlotStyle::onPaper(8, false), {}, {});
    const QAreaSeries* band = nullptr;
    for (const QAbstractSeries* series : chart.QChart::series())
        if (const auto* area = qobject_cast<const QAreaSeries*>(series))
            band = area;
    QVERIFY(band != nullptr && band->isVisible());
    const QList<QPointF> low = band->lowerSeries()->points(), high = band->upperSeries()->points();
    QCOMPARE(low.size(), 2);
    QCOMPARE(high.size(), 2);
    QVERIFY(low[0].x() < 5 && low[1].x() > 5 && low[1].x() - low[0].x() < 0.1);
    QVERIFY(low[0].y() == low[1].y() && low[0].y() < high[0].y());
}

void ChartTest::legendOfNarrowBarsStaysInside()
{
    BarPlot plot;
    plot.groups = QStringList{QStringLiteral("a"), QStringLiteral("b")};
    plot.series = {{QStringLiteral("before (base model)"), {10, 20}, true},
                   {QStringLiteral("step 40"), {30, 40}}};
    const PlotStyle style = PlotStyle::onPaper(8, false);
    for (const int width : {110, 150, 400}) {
        QImage picture(500, 200, QImage::Format_RGB32);
        picture.fill(Qt::white);
        QPainter painter(&picture);
        paintBarPlot(painter, QRectF(0, 0, width, 200), plot, style);
        painter.end();
        for (int y = 0; y < picture.height(); ++y)
            for (int x = width; x < picture.width(); ++x)
                QVERIFY2(picture.pixelColor(x, y) == Qt::white, qPrintable(QString::number(width)));
    }
}

void ChartTest::categoriesDifferWithoutColour()
{
    // Level lines of one colour's lightness: along each, the gaps tell which category it is, in the plot and
    // in the legend.
    CurvePlot plot;
    plot.title = QStringLiteral("Loss by task");
    plot.legend = CurveLegend::Categories;
    for (int i = 0; i <= categoryCount; ++i) {
        Curve curve;
        curve.label = QStringLiteral("task %1").arg(i);
        curve.category = i;
        curve.data.append(0, i);
        curve.data.append(100, i);
        plot.curves.push_back(curve);
    }
    const PlotStyle style = PlotStyle::onPaper(8, false);
    constexpr int scale = 4;
    QImage picture(400 * scale, 300 * scale, QImage::Format_RGB32);
    picture.fill(Qt::white);
    QPainter painter(&picture);
    painter.scale(scale, scale);
    paintCurvePlot(painter, QRectF(0, 0, 400, 300), plot, style);
    painter.end();
    /// The lengths of the first dash and of the gaps about it in the lowest or the highest line of that
    /// colour.
    const auto dashesOf = [&](const Curve& curve, bool inPlot) {
        const QColor colour = PlotChart::colourOf(curve, style);
        for (int i = 0; i < picture.height(); ++i) {
            const int y = inPlot ? picture.height() - 1 - i : i;
            std::vector<int> runs;
            for (int x = 0; x < picture.width(); ++x) {
                const bool ink = picture.pixelColor(x, y) == colour;
                if (ink && (runs.empty() || picture.pixelColor(x - 1, y) != colour))
                    runs.push_back(0);
                if (ink)
                    ++runs.back();
            }
            if (!runs.empty())
                return runs;
        }
        return std::vector<int>();
    };
    std::set<std::vector<int>> inPlot, inLegend;
    for (const Curve& curve : plot.curves) {
        inPlot.insert(dashesOf(curve, true));
        inLegend.insert(dashesOf(curve, false));
        Curve raw = curve;
        raw.raw = true;
        QCOMPARE(PlotChart::penOf(raw, style).style(), Qt::SolidLine); // behind, and faint
    }
    QCOMPARE(inPlot.size(), plot.curves.size());
    QCOMPARE(inLegend.size(), plot.curves.size());
    QVERIFY(!inPlot.contains({}) && !inLegend.contains({}));
    Curve layer;
    layer.depth = 0.5;
    QCOMPARE(PlotChart::penOf(layer, style).style(), Qt::SolidLine); // a ramp by depth differs in lightness
}

QTEST_MAIN(ChartTest)
#include "chart_test.moc"

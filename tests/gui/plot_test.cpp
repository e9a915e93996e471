// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/colour_map.h"
#include "views/plot/curve_chart.h"
#include "views/plot/curve_feed.h"
#include "views/plot/format.h"
#include "views/plot/hatch.h"
#include "views/plot/heat_map.h"
#include "views/plot/measure_access.h"
#include "views/plot/min_max_series.h"
#include "views/plot/plot_chart.h"
#include "views/plot/ticks.h"

#include <QImage>
#include <QPainter>
#include <QTest>

#include <cmath>
#include <functional>

using namespace rankscope;
using namespace rankscope::views;

class PlotTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void decimationKeepsExtremesInBoundedMemory();
    void decimationDrawsEveryPixelColumnsExtremes();
    void shortSeriesIsExact();
    void ticksAreRound_data();
    void ticksAreRound();
    void exponentOnlyWhereLabelsWouldBeLong();
    void logarithmicTicks();
    void hatchIsLines();
    void smoothingIsTheBiasCorrectedMean();
    void feedFollowsARewind();
    void closeUpIsTheRecord();
    void closeUpOfAMean();
    void bandIsTheQuantiles();
    void bandNeedsEnoughCurves();
    void bandHasPointsOnlyWhereMeasured();
    void closeUpOfABand();
    void cursorSaysWhenItWasMeasured();
    void positionsByAxisName();
    void latestLooksBackOnlyToTheStep();
    void coloursAtTheEnds();
    void names();
};

void PlotTest::decimationKeepsExtremesInBoundedMemory()
{
    MinMaxSeries series(256);
    const int count = 1'000'000;
    for (int i = 0; i < count; ++i)
        series.append(i, i == 123'456 ? 50 : i == 654'321 ? -50 : std::sin(i * 0.01));
    QCOMPARE(series.count(), std::size_t(count));
    QVERIFY(series.bucketCount() <= 256);
    const auto points = series.points(0, count, 400);
    QVERIFY(points.size() <= 4 * 400 + 4);
    QVERIFY(points.contains(QPointF(123'456, 50)));
    QVERIFY(points.contains(QPointF(654'321, -50)));
    QCOMPARE(points.front(), QPointF(0, 0));
    QCOMPARE(points.back().x(), double(count - 1));
    for (qsizetype i = 1; i < points.size(); ++i)
        QVERIFY(points[i - 1].x() <= points[i].x());
}

void PlotTest::decimationDrawsEveryPixelColumnsExtremes()
{
    // Against a plain minimum and maximum over each column.
    MinMaxSeries series(4096);
    const int count = 3000;
    const int columns = 100;
    std::vector<double> values;
    for (int i = 0; i < count; ++i) {
        values.push_back(std::sin(i * 1.7) * std::cos(i * 0.031));
        series.append(i, values.back());
    }
    const auto points = series.points(0, count, columns);
    for (int column = 0; column < columns; ++column) {
        double low = 2;
        double high = -2;
        for (int i = column * count / columns; i < (column + 1) * count / columns; ++i) {
            low = std::min(low, values[std::size_t(i)]);
            high = std::max(high, values[std::size_t(i)]);
        }
        double drawnLow = 2;
        double drawnHigh = -2;
        for (const QPointF& point : points)
            if (point.x() >= column * count / columns && point.x() < (column + 1) * count / columns) {
                drawnLow = std::min(drawnLow, point.y());
                drawnHigh = std::max(drawnHigh, point.y());
            }
        QCOMPARE(drawnLow, low);
        QCOMPARE(drawnHigh, high);
    }
}

void PlotTest::shortSeriesIsExact()
{
    MinMaxSeries series;
    series.append(1, 3);
    series.append(2, std::nan(""));
    series.append(4, 1);
    QCOMPARE(series.points(0, 10, 500), (QList<QPointF>{{1, 3}, {4, 1}}));
    QCOMPARE(series.nearest(1.4), QPointF(1, 3));
    QCOMPARE(series.nearest(100), QPointF(4, 1));
}

void PlotTest::ticksAreRound_data()
{
    QTest::addColumn<double>("low");
    QTest::addColumn<double>("high");
    QTest::addColumn<int>("wanted");
    QTest::addColumn<double>("interval");
    QTest::addColumn<double>("minimum");
    QTest::addColumn<double>("maximum");
    QTest::newRow("unit") << 0.0 << 1.0 << 5 << 0.2 << 0.0 << 1.0;
    QTest::newRow("steps") << 1.0 << 200.0 << 4 << 50.0 << 0.0 << 200.0;
    QTest::newRow("small") << 0.00013 << 0.00018 << 5 << 1e-5 << 0.00013 << 0.00018;
    QTest::newRow("constant") << 3.0 << 3.0 << 3 << 0.2 << 2.6 << 3.4;
}

void PlotTest::ticksAreRound()
{
    QFETCH(double, low);
    QFETCH(double, high);
    QFETCH(int, wanted);
    QFETCH(double, interval);
    QFETCH(double, minimum);
    QFETCH(double, maximum);
    const Ticks ticks = niceTicks(low, high, wanted);
    QCOMPARE(ticks.interval, interval);
    QVERIFY(std::abs(ticks.minimum - minimum) < 1e-9);
    QVERIFY(std::abs(ticks.maximum - maximum) < 1e-9);
}

void PlotTest::exponentOnlyWhereLabelsWouldBeLong()
{
    QCOMPARE(axisExponent(3.2), 0);
    QCOMPARE(axisExponent(99'999), 0);
    QCOMPARE(axisExponent(2e-4), -4);
    QCOMPARE(axisExponent(5.2e5), 5);
    QCOMPARE(powerOfTen(-4), QStringLiteral("10⁻⁴"));
}

void PlotTest::logarithmicTicks()
{
    QCOMPARE(niceLogTicks(21, 95, 5).values, (std::vector<double>{20, 50, 100}));
    QCOMPARE(niceLogTicks(50, 50, 5).values, (std::vector<double>{50, 100}));
    QCOMPARE(niceLogTicks(10, 1000, 5).values, (std::vector<double>{10, 20, 50, 100, 200, 500, 1000}));
    const LogTicks wide = niceLogTicks(3e-8, 7e4, 4); // powers of ten between the ends
    QCOMPARE(wide.minimum(), 2e-8);
    QCOMPARE(wide.maximum(), 1e5);
    QVERIFY(wide.values.size() <= 7);
    QCOMPARE(LogTicks::label(0.002), QStringLiteral("0.002"));
}

void PlotTest::hatchIsLines()
{
    // The same share of ink at any resolution.
    const auto ink = [](double scale) {
        QImage picture(int(60 * scale), int(60 * scale), QImage::Format_RGB32);
        picture.fill(Qt::white);
        QPainter painter(&picture);
        painter.scale(scale, scale);
        paintHatch(painter, QRectF(0, 0, 60, 60), Qt::black);
        painter.end();
        double dark = 0;
        for (int y = 0; y < picture.height(); ++y)
            for (int x = 0; x < picture.width(); ++x)
                dark += 255 - picture.pixelColor(x, y).lightness();
        return dark / 255 / picture.width() / picture.height();
    };
    QVERIFY(ink(1) > 0.08 && ink(1) < 0.3);
    QVERIFY(std::abs(ink(16) - ink(1)) < 0.05);
}

namespace
{

record::RunRecord runOf(const std::vector<float>& values)
{
    record::RunRecord run;
    record::Measure& measure = run.define({"train/loss", "Loss", "nats", "", {}});
    for (std::size_t i = 0; i < values.size(); ++i)
        measure.append(std::int64_t(i) + 1, {&values[i], 1});
    return run;
}

CurvePlot plotOf(std::size_t curves)
{
    CurvePlot plot;
    plot.curves.resize(curves);
    return plot;
}

} // namespace

void PlotTest::smoothingIsTheBiasCorrectedMean()
{
    // By hand, weight 0.5: m1 = 4; m2 = (0.5*4*0.5 + 0.5*2)/0.75 = 8/3
    const auto run = runOf({4, 2});
    CurvePlot plot = plotOf(2);
    CurveFeed feed;
    feed.reset(run.measure("train/loss"), {{0}}, 0.5);
    QVERIFY(feed.pull(plot));
    const auto smooth = plot.curves[0].data.points(0, 10, 100);
    QCOMPARE(smooth[0].y(), 4.0);
    QVERIFY(std::abs(smooth[1].y() - 8.0 / 3) < 1e-12);
    QCOMPARE(plot.curves[1].data.points(0, 10, 100), (QList<QPointF>{{1, 4}, {2, 2}}));
    QVERIFY(!feed.pull(plot));
}

void PlotTest::feedFollowsARewind()
{
    auto run = runOf({5, 4, 3, 2});
    CurvePlot plot = plotOf(1);
    CurveFeed feed;
    feed.reset(run.measure("train/loss"), {{0}});
    feed.pull(plot);
    run.rewind(1);
    QVERIFY(feed.pull(plot));
    QCOMPARE(plot.curves[0].data.points(0, 10, 100), (QList<QPointF>{{1, 5}}));
    const float again = 9;
    run.mutableMeasure("train/loss")->append(2, {&again, 1});
    QVERIFY(feed.pull(plot));
    QCOMPARE(plot.curves[0].data.points(0, 10, 100), (QList<QPointF>{{1, 5}, {2, 9}}));
}

void PlotTest::bandIsTheQuantiles()
{
    record::RunRecord run;
    std::vector<std::string> layers;
    std::vector<float> values;
    for (int i = 0; i <= 10; ++i) {
        layers.push_back(std::to_string(i));
        values.push_back(float(10 - i));
    }
    run.define({"rank/entropy", "", "", "", {{"layer", "", layers}}}).append(1, values);
    std::vector<std::vector<std::size_t>> groups;
    for (std::size_t i = 0; i <= 10; ++i)
        groups.push_back({i});
    CurvePlot plot = plotOf(11);
    CurveFeed feed;
    feed.reset(run.measure("rank/entropy"), groups, 0, true);
    feed.pull(plot);
    QCOMPARE(plot.band.low.lastY(), 1.0);
    QCOMPARE(plot.band.median.lastY(), 5.0);
    QCOMPARE(plot.band.high.lastY(), 9.0);
}

void PlotTest::closeUpIsTheRecord()
{
    std::vector<float> values;
    for (int i = 0; i < 50'000; ++i)
        values.push_back(float(std::sin(i * 1.7)));
    const auto run = runOf(values);
    CurvePlot plot = plotOf(2);
    CurveFeed feed;
    feed.reset(run.measure("train/loss"), {{0}}, 0.9);
    feed.pull(plot);
    QVERIFY(!plot.curves[1].data.isExact());
    QVERIFY(!plot.curves[1].closeUp(1000, 9000)); // too many to be told apart
    const auto raw = plot.curves[1].closeUp(20'000, 20'050);
    QVERIFY(raw.has_value());
    const auto points = raw->points(0, 100'000, 10'000);
    QCOMPARE(points.size(), 53); // a point beyond each side
    for (const QPointF& point : points)
        QCOMPARE(float(point.y()), values[std::size_t(point.x()) - 1]);
    double mean = 0;
    for (int i = 0; i < 20'010; ++i)
        mean = 0.9 * mean + 0.1 * double(values[std::size_t(i)]);
    QVERIFY(std::abs(plot.curves[0].closeUp(20'000, 20'050)->nearest(20'010).y() - mean) < 1e-6);

    // The chart takes them, and so does its cursor.
    PlotChart chart(false);
    chart.resize(400, 300);
    chart.show(plot, PlotStyle::onPaper(8, false), std::pair{20'000.0, 20'050.0}, {});
    QCOMPARE(chart.series(plot, 1).nearest(20'040), QPointF(20'040, double(values[20'039])));
    chart.show(plot, PlotStyle::onPaper(8, false), {}, {});
    QCOMPARE(&chart.series(plot, 1), &plot.curves[1].data);
}

void PlotTest::closeUpOfAMean()
{
    // Two positions that take turns: the mean is over the newest of each, also of one from before the range.
    record::RunRecord run;
    auto& measure = run.define({"x", "", "", "", {{"expert", "", {"0", "1"}}}});
    const float none = std::nanf("");
    for (int step = 1; step <= 6000; ++step)
        measure.append(step, std::vector<float>{step % 2 == 0 ? float(step) : none, step == 7 ? 100 : none});
    CurvePlot plot = plotOf(1);
    CurveFeed feed;
    feed.reset(&measure, {{0, 1}});
    feed.pull(plot);
    const auto close = plot.curves[0].closeUp(5001, 5003);
    QCOMPARE(close->points(0, 10'000, 10'000), (QList<QPointF>{{5000, 2550}, {5002, 2551}, {5004, 2552}}));
}

namespace
{

/// So many layers of a measure; its value at layer l is l, where `measured` says so.
record::RunRecord layersOf(int layers, int steps, const std::function<bool(int step, int layer)>& measured)
{
    record::RunRecord run;
    std::vector<std::string> labels;
    for (int layer = 0; layer < layers; ++layer)
        labels.push_back(std::to_string(layer));
    auto& measure = run.define({"x", "", "", "", {{"layer", "", labels}}});
    for (int step = 1; step <= steps; ++step) {
        std::vector<float> row;
        for (int layer = 0; layer < layers; ++layer)
            row.push_back(measured(step, layer) ? float(layer) : std::nanf(""));
        measure.append(step, row);
    }
    return run;
}

CurvePlot layerPlot(CurveFeed& feed, const record::RunRecord& run)
{
    const std::size_t layers = run.measure("x")->info().size();
    CurvePlot plot = plotOf(layers);
    plot.showBand = true;
    plot.curveNoun = QStringLiteral("layer");
    std::vector<std::vector<std::size_t>> groups;
    for (std::size_t layer = 0; layer < layers; ++layer)
        groups.push_back({layer});
    feed.reset(run.measure("x"), groups, 0, true);
    feed.pull(plot);
    return plot;
}

} // namespace

void PlotTest::bandNeedsEnoughCurves()
{
    CurveFeed feed;
    const auto few = layersOf(30, 5, [](int, int layer) { return layer < 4; });
    const CurvePlot lines = layerPlot(feed, few);
    QVERIFY(!lines.bandShown());
    QVERIFY(lines.isDrawn(lines.curves[2])); // the lines stand in
    QCOMPARE(lines.fullNote(), QStringLiteral("4 of 30 layers measured"));
    const auto enough = layersOf(30, 5, [](int, int layer) { return layer < 12; });
    const CurvePlot band = layerPlot(feed, enough);
    QVERIFY(band.bandShown());
    QVERIFY(!band.isDrawn(band.curves[2]));
    QCOMPARE(band.band.known.lastY(), 12.0);
    QCOMPARE(band.fullNote(), QStringLiteral("12 of 30 layers measured"));
}

void PlotTest::bandHasPointsOnlyWhereMeasured()
{
    CurveFeed feed;
    const auto run = layersOf(30, 20, [](int step, int) { return step == 4; });
    QCOMPARE(layerPlot(feed, run).band.median.points(0, 100, 1000), (QList<QPointF>{{4, 14.5}}));
    const auto turns = layersOf(30, 20, [](int step, int layer) { return layer % 10 == step % 10; });
    const CurvePlot plot = layerPlot(feed, turns);
    QCOMPARE(plot.band.median.firstX(), 4.0); // three layers a step: twelve known at the fourth
    QCOMPARE(plot.fullNote(), QStringLiteral("each layer's newest value"));
}

void PlotTest::closeUpOfABand()
{
    CurveFeed feed;
    const auto run = layersOf(12, 9000, [](int step, int layer) { return layer < 11 || step > 8000; });
    const CurvePlot plot = layerPlot(feed, run);
    QVERIFY(!plot.band.median.isExact());
    PlotChart chart(false);
    chart.resize(400, 300);
    chart.show(plot, PlotStyle::onPaper(8, false), std::pair{7990.0, 8010.0}, {});
    QCOMPARE(chart.band(plot).median.count(), std::size_t(23));
    QCOMPARE(chart.band(plot).median.nearest(8000), QPointF(8000, 5));
    QCOMPARE(chart.band(plot).median.nearest(8001), QPointF(8001, 5.5));
}

void PlotTest::cursorSaysWhenItWasMeasured()
{
    CurvePlot plot = plotOf(1);
    plot.xTitle = QStringLiteral("index");
    plot.note = QStringLiteral("measured at step 6");
    for (int i = 0; i < 5; ++i)
        plot.curves[0].data.append(i, 2);
    CurveChart chart;
    chart.resize(400, 300);
    chart.setPlot(&plot);
    chart.show();
    QVERIFY(QTest::qWaitForWindowExposed(&chart));
    QString reading;
    for (int y = 0; y < 300 && reading.isEmpty(); ++y)
        reading = chart.readingAt({200, y});
    QVERIFY2(reading.endsWith(QStringLiteral("\n2\nmeasured at step 6")), qPrintable(reading));
}

void PlotTest::positionsByAxisName()
{
    const record::MeasureInfo info{
        "x",
        "",
        "",
        "",
        {{"layer", "", {"0", "1"}}, {"module", "", {"a", "b", "c"}}, {"expert", "", {"0", "1"}}}};
    QCOMPARE(positionsWhere(info, {{"layer", 1}, {"module", 2}, {"expert", 0}}),
             std::vector<std::size_t>{10});
    QCOMPARE(positionsWhere(info, {{"layer", 0}, {"module", 1}, {"expert", -1}}),
             (std::vector<std::size_t>{2, 3}));
    QCOMPARE(positionsWhere(info, {{"expert", 1}, {"task", 0}}),
             (std::vector<std::size_t>{1, 3, 5, 7, 9, 11}));
    QVERIFY(positionsWhere(info, {{"layer", 2}}).empty());
    // An unknown label is nowhere, not everywhere.
    const record::Measure measure(info);
    QCOMPARE(axisIndex(&measure, "module", QStringLiteral("c")), 2);
    QCOMPARE(axisIndex(&measure, "module", QString()), -1);
    QVERIFY(positionsWhere(info, {{"module", axisIndex(&measure, "module", QStringLiteral("d"))}}).empty());
}

void PlotTest::latestLooksBackOnlyToTheStep()
{
    record::RunRecord run;
    auto& measure = run.define({"x", "", "", "", {{"layer", "", {"0", "1"}}}});
    const float none = std::nanf("");
    measure.append(10, std::vector<float>{1, none});
    measure.append(20, std::vector<float>{none, 5});
    measure.append(30, std::vector<float>{3, none});
    const Latest at = measure.latestOf(std::vector<std::size_t>{0, 1}, 25);
    QCOMPARE(at.values, (std::vector<float>{1, 5}));
    QCOMPARE(at.steps, (std::vector<std::int64_t>{10, 20}));
    QVERIFY(std::isnan(measure.latestOf(std::vector<std::size_t>{1}, 15).values[0]));
    QCOMPARE(measure.latestOf(std::vector<std::size_t>{1}, 15).steps[0], std::int64_t(-1));
    QCOMPARE(latestAt(&measure, 40).values, (std::vector<float>{3, 5}));
    QVERIFY(latestAt(nullptr, 40).values.empty());
}

void PlotTest::coloursAtTheEnds()
{
    QCOMPARE(colourAt(ColourMap::Viridis, 0), QColor(0x44, 0x01, 0x54));
    QCOMPARE(colourAt(ColourMap::Viridis, 1), QColor(0xfd, 0xe7, 0x25));
    QCOMPARE(colourAt(ColourMap::Diverging, 0.5), QColor(0xf7, 0xf7, 0xf7));
    HeatMap map;
    map.minimum = 2;
    map.maximum = 4;
    QCOMPARE(map.colour(2), colourAt(map.map, 0));
    QCOMPARE(map.colour(4), colourAt(map.map, 1));
}

void PlotTest::names()
{
    QCOMPARE(modelName(7, QStringLiteral("down_proj")), QStringLiteral("model.layers.7.mlp.down_proj"));
    QCOMPARE(modelName(0, QStringLiteral("q_proj")), QStringLiteral("model.layers.0.self_attn.q_proj"));
    QCOMPARE(formatDuration(72), QStringLiteral("1:12"));
    QCOMPARE(formatDuration(-1), QString());
    QCOMPARE(formatBytes(3.1e9), QStringLiteral("3.10 GB"));
    QCOMPARE(formatValue(std::nan(""), QStringLiteral("nats")), QStringLiteral("not measured"));
    QCOMPARE(exactNumber(0.1F), QStringLiteral("0.1"));
}

QTEST_MAIN(PlotTest)
#include "plot_test.moc"

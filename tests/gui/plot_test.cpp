// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/curve_feed.h"
#include "views/plot/format.h"
#include "views/plot/heat_map.h"
#include "views/plot/measure_access.h"
#include "views/plot/min_max_series.h"
#include "views/plot/ticks.h"
#include "views/selection/selection.h"

#include <QTest>

#include <cmath>

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
    void smoothingIsTheBiasCorrectedMean();
    void feedFollowsARewind();
    void bandIsTheQuantiles();
    void positionsByAxisName();
    void latestLooksBackOnlyToTheStep();
    void coloursAtTheEnds();
    void names();
    void numberSets();
    void selectionUndo();
    void selectionFollowsLive();
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
}

void PlotTest::latestLooksBackOnlyToTheStep()
{
    record::RunRecord run;
    auto& measure = run.define({"x", "", "", "", {{"layer", "", {"0", "1"}}}});
    const float none = std::nanf("");
    measure.append(10, std::vector<float>{1, none});
    measure.append(20, std::vector<float>{none, 5});
    measure.append(30, std::vector<float>{3, none});
    const auto at = latestOf(measure, {0, 1}, 25);
    QCOMPARE(at[0], 1.0F);
    QCOMPARE(at[1], 5.0F);
    QVERIFY(std::isnan(latestOf(measure, {1}, 15)[0]));
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

void PlotTest::numberSets()
{
    QCOMPARE(formatNumberSet({8, 9, 10, 20}), QStringLiteral("8-10, 20"));
    QCOMPARE(parseNumberSet(QStringLiteral("8-10, 20, x, 99"), 30), (std::set<int>{8, 9, 10, 20}));
    QCOMPARE(parseNumberSet(QStringLiteral("0-1000000000"), 4), (std::set<int>{0, 1, 2, 3}));
}

void PlotTest::selectionUndo()
{
    Selection selection;
    selection.setLayers({3});
    selection.setTask(QStringLiteral("boolq"));
    selection.clear();
    QVERIFY(selection.state().empty());
    selection.undo();
    QCOMPARE(selection.layers(), std::set<int>{3});
    QCOMPARE(selection.task(), QStringLiteral("boolq"));
    selection.undo();
    QVERIFY(selection.task().isEmpty());
    selection.redo();
    QCOMPARE(selection.task(), QStringLiteral("boolq"));
    selection.setLayers({4});
    QVERIFY(!selection.canRedo());
}

void PlotTest::selectionFollowsLive()
{
    Selection selection;
    selection.setNewestStep(10);
    QCOMPARE(selection.step(), std::int64_t(10));
    selection.setStep(4);
    QVERIFY(!selection.live());
    selection.setNewestStep(20);
    QCOMPARE(selection.step(), std::int64_t(4));
    selection.setLive(true);
    QCOMPARE(selection.step(), std::int64_t(20));
    selection.setNewestStep(15); // rewound
    QCOMPARE(selection.step(), std::int64_t(15));
}

QTEST_MAIN(PlotTest)
#include "plot_test.moc"

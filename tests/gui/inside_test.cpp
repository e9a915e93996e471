// SPDX-License-Identifier: GPL-3.0-or-later
// Measures that no view knows by name: the Inside view draws them by their axes; and a routed family of
// another shape than MixLoRA's, with a router for each module, ranks as experts, layers with few experts and
// layers without any.
#include "tests/gui/sample_run.h"
#include "views/effective_rank/rank_model.h"
#include "views/inside/inside_view.h"
#include "views/plot/curve_chart.h"
#include "views/plot/format.h"
#include "views/plot/heat_map_widget.h"
#include "views/routing/routing_view.h"

#include <QComboBox>
#include <QTest>

#include <cmath>
#include <limits>

using namespace rankscope;
using namespace rankscope::views;
using namespace rankscope::tests;

namespace
{

constexpr int layers = 4;
constexpr int ranks = 64;
constexpr float none = std::numeric_limits<float>::quiet_NaN();
const std::vector<std::string> modules = {"q_proj", "down_proj"};
const std::vector<std::string> tasks = {"math", "boolq"};

std::vector<std::string> counted(int count)
{
    std::vector<std::string> labels;
    for (int i = 0; i < count; ++i)
        labels.push_back(std::to_string(i));
    return labels;
}

/// Experts of a layer: q_proj has 2, 4, none and 6; down_proj has 64 but for layer 2, which has nothing.
int experts(int layer, int module)
{
    return layer == 2 ? 0 : module == 1 ? ranks : 2 * (layer == 3 ? 3 : layer + 1);
}

float load(int layer, int module, int expert, int task)
{
    const int count = experts(layer, module);
    return expert < count ? static_cast<float>(expert + 1 + task) /
                                static_cast<float>(count * (count + 1) / 2 + count * task)
                          : none;
}

float gate(std::int64_t step, int layer, int module, int expert)
{
    return static_cast<float>(static_cast<double>(step) * 0.01 + layer * 100 + module * 10 + expert - 150);
}

record::RunRecord unusualRun()
{
    record::RunRecord run;
    run.description.layers = layers;
    run.description.modules = modules;
    run.description.tasks = tasks;
    run.description.totalSteps = 40;
    const record::Axis layer{"layer", "", counted(layers)};
    const record::Axis module{"module", "", modules};
    const record::Axis router{"router", "", modules};
    const record::Axis expert{"expert", "", counted(ranks)};
    const record::Axis task{"task", "", tasks};
    run.define({"routing/load", "Expert load", "", "d", {layer, router, expert, task}});
    run.define({"routing/entropy", "Routing entropy", "nats", "d", {layer, router}});
    run.define({"routing/maxvio", "MaxVio", "", "d", {layer, router}});
    run.define({"routing/maxvio_difference", "MaxVio (difference)", "", "d", {layer, router}});
    run.define({"rank/mixture_entropy", "Mixture's entropy rank", "", "d", {layer, module}});
    run.define(
        {"toy/gates", "Gates", "V", "what a family says", {layer, module, {"expert", "", counted(3)}}});
    run.define({"toy/single", "Single", "", "a number", {}});
    run.define({"toy/one_axis", "One axis", "", "a row", {layer}});
    for (std::int64_t step = 10; step <= 40; step += 10) {
        std::vector<float> loads, entropy, gates, row;
        for (int l = 0; l < layers; ++l) {
            row.push_back(static_cast<float>(l) * static_cast<float>(step));
            for (int m = 0; m < 2; ++m) {
                entropy.push_back(l == 2 ? none : static_cast<float>(l + m + 1));
                for (int e = 0; e < ranks; ++e)
                    for (int t = 0; t < 2; ++t)
                        loads.push_back(load(l, m, e, t));
                for (int e = 0; e < 3; ++e) // measures take turns: odd layers at steps 20 and 40
                    gates.push_back(l % 2 == 1 && step % 20 != 0 ? none : gate(step, l, m, e));
            }
        }
        run.mutableMeasure("routing/load")->append(step, loads);
        for (const char* name :
             {"routing/entropy", "routing/maxvio", "routing/maxvio_difference", "rank/mixture_entropy"})
            run.mutableMeasure(name)->append(step, entropy);
        run.mutableMeasure("toy/gates")->append(step, gates);
        run.mutableMeasure("toy/one_axis")->append(step, row);
        const auto single = static_cast<float>(step);
        run.mutableMeasure("toy/single")->append(step, {&single, 1});
    }
    return run;
}

} // namespace

class InsideTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void routersOfModulesAreDrawnOneByOne();
    void aChosenModuleChoosesItsRouter();
    void mixturesAreOfferedAsEffectiveRank();
    void groupsHoldEveryMeasureOnce();
    void mapIsTheMeasureByItsAxes();
    void stepsGoAcrossWithValuesThatStand();
    void placesAndMeansOfTheOtherAxes();
    void scalarsAndSingleAxes();
    void modulesWithoutExpertsAreNoExpert();
    void singleAdaptersOfALiveRun();
    void subsetsAreNamed();
    void curvesOfAnyAxis();
    void viewFollowsTheSelection();
    void clicksSelect();
    void controlsComeBack();
    void tablesHoldExactNumbers();
    void emptyRun();
    void axesAreNamedInFullWhereThereIsLittleRoom();

private:
    record::RunRecord m_run = unusualRun();
};

void InsideTest::routersOfModulesAreDrawnOneByOne()
{
    RoutingModel model;
    model.setRun(&m_run);
    QCOMPARE(model.routers(), (QStringList{QStringLiteral("q_proj"), QStringLiteral("down_proj")}));
    HeatMap map = model.loadByLayer(40, {QStringLiteral("boolq")}, false);
    QCOMPARE(map.rows(), 6); // q_proj has 6 experts at most, not 64
    for (int layer = 0; layer < layers; ++layer)
        for (int expert = 0; expert < 6; ++expert) {
            QCOMPARE(std::isfinite(map.value(expert, layer)), expert < experts(layer, 0));
            if (std::isfinite(map.value(expert, layer)))
                QCOMPARE(map.value(expert, layer), load(layer, 0, expert, 1));
        }
    model.setRouter(QStringLiteral("down_proj"));
    map = model.loadByLayer(40, {QStringLiteral("math")}, false);
    QCOMPARE(map.rows(), ranks);
    QCOMPARE(map.value(63, 3), load(3, 1, 63, 0));
    QVERIFY(!std::isfinite(map.value(0, 2)));
    SelectionState nothing;
    nothing.layers = {2};
    model.setSelection(nothing);
    QVERIFY(!model.loadByTask(40, false).hasValues()); // a layer without experts
    const CurvePlot& entropy = model.plot(RoutingModel::Entropy);
    QCOMPARE(entropy.curves.size(), std::size_t(layers));
    QVERIFY(entropy.curves[2].data.empty());
    QCOMPARE(entropy.curves[3].data.points(0, 100, 100).last().y(), 5.0);
}

void InsideTest::aChosenModuleChoosesItsRouter()
{
    Selection selection;
    RoutingView view(&selection);
    view.setRun(&m_run);
    selection.setNewestStep(40);
    QCOMPARE(view.controls().value(QStringLiteral("router")).toString(), QStringLiteral("q_proj"));
    selection.setModules({QStringLiteral("down_proj")});
    QCOMPARE(view.controls().value(QStringLiteral("router")).toString(), QStringLiteral("down_proj"));
    QCOMPARE(view.layerMap()->map().rows(), ranks);
}

void InsideTest::mixturesAreOfferedAsEffectiveRank()
{
    QCOMPARE(RankModel::measures(&m_run), QStringList{QStringLiteral("rank/mixture_entropy")});
    RankModel model;
    model.setRun(&m_run);
    QVERIFY(model.hasData());
    const HeatMap map = model.map(40, false);
    QCOMPARE(map.value(3, 1), 5.0F);
    QVERIFY(!std::isfinite(map.value(2, 0)));
    QVERIFY(model.reading(3, 1, 40).contains(QStringLiteral(": 5")));
    QVERIFY(!model.curves().empty());
}

void InsideTest::groupsHoldEveryMeasureOnce()
{
    const auto groups = InsideModel::groups(&m_run);
    QCOMPARE(groups.front().title, QStringLiteral("toy")); // a family's own before what all have
    QStringList all;
    for (const auto& group : groups)
        all << group.names;
    all.sort();
    QStringList expected;
    for (const auto& named : m_run.measures())
        expected << QString::fromStdString(named.first);
    expected.sort();
    QCOMPARE(all, expected);
    QCOMPARE(InsideModel::titleOf(m_run.measure("toy/gates")->info()), QStringLiteral("Gates (V)"));
}

void InsideTest::mapIsTheMeasureByItsAxes()
{
    InsideModel model;
    model.setRun(&m_run);
    model.setMeasure(QStringLiteral("toy/gates"));
    for (int down = 0; down < 3; ++down)
        for (int across = 0; across < 3; ++across) {
            if (down == across)
                continue;
            model.setDown(down);
            model.setAcross(across);
            QCOMPARE(model.down(), down);
            QCOMPARE(model.across(), across);
            const int other = 3 - down - across;
            model.setPlace(other, 1);
            const HeatMap map = model.map(40, true);
            QCOMPARE(map.rows(), model.labels(down).size());
            QCOMPARE(map.columns(), model.labels(across).size());
            for (int row = 0; row < map.rows(); ++row)
                for (int column = 0; column < map.columns(); ++column) {
                    int at[3];
                    at[down] = row;
                    at[across] = column;
                    at[other] = 1;
                    QCOMPARE(map.value(row, column), gate(40, at[0], at[1], at[2]));
                }
        }
    model.setAcross(model.down()); // taking the other's axis exchanges them
    QVERIFY(model.across() != model.down());
    model.setDown(0);
    const HeatMap map = model.map(40, true);
    QCOMPARE(map.map, ColourMap::Diverging); // -150 .. 162
    QCOMPARE(map.minimum, -map.maximum);
}

void InsideTest::stepsGoAcrossWithValuesThatStand()
{
    InsideModel model;
    model.setRun(&m_run);
    model.setMeasure(QStringLiteral("toy/gates"));
    model.setDown(0);
    model.setAcross(InsideModel::steps);
    model.setPlace(1, 0);
    model.setPlace(2, 2);
    const HeatMap map = model.map(35, true);
    QCOMPARE(map.columnLabels,
             (QStringList{QStringLiteral("10"), QStringLiteral("20"), QStringLiteral("30")}));
    QCOMPARE(map.value(0, 2), gate(30, 0, 0, 2));
    QVERIFY(!std::isfinite(map.value(1, 0)));
    QCOMPARE(map.value(1, 2), gate(20, 1, 0, 2)); // measured at step 20, still the newest at 30
    QVERIFY(map.note.contains(QStringLiteral("stands")));
    const QString reading = model.reading(1, 2, 35);
    QVERIFY2(reading.contains(QStringLiteral("step: 30\nmeasured at step 20")), qPrintable(reading));
}

void InsideTest::placesAndMeansOfTheOtherAxes()
{
    InsideModel model;
    model.setRun(&m_run);
    model.setMeasure(QStringLiteral("toy/gates"));
    model.setDown(0);
    model.setAcross(1);
    model.setPlace(2, InsideModel::mean);
    QCOMPARE(model.map(40, true).value(3, 1),
             gate(40, 3, 1, 1)); // the mean of three in a row is the middle one
    const QString reading = model.reading(3, 1, 40);
    for (const char* line :
         {"layer: 3", "module: down_proj", "expert: mean", "measured at step 40", "value: 161.4 V"})
        QVERIFY2(reading.contains(QString::fromLatin1(line)), qPrintable(reading));
    model.setPlace(2, 2);
    QVERIFY(model.map(40, true).title.contains(QStringLiteral("expert 2")));
    QCOMPARE(model.map(40, true).value(0, 0), gate(40, 0, 0, 2));
}

void InsideTest::scalarsAndSingleAxes()
{
    InsideModel model;
    model.setRun(&m_run);
    model.setMeasure(QStringLiteral("toy/single"));
    QVERIFY(!model.hasMap());
    QVERIFY(!model.map(40, true).hasValues());
    QCOMPARE(model.curves().curves.size(), std::size_t(1));
    QCOMPARE(model.curves().curves[0].data.points(0, 100, 100).last(), QPointF(40, 40));
    model.setMeasure(QStringLiteral("toy/one_axis"));
    QVERIFY(model.hasMap());
    QCOMPARE(model.across(), InsideModel::steps);
    model.setAcross(0); // there is no second axis: nothing changes
    QCOMPARE(model.down(), 0);
    QCOMPARE(model.across(), InsideModel::steps);
    QCOMPARE(model.map(40, true).value(3, 1), 60.0F);
}

void InsideTest::modulesWithoutExpertsAreNoExpert()
{
    // As OperA has them: one adapter on attention, experts on the block. Here and in Effective rank alike.
    record::RunRecord run = sampleRun();
    const auto rankAt = [](int layer, int module, int expert) {
        return sampleRank("rank/entropy", layer, module, expert, 200);
    };
    InsideModel model;
    model.setRun(&run);
    model.setMeasure(QStringLiteral("rank/entropy"));
    model.setDown(0);
    model.setAcross(2); // layers x experts, mean over modules: of those that have experts
    for (int expert = 0; expert < 2; ++expert) {
        const float sum = rankAt(3, 4, expert) + rankAt(3, 5, expert) + rankAt(3, 6, expert);
        QCOMPARE(model.map(200, false).value(3, expert), sum / 3);
    }
    model.setPlace(1, 0); // q_proj
    QVERIFY(!model.map(200, false).hasValues());
    QVERIFY(model.map(200, false).emptyText.contains(QStringLiteral("No experts")));
    QVERIFY(model.reading(3, 0, 200).endsWith(QStringLiteral("no experts here")));

    RankModel rank;
    rank.setRun(&run);
    for (const int expert : {0, 5}) {
        model.setAcross(1);
        model.setPlace(2, expert);
        rank.setExpert(expert);
        for (int module = 0; module < 7; ++module) {
            QCOMPARE(std::isfinite(model.map(200, false).value(3, module)), module >= 4);
            QCOMPARE(std::isfinite(rank.map(200, false).value(3, module)), module >= 4);
        }
        QVERIFY(rank.reading(3, 0, 200).endsWith(QStringLiteral("has no experts")));
        QCOMPARE(rank.reading(3, 6, 200),
                 QStringLiteral("model.layers.3.mlp.down_proj\nmeasured at step 200\n"
                                "expert %1: %2")
                     .arg(expert)
                     .arg(formatValue(rankAt(3, 6, expert))));
        rank.setModule(QStringLiteral("q_proj"));
        QVERIFY(rank.curves().empty());
        QVERIFY(rank.curves().emptyText.contains(QStringLiteral("q_proj has no experts")));
    }
    model.setPlace(2, InsideModel::mean);
    rank.setExpert(-1);
    QCOMPARE(model.map(200, false).value(3, 0), rankAt(3, 0, 0));
    QCOMPARE(rank.map(200, false).value(3, 0), rankAt(3, 0, 0));
    QVERIFY(!rank.curves().empty());
}

void InsideTest::singleAdaptersOfALiveRun()
{
    record::RunRecord run;
    auto& measure = run.define(
        {"rank/entropy",
         "Entropy",
         "",
         "",
         {{"layer", "", {"0"}}, {"module", "", {"q_proj", "up_proj"}}, {"expert", "", {"0", "1"}}}});
    InsideModel model;
    model.setRun(&run);
    model.setDown(2);
    model.setAcross(InsideModel::steps);
    model.setCurveAxis(2);
    measure.append(1, std::vector<float>{7, none, 1, 2}); // which are single is known once they are measured
    QVERIFY(model.append());
    QCOMPARE(model.map(1, false).value(0, 0), 1.0F);
    QCOMPARE(model.curves().curves[0].data.lastY(), 1.0);
    measure.append(2, std::vector<float>{8, none, 3, 4});
    QVERIFY(model.append());
    QCOMPARE(model.curves().curves[0].data.count(), std::size_t(2));
    QCOMPARE(model.curves().curves[0].data.lastY(), 3.0);
    model.setPlace(2, InsideModel::mean);
    model.setCurveAxis(1);
    QCOMPARE(model.curves().curves[0].data.lastY(), 8.0); // q_proj's own
    QCOMPARE(model.curves().curves[1].data.lastY(), 3.5);
}

void InsideTest::subsetsAreNamed()
{
    InsideModel model;
    model.setRun(&m_run);
    model.setMeasure(QStringLiteral("toy/gates"));
    model.setDown(0);
    model.setAcross(1);
    QCOMPARE(model.map(15, false).note, QStringLiteral("measured at step 10, 2 of 4 layers measured"));
    QCOMPARE(model.map(35, false).note, QStringLiteral("measured at steps 20 to 30"));
    QVERIFY(model.reading(1, 0, 35).contains(QStringLiteral("measured at step 20")));
    QVERIFY(model.reading(1, 0, 15).contains(QStringLiteral("not measured up to step 15")));
    model.setPlace(0, 2);
    QCOMPARE(model.curves().fullNote(), QString()); // all layers have values by now
    model.setMeasure(QStringLiteral("routing/entropy"));
    model.setDown(0);
    model.setAcross(1);
    QCOMPARE(model.map(40, false).note, QStringLiteral("3 of 4 layers measured"));
    QCOMPARE(model.curves().fullNote(), QStringLiteral("3 of 4 layers measured"));
}

void InsideTest::curvesOfAnyAxis()
{
    InsideModel model;
    model.setRun(&m_run);
    model.setMeasure(QStringLiteral("toy/gates"));
    model.setCurveAxis(1);
    model.setPlace(0, 3);
    model.setPlace(2, 0);
    const CurvePlot& plot = model.curves();
    QCOMPARE(plot.curves.size(), std::size_t(2));
    QCOMPARE(plot.curves[1].label, QStringLiteral("down_proj"));
    const auto points = plot.curves[1].data.points(0, 100, 100);
    QCOMPARE(points.size(), 2); // layer 3 was measured at steps 20 and 40
    QCOMPARE(float(points.last().y()), gate(40, 3, 1, 0));
    QCOMPARE(plot.unit, QStringLiteral("V"));
}

void InsideTest::viewFollowsTheSelection()
{
    Selection selection;
    InsideView view(&selection);
    view.setRun(&m_run);
    view.show(); // a hidden view does not follow the step
    selection.setNewestStep(40);
    view.measureChoice()->setCurrentIndex(view.measureChoice()->findData(QStringLiteral("toy/gates")));
    selection.setModules({QStringLiteral("down_proj")});
    QCOMPARE(view.model().place(1), 1);
    selection.setLayers({1, 3});
    QCOMPARE(view.model().place(0), InsideModel::mean); // two layers are no one place
    QCOMPARE(view.heatMap()->map().selectedRows, (std::set<int>{1, 3}));
    QCOMPARE(view.chart()->plot()->emphasised, (std::set<int>{1, 3}));
    selection.setStep(20);
    QVERIFY(view.heatMap()->map().title.contains(QStringLiteral("step 20")));
    QVERIFY(view.definition().contains(QStringLiteral("what a family says")));
}

void InsideTest::clicksSelect()
{
    Selection selection;
    InsideView view(&selection);
    view.resize(900, 600);
    view.setRun(&m_run);
    selection.setNewestStep(40);
    view.show();
    view.measureChoice()->setCurrentIndex(view.measureChoice()->findData(QStringLiteral("toy/gates")));
    QTest::mouseClick(view.heatMap(), Qt::LeftButton, {}, view.heatMap()->cellCentre(3, 2));
    QCOMPARE(selection.layers(), std::set<int>{3});
    QCOMPARE(selection.experts(), std::set<int>{2}); // layers down, experts across
}

void InsideTest::controlsComeBack()
{
    Selection selection;
    InsideView first(&selection);
    first.setRun(&m_run);
    const QJsonObject chosen{{QStringLiteral("measure"), QStringLiteral("toy/gates")},
                             {QStringLiteral("show"), 1},
                             {QStringLiteral("down"), QStringLiteral("expert")},
                             {QStringLiteral("across"), QStringLiteral("layer")},
                             {QStringLiteral("curves"), QStringLiteral("module")},
                             {QStringLiteral("places"), QJsonObject{{QStringLiteral("layer"), 2},
                                                                    {QStringLiteral("module"), 1},
                                                                    {QStringLiteral("expert"), -1}}},
                             {QStringLiteral("autoScale"), false}};
    first.setControls(chosen);
    QCOMPARE(first.controls(), chosen);
    QCOMPARE(first.heatMap()->map().rowTitle, QStringLiteral("expert"));
    const QJsonObject before = first.controls();
    first.setControls({{QStringLiteral("measure"), QStringLiteral("of/another_run")}});
    QCOMPARE(first.controls(), before);
}

void InsideTest::tablesHoldExactNumbers()
{
    Selection selection;
    InsideView view(&selection);
    view.setRun(&m_run);
    selection.setNewestStep(40);
    view.measureChoice()->setCurrentIndex(view.measureChoice()->findData(QStringLiteral("toy/gates")));
    const auto figures = view.figures();
    QCOMPARE(figures.size(), std::size_t(2));
    const CsvTable map = figures[0].table();
    QCOMPARE(map.header, (QStringList{QStringLiteral("layer"), QStringLiteral("expert 0 [V]"),
                                      QStringLiteral("expert 1 [V]"), QStringLiteral("expert 2 [V]")}));
    QCOMPARE(map.measure, QStringLiteral("toy/gates"));
    QCOMPARE(map.rows[2][1].toFloat(), (gate(40, 2, 0, 0) + gate(40, 2, 1, 0)) / 2);
    const CsvTable curves = figures[1].table();
    QCOMPARE(curves.header[1], QStringLiteral("layer 0 [V]"));
    QCOMPARE(curves.rows.size(), std::size_t(4));
    QVERIFY(curves.rows[0][2].isEmpty()); // layer 1 is not measured at step 10
}

void InsideTest::emptyRun()
{
    const record::RunRecord run;
    Selection selection;
    InsideView view(&selection);
    view.setRun(&run);
    QVERIFY(!view.hasData());
    QVERIFY(view.figures().empty());
    view.setRun(nullptr);
    QVERIFY(!view.hasData());
    InsideModel model;
    model.setRun(&run);
    QVERIFY(!model.map(0, true).hasValues());
    QVERIFY(model.curveTable().rows.empty());
}

void InsideTest::axesAreNamedInFullWhereThereIsLittleRoom()
{
    const record::RunRecord run = unusualRun();
    Selection selection;
    InsideView view(&selection);
    view.show();
    QVERIFY(QTest::qWaitForWindowExposed(&view));
    view.setRun(&run); // brings the axes' names
    view.measureChoice()->setCurrentIndex(view.measureChoice()->findData(QStringLiteral("toy/gates")));
    view.resize(1, 400);
    QVERIFY(view.width() < view.sizeHint().width());
    QWidget* row = view.measureChoice()->parentWidget();
    for (const QComboBox* choice : row->findChildren<QComboBox*>())
        if (choice != view.measureChoice())
            QTRY_VERIFY2(choice->width() >= choice->sizeHint().width(), qPrintable(choice->accessibleName()));
}

QTEST_MAIN(InsideTest)
#include "inside_test.moc"

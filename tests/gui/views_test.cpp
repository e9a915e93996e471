// SPDX-License-Identifier: GPL-3.0-or-later
// The views as widgets: what they do with the selection, the step and another run.
#include "tests/gui/sample_run.h"
#include "views/effective_rank/rank_view.h"
#include "views/inside/inside_view.h"
#include "views/mpo/mpo_view.h"
#include "views/mpo/vtk_widget.h"
#include "views/plot/curve_chart.h"
#include "views/plot/heat_map_widget.h"
#include "views/routing/routing_view.h"
#include "views/training/training_view.h"

#include <QApplication>
#include <QCheckBox>
#include <QComboBox>
#include <QPushButton>
#include <QSplitter>
#include <QTableWidget>
#include <QTest>
#include <QtCharts/QChart>
#include <QtCharts/QLineSeries>
#include <QtCharts/QValueAxis>

#include <cmath>

using namespace rankscope;
using namespace rankscope::views;
using namespace rankscope::tests;

class ViewsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void viewsBehindOthersRest();
    void valuesAtTheCursorGoWithTheirView();
    void clearingBringsTheOwnChoiceBack();
    void ownChoiceWhileFollowingStays();
    void routersComeBack();
    void operatorsComeBack();
    void placesComeBack();
    void anotherRunDropsWhatItLacks();
    void scalesStayWhileTheStepMoves();
    void spectraKeepTheirScaleWhileTheStepMoves();
    void quantityLooksTheSameInEveryView();
    void evaluationTableShowsWhatItHasRoomFor();
    void everyChartIsMadeOnce();
    void emptyViewsOfAFinishedRunOfferActions();

private:
    static void show(View& view);
    static QString control(const View& view, const char* name)
    {
        return view.controls().value(QLatin1String(name)).toVariant().toString();
    }
    /// The choice of a view that has that name for a screen reader.
    static QComboBox* choice(const View& view, const char* name)
    {
        for (QComboBox* box : view.findChildren<QComboBox*>())
            if (box->accessibleName() == QLatin1String(name))
                return box;
        qFatal("no such choice");
    }
    static record::RunRecord opera()
    {
        SampleOptions options;
        options.family = "opera";
        return sampleRun(options);
    }

    record::RunRecord m_mixlora = sampleRun();
};

void ViewsTest::viewsBehindOthersRest()
{
    Selection selection;
    selection.setNewestStep(200);
    RankView view(&selection);
    view.setRun(&m_mixlora);
    view.show();
    QVERIFY(view.isShown());
    view.setInFront(false); // as its dock says when another's tab is chosen; Qt leaves it visible
    QVERIFY(view.isVisible());
    QVERIFY(!view.isShown());
    selection.setStep(70);
    QVERIFY(!view.heatMap()->map().title.contains(QStringLiteral("step 70")));
    view.setInFront(true);
    QVERIFY(view.heatMap()->map().title.contains(QStringLiteral("step 70")));
}

void ViewsTest::valuesAtTheCursorGoWithTheirView()
{
    Selection selection;
    RankView front(&selection);
    RankView behind(&selection);
    behind.setInFront(false);
    selection.setHover(QStringLiteral("layer 3"));
    behind.setInFront(true);
    QVERIFY(!selection.hover().isEmpty());
    front.setInFront(false);
    QVERIFY(selection.hover().isEmpty());
}

void ViewsTest::clearingBringsTheOwnChoiceBack()
{
    Selection selection;
    RankView view(&selection);
    view.setRun(&m_mixlora);
    view.setControls(
        {{QStringLiteral("module"), QStringLiteral("gate_proj")}, {QStringLiteral("expert"), 2}});
    selection.setState({{4}, {5}, {QStringLiteral("up_proj")}, {}});
    QCOMPARE(control(view, "module"), QStringLiteral("up_proj"));
    QCOMPARE(control(view, "expert"), QStringLiteral("5"));
    selection.setState({{4}, {6}, {QStringLiteral("down_proj")}, {}});
    QCOMPARE(control(view, "expert"), QStringLiteral("6"));
    selection.clear();
    QCOMPARE(control(view, "module"), QStringLiteral("gate_proj"));
    QCOMPARE(control(view, "expert"), QStringLiteral("2"));
    selection.setExperts({1, 3}); // two are no one expert
    QCOMPARE(control(view, "expert"), QStringLiteral("2"));
    selection.undo();
    selection.undo();
    QCOMPARE(control(view, "expert"), QStringLiteral("6"));
    selection.undo();
    selection.undo();
    QCOMPARE(control(view, "expert"), QStringLiteral("2"));
    QCOMPARE(view.heatMap()->map().title, QStringLiteral("Layers × modules at step 0, expert 2"));
}

void ViewsTest::ownChoiceWhileFollowingStays()
{
    Selection selection;
    RankView view(&selection);
    view.setRun(&m_mixlora);
    selection.setModules({QStringLiteral("up_proj")});
    QComboBox* module = choice(view, "Module");
    const int other = module->findText(QStringLiteral("v_proj"));
    module->setCurrentIndex(other);
    Q_EMIT module->activated(other); // as a user's choice does
    selection.clear();
    QCOMPARE(control(view, "module"), QStringLiteral("v_proj"));
}

void ViewsTest::routersComeBack()
{
    record::RunRecord run;
    const record::Axis layer{"layer", "", {"0", "1"}};
    const record::Axis router{"router", "", {"q_proj", "up_proj", "down_proj"}};
    run.define({"rank/entropy", "", "", "", {layer, {"module", "", router.labels}}});
    run.define({"routing/load", "", "", "", {layer, router, {"expert", "", {"0", "1"}}}});
    run.mutableMeasure("routing/load")->append(1, std::vector<float>(12, 0.5F));
    Selection selection;
    RoutingView view(&selection);
    view.setRun(&run);
    view.setControls({{QStringLiteral("router"), QStringLiteral("up_proj")}});
    selection.setModules({QStringLiteral("down_proj")});
    QCOMPARE(control(view, "router"), QStringLiteral("down_proj"));
    selection.clear();
    QCOMPARE(control(view, "router"), QStringLiteral("up_proj"));
}

void ViewsTest::operatorsComeBack()
{
    const record::RunRecord run = opera();
    Selection selection;
    MpoView view(&selection);
    view.setRun(&run);
    QCOMPARE(control(view, "layer"), QStringLiteral("0"));
    selection.setState({{20}, {3}, {QStringLiteral("up_proj")}, {}});
    QCOMPARE(control(view, "layer"), QStringLiteral("20"));
    QCOMPARE(control(view, "module"), QStringLiteral("up_proj"));
    selection.clear();
    QCOMPARE(control(view, "layer"), QStringLiteral("0"));
    QCOMPARE(control(view, "expert"), QStringLiteral("0"));
    QCOMPARE(control(view, "module"), QStringLiteral("down_proj"));
}

void ViewsTest::placesComeBack()
{
    Selection selection;
    InsideView view(&selection);
    view.setRun(&m_mixlora);
    view.measureChoice()->setCurrentIndex(view.measureChoice()->findData(QStringLiteral("routing/load")));
    const auto place = [&view](const char* axis) {
        return view.model().place(view.model().axis(QString::fromLatin1(axis)));
    };
    QCOMPARE(place("task"), InsideModel::mean);
    selection.setState({{7}, {2}, {}, {QStringLiteral("boolq")}});
    QCOMPARE(place("layer"), 7);
    QCOMPARE(place("expert"), 2);
    QCOMPARE(place("task"), 2);
    selection.clear();
    for (const char* axis : {"layer", "expert", "task"})
        QCOMPARE(place(axis), InsideModel::mean);
}

void ViewsTest::anotherRunDropsWhatItLacks()
{
    record::RunRecord other = sampleRun();
    other.description.tasks = {"letters"};
    other.define({"routing/load",
                  "Load",
                  "",
                  "",
                  {{"layer", "", {"0", "1"}},
                   {"router", "", {"mlp"}},
                   {"expert", "", {"0", "1"}},
                   {"task", "", {"letters"}}}});
    for (const char* name : {"eval/accuracy", "eval/loss", "train/task_loss"})
        other.define({name, "", "", "", {{"task", "", {"letters"}}}});
    other.mutableMeasure("routing/load")->append(200, std::vector<float>{0.25F, 0.75F, 0.5F, 0.5F});
    Selection selection;
    selection.setNewestStep(200);
    RoutingView view(&selection);
    view.setRun(&m_mixlora);
    selection.setTasks({QStringLiteral("boolq")});
    QVERIFY(view.layerMap()->map().title.contains(QStringLiteral("boolq")));
    view.setRun(&other);
    QVERIFY(selection.tasks().isEmpty());
    QVERIFY(!view.layerMap()->map().title.contains(QStringLiteral("boolq")));
    QVERIFY(view.layerMap()->map().hasValues());
}

void ViewsTest::scalesStayWhileTheStepMoves()
{
    Selection selection;
    selection.setNewestStep(200);
    InsideView view(&selection);
    view.show();
    view.setRun(&m_mixlora);
    selection.setStep(10);
    const double highest = view.heatMap()->map().maximum;
    selection.setStep(200);
    QCOMPARE(view.heatMap()->map().maximum, highest);
}

void ViewsTest::spectraKeepTheirScaleWhileTheStepMoves()
{
    record::RunRecord run;
    const record::Axis layer{"layer", "", {"0"}};
    const record::Axis module{"module", "", {"up_proj"}};
    const record::Axis expert{"expert", "", {"0"}};
    const record::Axis cut{"cut", "", {"1"}};
    run.define({"mpo/bond_dimension", "", "", "", {layer, module, cut}});
    run.mutableMeasure("mpo/bond_dimension")->append(0, std::vector<float>{4});
    run.define(
        {"mpo/cut_spectrum", "", "", "", {layer, module, expert, cut, {"index", "", {"0", "1", "2"}}}});
    run.mutableMeasure("mpo/cut_spectrum")->append(1, std::vector<float>{3, 2, 0});
    run.mutableMeasure("mpo/cut_spectrum")->append(2, std::vector<float>{900, 200, 100});
    Selection selection;
    selection.setNewestStep(2);
    MpoView view(&selection);
    show(view);
    view.setRun(&run);
    const auto range = [&view, &selection](std::int64_t step) {
        selection.setStep(step);
        for (const CurveChart* chart : view.findChildren<CurveChart*>())
            if (chart->plot()->xTitle == QLatin1String("index")) {
                const auto* axis = qobject_cast<QValueAxis*>(chart->chart()->axes(Qt::Vertical).first());
                return std::pair{axis->min(), axis->max()}; // of logarithms
            }
        return std::pair{0.0, 0.0};
    };
    const auto whole = range(1); // 2 to 900, rounded out; zero has no place
    const auto about = [](double axis, double expected) { return std::abs(axis - expected) < 0.2; };
    QVERIFY(about(whole.first, std::log10(2.0)) && about(whole.second, 3));
    const auto later = range(2);
    QVERIFY(std::abs(later.first - whole.first) < 0.01 && std::abs(later.second - whole.second) < 0.01);
    for (QCheckBox* box : view.findChildren<QCheckBox*>())
        if (box->text() == QLatin1String("Auto scale"))
            box->click();
    QVERIFY(about(range(2).first, 2) && about(range(2).second, 3));
    QVERIFY(range(1).second < 1);
}

void ViewsTest::quantityLooksTheSameInEveryView()
{
    Selection selection;
    selection.setNewestStep(200);
    RoutingView routing(&selection);
    routing.setRun(&m_mixlora);
    InsideView inside(&selection);
    inside.setRun(&m_mixlora);
    inside.measureChoice()->setCurrentIndex(inside.measureChoice()->findData(QStringLiteral("routing/load")));
    const HeatMap& here = routing.layerMap()->map();
    const HeatMap& there = inside.heatMap()->map();
    QCOMPARE(here.measure, there.measure);
    QCOMPARE(here.minimum, there.minimum);
    QCOMPARE(here.maximum, there.maximum);
    QVERIFY(here.map == there.map);
}

void ViewsTest::show(View& view)
{
    view.resize(1200, 800);
    view.show();
    QVERIFY(QTest::qWaitForWindowExposed(&view));
}

void ViewsTest::evaluationTableShowsWhatItHasRoomFor()
{
    Selection selection;
    TrainingView view(&selection);
    view.resize(1000, 700);
    record::RunRecord untested;
    untested.define({"train/loss", "", "", "", {}});
    const float loss = 1;
    untested.mutableMeasure("train/loss")->append(1, {&loss, 1});
    view.setRun(&untested);
    auto* table = view.findChild<QTableWidget*>();
    QVERIFY(!table->isVisibleTo(&view));
    view.setRun(&m_mixlora);
    view.show();
    QVERIFY(QTest::qWaitForWindowExposed(&view));
    QVERIFY(table->isVisible());
    auto* split = view.findChild<QSplitter*>(); // no resize of the view
    split->setSizes({500, 500});
    QTRY_VERIFY(!table->isColumnHidden(4));
    split->setSizes({1000, 0});
    QTRY_VERIFY(table->isColumnHidden(4));
}

void ViewsTest::everyChartIsMadeOnce()
{
    Selection selection;
    selection.setNewestStep(200);
    TrainingView view(&selection);
    view.resize(1000, 700);
    view.setRun(&m_mixlora);
    view.show();
    QVERIFY(QTest::qWaitForWindowExposed(&view));
    for (const CurveChart* chart : view.findChildren<CurveChart*>())
        if (chart->objectName() == QLatin1String("loss")) {
            int made = 0;
            for (QAbstractSeries* series : chart->chart()->series())
                if (auto* line = qobject_cast<QLineSeries*>(series); line != nullptr && line->count() > 100)
                    connect(line, &QXYSeries::pointsReplaced, this, [&made] { ++made; });
            selection.setStep(120);
            QCOMPARE(made, 2); // the loss and, behind it, the raw one
            QCOMPARE(chart->marker(), std::optional<double>(120));
        }
}

void ViewsTest::emptyViewsOfAFinishedRunOfferActions()
{
    SampleOptions options;
    options.family = "lora";
    options.done = 20;
    record::RunRecord run = sampleRun(options);
    Selection selection;
    RoutingView routing(&selection);
    MpoView mpo(&selection);
    for (View* view : {static_cast<View*>(&routing), static_cast<View*>(&mpo)}) {
        view->setRun(&run);
        const auto actions = view->findChildren<QPushButton*>();
        QVERIFY(!actions.front()->isVisibleTo(view)); // it may come by itself
        view->setNotice(QStringLiteral("The run is done"), true);
        QVERIFY(actions.front()->isVisibleTo(view));
        QVERIFY(!view->definition().isEmpty());
    }
}

int main(int argc, char** argv)
{
    VtkWidget::setDefaultSurfaceFormat();
    QApplication application(argc, argv);
    ViewsTest test;
    return QTest::qExec(&test, argc, argv);
}
#include "views_test.moc"

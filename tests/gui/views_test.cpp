// SPDX-License-Identifier: GPL-3.0-or-later
// The views as widgets: what they do with the selection, the step and another run.
#include "tests/gui/sample_run.h"
#include "views/effective_rank/rank_view.h"
#include "views/inside/inside_view.h"
#include "views/mpo/mpo_view.h"
#include "views/mpo/vtk_widget.h"
#include "views/plot/bar_plot.h"
#include "views/plot/curve_chart.h"
#include "views/plot/format.h"
#include "views/plot/heat_map_widget.h"
#include "views/routing/routing_view.h"
#include "views/training/training_view.h"

#include <QApplication>
#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QMenu>
#include <QPointer>
#include <QPushButton>
#include <QSignalSpy>
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
    void clearingBringsTheOwnChoiceBack();
    void ownChoiceWhileFollowingStays();
    void routersComeBack();
    void operatorsComeBack();
    void placesComeBack();
    void anotherRunDropsWhatItLacks();
    void scalesStayWhileTheStepMoves();
    void spectraKeepTheirScaleWhileTheStepMoves();
    void quantityLooksTheSameInEveryView();
    void dragTakesAllCells();
    void modifiersWorkAlikeInEveryPanel();
    void doubleClickShowsAllAndSelectsNothing();
    void tableCellsAreCopied();
    void cursorFollowsTheStep();
    void legendEntrySelects();
    void curvesAreReadByKey();
    void everyChartIsMadeOnce();
    void menuSelectsWhatIsUnderTheCursor();
    void menuOfABar();
    void menuCopiesTheValueUnderTheCursor();
    void emptyViewsOfAFinishedRunOfferActions();

private:
    static void show(View& view);
    /// What the context menu at a place offers; `trigger`: chooses what begins so.
    static QStringList menuTexts(const QWidget* panel, const QPoint& place, const QString& trigger = {});
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

void ViewsTest::dragTakesAllCells()
{
    Selection selection;
    selection.setNewestStep(200);
    RoutingView view(&selection);
    show(view);
    view.setRun(&m_mixlora);
    HeatMapWidget* map = view.taskMap();
    const QStringList tasks = map->map().columnLabels;
    QTest::mousePress(map, Qt::LeftButton, {}, map->cellCentre(2, 1));
    QTest::mouseMove(map, map->cellCentre(4, 3));
    QTest::mouseRelease(map, Qt::LeftButton, {}, map->cellCentre(4, 3));
    QCOMPARE(selection.experts(), (std::set<int>{2, 3, 4}));
    QCOMPARE(selection.tasks(), tasks.mid(1, 3));
    QCOMPARE(map->map().selectedColumns, (std::set<int>{1, 2, 3}));
    // The other map is the mean over them, and the choice of a task says so.
    const HeatMap& byLayer = view.layerMap()->map();
    QVERIFY2(
        byLayer.title.contains(QStringLiteral("mean of ") + selection.tasks().join(QStringLiteral(", "))),
        qPrintable(byLayer.title));
    const SampleOptions options;
    float sum = 0;
    for (int task = 1; task <= 3; ++task)
        sum += sampleLoad(7, 2, task, 200, options);
    QVERIFY(std::abs(byLayer.value(2, 7) - sum / 3) < 1e-6F);
    QCOMPARE(choice(view, "Task")->currentIndex(), -1);
    QCOMPARE(choice(view, "Task")->placeholderText(), selection.tasks().join(QStringLiteral(", ")));
    selection.setTasks({tasks[2]});
    QCOMPARE(choice(view, "Task")->currentText(), tasks[2]);
}

void ViewsTest::modifiersWorkAlikeInEveryPanel()
{
    Selection selection;
    selection.setNewestStep(200);
    RankView rank(&selection);
    RoutingView routing(&selection);
    TrainingView training(&selection);
    for (View* view :
         {static_cast<View*>(&rank), static_cast<View*>(&routing), static_cast<View*>(&training)}) {
        show(*view);
        view->setRun(&m_mixlora);
    }
    const auto click = [](HeatMapWidget* map, int row, int column, Qt::KeyboardModifiers modifiers) {
        QTest::mouseClick(map, Qt::LeftButton, modifiers, map->cellCentre(row, column));
    };
    const QStringList modules = rank.heatMap()->map().columnLabels;
    click(rank.heatMap(), 3, 1, {});
    click(rank.heatMap(), 3, 4, Qt::ControlModifier);
    QCOMPARE(selection.modules(), (QStringList{modules[1], modules[4]}));
    click(rank.heatMap(), 3, 2, Qt::ShiftModifier);
    QCOMPARE(selection.modules(), modules.mid(1, 4));
    QCOMPARE(selection.layers(), std::set<int>{3});
    selection.clear();
    click(routing.taskMap(), 1, 0, {});
    click(routing.taskMap(), 4, 2, Qt::ShiftModifier);
    const QStringList tasks = routing.taskMap()->map().columnLabels;
    QCOMPARE(selection.experts(), (std::set<int>{1, 2, 3, 4}));
    QCOMPARE(selection.tasks(), tasks.mid(0, 3));
    click(routing.taskMap(), 7, 5, Qt::ControlModifier);
    QCOMPARE(selection.experts(), (std::set<int>{1, 2, 3, 4, 7}));
    QCOMPARE(selection.tasks(), tasks.mid(0, 3) << tasks[5]);
    selection.clear();
    auto* bars = training.findChild<BarWidget*>();
    const auto clickBar = [bars](int group, Qt::KeyboardModifiers modifiers) {
        for (int x = 0; x < bars->width(); ++x)
            if (const QPoint place(x, bars->height() / 2); bars->groupAt(place) == group) {
                QTest::mouseClick(bars, Qt::LeftButton, modifiers, place + QPoint(4, 0));
                return;
            }
    };
    clickBar(1, {});
    clickBar(4, Qt::ShiftModifier);
    QCOMPARE(selection.tasks(), tasks.mid(1, 4));
    clickBar(2, Qt::ControlModifier);
    QCOMPARE(bars->plot().selectedGroups, (std::set<int>{1, 3, 4}));
    auto* chart = training.findChild<CurveChart*>(QStringLiteral("task-loss"));
    QCOMPARE(chart->plot()->emphasised, (std::set<int>{1, 3, 4}));
    clickBar(0, {});
    QCOMPARE(selection.tasks(), QStringList{tasks[0]});
}

void ViewsTest::doubleClickShowsAllAndSelectsNothing()
{
    Selection selection;
    selection.setNewestStep(200);
    RankView view(&selection);
    show(view);
    view.setRun(&m_mixlora);
    view.setControls({{QStringLiteral("curves"), 1}}); // lines
    CurveChart* chart = view.chart();
    const auto doubleClick = [chart](const QPoint& place) {
        QTest::mouseClick(chart->viewport(), Qt::LeftButton, {}, place);
        QTest::mouseDClick(chart->viewport(), Qt::LeftButton, {}, place);
    };
    // A curve, and a place where there is none.
    QPoint onCurve, beside;
    for (int y = 0; y < chart->height(); ++y) {
        const QPoint place(chart->width() / 2, y);
        if (chart->curveAt(place) >= 0)
            onCurve = place;
        else if (chart->chart()->plotArea().contains(place))
            beside = place;
    }
    QVERIFY(!onCurve.isNull());
    QTest::mouseClick(chart->viewport(), Qt::LeftButton, {}, onCurve);
    const auto clicked = selection.layers();
    QCOMPARE(clicked.size(), std::size_t(1));
    selection.setLayers({1, 2});
    for (const QPoint& place : {onCurve, beside}) {
        chart->setZoom({80, 160});
        const bool couldRedo = selection.canRedo();
        doubleClick(place.isNull() ? onCurve : place);
        QVERIFY(!chart->zoom());
        QCOMPARE(selection.layers(), (std::set<int>{1, 2}));
        QVERIFY(selection.live()); // nor does it choose a step
        QCOMPARE(selection.canRedo(), couldRedo);
    }
    selection.setLayers(clicked); // where the click changes nothing, nothing is taken back
    doubleClick(onCurve);
    QCOMPARE(selection.layers(), clicked);
    selection.undo();
    QCOMPARE(selection.layers(), (std::set<int>{1, 2}));
}

void ViewsTest::tableCellsAreCopied()
{
    Selection selection;
    selection.setNewestStep(200);
    TrainingView view(&selection);
    view.resize(1600, 900);
    view.show();
    QVERIFY(QTest::qWaitForWindowExposed(&view));
    view.setRun(&m_mixlora);
    auto* table = view.findChild<QTableWidget*>();
    const auto centre = [table](int row, int column) {
        return table->visualItemRect(table->item(row, column)).center();
    };
    const auto text = [table](int row, int column) { return table->item(row, column)->text(); };
    QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, centre(1, 2));
    QCOMPARE(selection.tasks(), QStringList{text(1, 0)});
    QVERIFY(table->item(1, 0)->font().bold());
    QTest::mouseClick(table->viewport(), Qt::LeftButton, Qt::ShiftModifier, centre(3, 3));
    QCOMPARE(selection.tasks(), (QStringList{text(1, 0), text(2, 0), text(3, 0)}));
    QTest::keyClick(table, Qt::Key_C, Qt::ControlModifier);
    QStringList lines;
    for (int row = 1; row <= 3; ++row)
        lines << text(row, 2) + QLatin1Char('\t') + text(row, 3);
    QCOMPARE(QApplication::clipboard()->text(), lines.join(QLatin1Char('\n')));
    selection.setStep(120); // the cells stay chosen while the step moves
    QTest::keyClick(table, Qt::Key_C, Qt::ControlModifier);
    QCOMPARE(QApplication::clipboard()->text().count(QLatin1Char('\t')), 3);
    menuTexts(table, table->viewport()->mapTo(table, centre(5, 1)), QStringLiteral("Select "));
    QCOMPARE(selection.tasks(), QStringList{text(5, 0)});
    selection.clear();
    QVERIFY(!table->item(5, 0)->font().bold());
}

void ViewsTest::cursorFollowsTheStep()
{
    const record::RunRecord run = opera();
    Selection selection;
    selection.setNewestStep(200);
    RankView rank(&selection);
    MpoView mpo(&selection);
    TrainingView training(&selection);
    for (View* view : {static_cast<View*>(&rank), static_cast<View*>(&mpo), static_cast<View*>(&training)})
        view->setRun(&run);
    // A cell, a curve of one step and a bar: the cursor rests, the step moves.
    show(rank);
    HeatMapWidget* map = rank.heatMap();
    QTest::mouseMove(map, map->cellCentre(4, 6));
    QTRY_VERIFY(selection.hover().contains(QStringLiteral("measured at step 200")));
    selection.setStep(100);
    QVERIFY2(selection.hover().contains(QStringLiteral("measured at step 100")),
             qPrintable(selection.hover()));
    const QString value = formatValue(sampleRank("rank/entropy", 4, 6, 2, 100));
    QVERIFY(selection.hover().contains(QStringLiteral("expert 2: ") + value));
    QTest::mouseMove(map, {1, 1});
    QTRY_VERIFY(selection.hover().isEmpty());
    selection.setStep(50);
    QVERIFY(selection.hover().isEmpty()); // beside the cells
    rank.hide();
    show(mpo);
    CurveChart* spectra = nullptr;
    for (CurveChart* chart : mpo.findChildren<CurveChart*>())
        if (!chart->plot()->overSteps())
            spectra = chart;
    QPoint place;
    for (int y = 0; y < spectra->height() && place.isNull(); ++y)
        if (spectra->curveAt({spectra->width() / 2, y}) >= 0)
            place = {spectra->width() / 2, y};
    QTest::mouseMove(spectra->viewport(), place);
    QTRY_COMPARE(selection.hover(), spectra->readingAt(place));
    const QString before = selection.hover();
    QVERIFY(!before.isEmpty());
    selection.setStep(200);
    QCOMPARE(selection.hover(), spectra->readingAt(place));
    QVERIFY(selection.hover() != before);
    mpo.hide();
    show(training);
    auto* bars = training.findChild<BarWidget*>();
    for (int x = 0; x < bars->width(); ++x)
        if (bars->groupAt(QPoint(x, bars->height() / 2)) == 3) {
            QTest::mouseMove(bars, QPoint(x + 3, bars->height() / 2));
            break;
        }
    QTRY_VERIFY(selection.hover().startsWith(bars->plot().groups[3]));
    const QString newest = selection.hover();
    selection.setStep(0);
    QVERIFY(selection.hover().startsWith(bars->plot().groups[3]));
    QVERIFY(selection.hover() != newest);
}

void ViewsTest::legendEntrySelects()
{
    Selection selection;
    selection.setNewestStep(200);
    TrainingView view(&selection);
    show(view);
    view.setRun(&m_mixlora);
    auto* chart = view.findChild<CurveChart*>(QStringLiteral("task-loss"));
    QVERIFY(chart != nullptr);
    // Every entry is somewhere above the plot: the user's eye finds it, the test looks everywhere.
    std::set<QString> chosen;
    for (int y = 0; y < chart->height() / 2; y += 6)
        for (int x = 0; x < chart->width(); x += 12) {
            selection.clear();
            if (chart->curveAt(QPoint(x, y)) >= 0)
                continue; // of the plot itself
            QTest::mouseClick(chart->viewport(), Qt::LeftButton, {}, QPoint(x, y));
            if (!selection.tasks().isEmpty())
                chosen.insert(selection.tasks().first());
        }
    std::set<QString> tasks;
    for (const Curve& curve : chart->plot()->curves)
        if (!curve.raw)
            tasks.insert(curve.label);
    QVERIFY(chosen == tasks);
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

QStringList ViewsTest::menuTexts(const QWidget* panel, const QPoint& place, const QString& trigger)
{
    QPointer<QMenu> menu;
    Q_EMIT const_cast<QWidget*>(panel)->customContextMenuRequested(place);
    for (QWidget* widget : QApplication::topLevelWidgets())
        if (auto* shown = qobject_cast<QMenu*>(widget); shown != nullptr && shown->isVisible())
            menu = shown;
    QStringList texts;
    if (menu.isNull())
        return texts;
    for (QAction* action : menu->actions())
        if (!action->isSeparator()) {
            texts << action->text();
            if (!trigger.isEmpty() && action->text().startsWith(trigger))
                action->trigger();
        }
    menu->close();
    return texts;
}

void ViewsTest::menuSelectsWhatIsUnderTheCursor()
{
    Selection selection;
    selection.setNewestStep(200);
    RankView view(&selection);
    show(view);
    view.setRun(&m_mixlora);
    HeatMapWidget* map = view.heatMap();
    const auto menu = [map](int row, int column, const char* trigger = "") {
        return menuTexts(map, map->cellCentre(row, column), QString::fromUtf8(trigger));
    };
    const QStringList first = menu(9, 4, "Select gate_proj");
    QCOMPARE(first.mid(0, 3),
             (QStringList{QStringLiteral("Select layer 9"), QStringLiteral("Select gate_proj"),
                          QStringLiteral("Select layer 9, gate_proj")}));
    QVERIFY(first.contains(QStringLiteral("Show all (F)")));
    QVERIFY(!first.contains(QStringLiteral("Clear the selection (Esc)")));
    QCOMPARE(selection.state(), (SelectionState{{}, {}, {QStringLiteral("gate_proj")}, {}}));
    menu(9, 4, "Select layer 9, gate_proj");
    QVERIFY(menu(12, 4, "Add layer 12, gate_proj to").contains(QStringLiteral("Clear the selection (Esc)")));
    QCOMPARE(selection.state(), (SelectionState{{9, 12}, {}, {QStringLiteral("gate_proj")}, {}}));
    menu(9, 4, "Take layer 9, gate_proj out of");
    QCOMPARE(selection.layers(), std::set<int>{12});
    menu(9, 4, "Clear the selection");
    QVERIFY(selection.state().empty());
    QVERIFY(menuTexts(map, {1, 1}).filter(QStringLiteral("Select ")).isEmpty()); // beside the cells

    // A curve by its layer, and the step under the cursor.
    view.setControls({{QStringLiteral("curves"), 1}});
    const CurveChart* chart = view.chart();
    for (int y = 0; y < chart->height() && selection.layers().empty(); ++y)
        if (const QPoint place(chart->width() / 2, y); chart->curveAt(place) >= 0) {
            const int layer = chart->keyAt(place);
            menuTexts(chart, place, QStringLiteral("Select layer %1").arg(layer));
            QCOMPARE(selection.layers(), std::set<int>{layer});
            const std::int64_t step = *chart->stepAt(place);
            menuTexts(chart, place, QStringLiteral("Show step %1").arg(step));
            QCOMPARE(selection.step(), step);
        }
    QVERIFY(!selection.layers().empty());
}

void ViewsTest::menuOfABar()
{
    Selection selection;
    selection.setNewestStep(200);
    TrainingView view(&selection);
    show(view);
    view.setRun(&m_mixlora);
    const auto* bars = view.findChild<BarWidget*>();
    std::set<QString> values;
    for (int x = 0; x < bars->width(); ++x)
        if (const QPoint place(x, bars->height() / 2); bars->groupAt(place) == 2 && bars->valueAt(place)) {
            QApplication::clipboard()->clear();
            menuTexts(bars, place, QStringLiteral("Copy value"));
            values.insert(QApplication::clipboard()->text());
            menuTexts(bars, place, QStringLiteral("Select boolq"));
        }
    const auto& series = bars->plot().series;
    QVERIFY(
        (values == std::set<QString>{exactNumber(series[0].values[2]), exactNumber(series[1].values[2])}));
    QCOMPARE(selection.tasks(), QStringList{QStringLiteral("boolq")});
}

void ViewsTest::menuCopiesTheValueUnderTheCursor()
{
    Selection selection;
    selection.setNewestStep(200);
    RankView view(&selection);
    show(view);
    view.setRun(&m_mixlora);
    menuTexts(view.heatMap(), view.heatMap()->cellCentre(9, 4), QStringLiteral("Copy value"));
    QCOMPARE(QApplication::clipboard()->text().toFloat(), view.heatMap()->map().value(9, 4));
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

void ViewsTest::curvesAreReadByKey()
{
    Selection selection;
    selection.setNewestStep(200);
    TrainingView view(&selection);
    show(view);
    view.setControls({{QStringLiteral("smoothing"), 0}});
    view.setRun(&m_mixlora);
    auto* chart = view.findChild<CurveChart*>(QStringLiteral("task-loss"));
    chart->setFocus();
    const auto press = [chart](Qt::Key key, Qt::KeyboardModifiers modifiers) {
        QTest::keyClick(chart, key, modifiers);
    };
    press(Qt::Key_Right, Qt::ShiftModifier);
    const QString first = chart->plot()->curves[0].label;
    QVERIFY2(selection.hover().startsWith(first), qPrintable(selection.hover()));
    const QString newest = selection.hover();
    press(Qt::Key_Left, Qt::ShiftModifier);
    QVERIFY(selection.hover().startsWith(first));
    QVERIFY(selection.hover() != newest);
    press(Qt::Key_Right, Qt::ShiftModifier);
    QCOMPARE(selection.hover(), newest); // and back
    press(Qt::Key_Down, Qt::ShiftModifier);
    const QString second = chart->plot()->curves[1].label;
    QVERIFY2(selection.hover().startsWith(second), qPrintable(selection.hover()));
    press(Qt::Key_Return, Qt::NoModifier);
    QCOMPARE(selection.tasks(), QStringList{second});
}

int main(int argc, char** argv)
{
    VtkWidget::setDefaultSurfaceFormat();
    QApplication application(argc, argv);
    ViewsTest test;
    return QTest::qExec(&test, argc, argv);
}
#include "views_test.moc"

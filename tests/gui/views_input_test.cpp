// SPDX-License-Identifier: GPL-3.0-or-later
// The views under mouse and keyboard: what is selected, read and offered at the cursor.
#include "tests/gui/sample_run.h"
#include "views/effective_rank/rank_view.h"
#include "views/mpo/mpo_view.h"
#include "views/mpo/vtk_widget.h"
#include "views/plot/bar_plot.h"
#include "views/plot/curve_chart.h"
#include "views/plot/format.h"
#include "views/plot/heat_map_widget.h"
#include "views/routing/routing_view.h"
#include "views/training/training_view.h"

#include <QAbstractScrollArea>
#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QContextMenuEvent>
#include <QMenu>
#include <QPointer>
#include <QTableWidget>
#include <QTest>
#include <QtCharts/QChart>

#include <cmath>
#include <set>

using namespace rankscope;
using namespace rankscope::views;
using namespace rankscope::tests;

class ViewsInputTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void legendEntrySelects();
    void curvesAreReadByKey();
    void dragTakesAllCells();
    void modifiersWorkAlikeInEveryPanel();
    void doubleClickShowsAllAndSelectsNothing();
    void tabGoesFromPanelToPanel();
    void tableCellsAreCopied();
    void cursorFollowsTheStep();
    void menuSelectsWhatIsUnderTheCursor();
    void menuOfABar();
    void menuCopiesTheValueUnderTheCursor();

private:
    static void show(View& view);
    /// What the context menu at a place offers; `trigger`: chooses what begins so.
    static QStringList menuTexts(const QWidget* panel, const QPoint& place, const QString& trigger = {});

    record::RunRecord m_mixlora = sampleRun();
};

void ViewsInputTest::show(View& view)
{
    view.resize(1200, 800);
    view.show();
    QVERIFY(QTest::qWaitForWindowExposed(&view));
}

QStringList ViewsInputTest::menuTexts(const QWidget* panel, const QPoint& place, const QString& trigger)
{
    QPointer<QMenu> menu;
    const auto* scrolled = qobject_cast<const QAbstractScrollArea*>(panel);
    QWidget* clicked = scrolled != nullptr ? scrolled->viewport() : const_cast<QWidget*>(panel);
    QContextMenuEvent click(QContextMenuEvent::Mouse, place, clicked->mapToGlobal(place));
    QApplication::sendEvent(clicked, &click);
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

void ViewsInputTest::legendEntrySelects()
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

void ViewsInputTest::curvesAreReadByKey()
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

void ViewsInputTest::dragTakesAllCells()
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
    const QComboBox* task = nullptr;
    for (const QComboBox* choice : view.findChildren<QComboBox*>())
        if (choice->accessibleName() == QLatin1String("Task"))
            task = choice;
    QCOMPARE(task->currentIndex(), -1);
    QCOMPARE(task->placeholderText(), selection.tasks().join(QStringLiteral(", ")));
    selection.setTasks({tasks[2]});
    QCOMPARE(task->currentText(), tasks[2]);
}

void ViewsInputTest::modifiersWorkAlikeInEveryPanel()
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

void ViewsInputTest::doubleClickShowsAllAndSelectsNothing()
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

void ViewsInputTest::tabGoesFromPanelToPanel()
{
    Selection selection;
    TrainingView view(&selection);
    view.setRun(&m_mixlora);
    show(view);
    view.activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(&view));
    auto* chart = view.findChild<CurveChart*>(QStringLiteral("loss"));
    const auto framed = [chart] {
        const QRgb edge = chart->grab().toImage().pixel(1, chart->height() / 2);
        return edge == PlotStyle::screen(chart->palette(), chart->font()).accent.rgb();
    };
    chart->setFocus(Qt::MouseFocusReason);
    QVERIFY(!framed());
    auto* table = view.findChild<QTableWidget*>();
    table->setFocus();
    QTest::keyClick(table, Qt::Key_Tab);
    QVERIFY(!table->hasFocus()); // and not in its next cell
    QTest::keyClick(view.focusWidget(), Qt::Key_Backtab);
    QVERIFY(table->hasFocus());
    chart->setFocus(Qt::TabFocusReason);
    QVERIFY(framed());
    table->setFocus();
    QVERIFY(!framed());
}

void ViewsInputTest::tableCellsAreCopied()
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
    menuTexts(table, centre(5, 1), QStringLiteral("Select "));
    QCOMPARE(selection.tasks(), QStringList{text(5, 0)});
    menuTexts(table, centre(4, 1), QStringLiteral("Copy row"));
    QVERIFY(QApplication::clipboard()->text().startsWith(text(4, 0)));
    selection.clear();
    QVERIFY(!table->item(5, 0)->font().bold());
}

void ViewsInputTest::cursorFollowsTheStep()
{
    SampleOptions options;
    options.family = "opera";
    const record::RunRecord run = sampleRun(options);
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

void ViewsInputTest::menuSelectsWhatIsUnderTheCursor()
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

void ViewsInputTest::menuOfABar()
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

void ViewsInputTest::menuCopiesTheValueUnderTheCursor()
{
    Selection selection;
    selection.setNewestStep(200);
    RankView view(&selection);
    show(view);
    view.setRun(&m_mixlora);
    menuTexts(view.heatMap(), view.heatMap()->cellCentre(9, 4), QStringLiteral("Copy value"));
    QCOMPARE(QApplication::clipboard()->text().toFloat(), view.heatMap()->map().value(9, 4));
}

int main(int argc, char** argv)
{
    VtkWidget::setDefaultSurfaceFormat();
    QApplication application(argc, argv);
    ViewsInputTest test;
    return QTest::qExec(&test, argc, argv);
}
#include "views_input_test.moc"

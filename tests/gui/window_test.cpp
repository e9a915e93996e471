// SPDX-License-Identifier: GPL-3.0-or-later
// The whole window, driven as a user drives it.
#include "app/workbench/command_palette.h"
#include "app/workbench/main_window.h"
#include "app/workbench/open_run.h"
#include "app/workbench/selection_panel.h"
#include "app/workbench/step_bar.h"
#include "app/workbench/style.h"
#include "core/record/journal.h"
#include "core/record/snapshot.h"
#include "tests/gui/sample_run.h"
#include "views/effective_rank/rank_view.h"
#include "views/mpo/vtk_widget.h"
#include "views/plot/curve_chart.h"
#include "views/plot/heat_map_widget.h"
#include "views/routing/routing_view.h"

#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QDir>
#include <QDockWidget>
#include <QLabel>
#include <QLineEdit>
#include <QPointer>
#include <QSignalSpy>
#include <QSlider>
#include <QTabBar>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>
#include <QToolTip>
#include <QWheelEvent>

using namespace rankscope;
using namespace rankscope::views;
using namespace rankscope::workbench;
using namespace rankscope::tests;

class WindowTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void init();
    void cleanup();
    void cellSelectsTheLayerEverywhere();
    void escapeClearsAndUndoBringsBack();
    void sliderLeavesLiveAndBack();
    void arrowKeysStep();
    void commandsGoToTheViewThatIsShown();
    void toolTipsCanBeRead();
    void emptyViewsOfferActions();
    void followsAJournalThatGrows();
    void damagedFileIsSaidNotFatal();
    void figureIsShownAgain();
    void everyFigureIsExported();
    void commandPaletteFindsCommands();
    void everyViewSurvivesBothStyles();
    void tornOffViewGivesItsOwnFigure();
    void tornOffSceneIsStillDrawn();
    void hiddenPanelStaysHidden();
    void zoomBelongsToItsRun();
    void typedNonsenseSelectsNothing();

private:
    OpenRun* open(const QString& name);
    template <typename T>
    T* view(const QString& key)
    {
        return qobject_cast<T*>(m_window->view(key));
    }

    QTemporaryDir m_folder;
    std::unique_ptr<MainWindow> m_window;
};

void WindowTest::initTestCase()
{
    applyStyle(StyleChoice::Light);
    for (const char* family : {"mixlora", "opera", "lora"}) {
        SampleOptions options;
        options.family = family;
        const QString file = m_folder.filePath(QString::fromLatin1(family) + QStringLiteral(".h5"));
        QVERIFY(record::writeSnapshot(sampleRun(options), file.toStdString()).has_value());
    }
}

void WindowTest::init()
{
    m_window = std::make_unique<MainWindow>(MainWindow::Options{{}, {}, false, false});
    m_window->resize(1400, 900);
    m_window->show();
    QVERIFY(QTest::qWaitForWindowExposed(m_window.get()));
}

void WindowTest::cleanup()
{
    m_window.reset();
}

OpenRun* WindowTest::open(const QString& name)
{
    OpenRun* run = m_window->openRun(m_folder.filePath(name));
    if (!run->isLoaded()) {
        QSignalSpy loaded(run, &OpenRun::loaded);
        loaded.wait(20'000);
    }
    return run;
}

void WindowTest::cellSelectsTheLayerEverywhere()
{
    open(QStringLiteral("opera.h5"));
    m_window->showView(QStringLiteral("effective_rank"));
    auto* rank = view<RankView>(QStringLiteral("effective_rank"));
    QTRY_VERIFY(rank->heatMap()->isVisible());
    QTest::mouseClick(rank->heatMap(), Qt::LeftButton, {}, rank->heatMap()->cellCentre(11, 4));
    QCOMPARE(m_window->selection()->layers(), std::set<int>{11});
    QCOMPARE(m_window->selection()->modules(), QStringList{QStringLiteral("gate_proj")});
    QCOMPARE(rank->chart()->plot()->emphasised, std::set<int>{11});
    auto* routing = view<RoutingView>(QStringLiteral("routing"));
    QCOMPARE(routing->layerMap()->map().selectedColumns, std::set<int>{11});
    QVERIFY(routing->taskMap()->map().title.contains(QStringLiteral("layer 11")));
    QCOMPARE(m_window->view(QStringLiteral("mpo"))->controls().value(QStringLiteral("layer")).toInt(), 11);
    QCOMPARE(m_window->view(QStringLiteral("mpo"))->controls().value(QStringLiteral("module")).toString(),
             QStringLiteral("gate_proj"));
    QTest::mouseClick(rank->heatMap(), Qt::LeftButton, Qt::ControlModifier,
                      rank->heatMap()->cellCentre(13, 4));
    QCOMPARE(m_window->selection()->layers(), (std::set<int>{11, 13}));
    QTest::mouseClick(rank->heatMap(), Qt::LeftButton, Qt::ShiftModifier, rank->heatMap()->cellCentre(16, 4));
    QCOMPARE(m_window->selection()->layers(), (std::set<int>{11, 12, 13, 14, 15, 16}));
}

void WindowTest::escapeClearsAndUndoBringsBack()
{
    open(QStringLiteral("mixlora.h5"));
    m_window->showView(QStringLiteral("effective_rank"));
    m_window->selection()->setLayers({5});
    m_window->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(m_window.get()));
    auto* rank = view<RankView>(QStringLiteral("effective_rank"));
    rank->heatMap()->setFocus();
    QTest::keyClick(rank->heatMap(), Qt::Key_Escape);
    QVERIFY(m_window->selection()->state().empty());
    QTest::keyClick(rank->heatMap(), Qt::Key_Z, Qt::ControlModifier);
    QCOMPARE(m_window->selection()->layers(), std::set<int>{5});
}

void WindowTest::sliderLeavesLiveAndBack()
{
    open(QStringLiteral("mixlora.h5"));
    Selection* selection = m_window->selection();
    QVERIFY(selection->live());
    QCOMPARE(selection->step(), std::int64_t(200));
    m_window->showView(QStringLiteral("effective_rank"));
    auto* rank = view<RankView>(QStringLiteral("effective_rank"));
    m_window->stepBar()->slider()->setValue(70);
    QVERIFY(!selection->live());
    QCOMPARE(selection->step(), std::int64_t(70));
    QVERIFY(rank->heatMap()->map().title.contains(QStringLiteral("step 70")));
    QTest::mouseClick(m_window->stepBar()->liveButton(), Qt::LeftButton);
    QVERIFY(selection->live());
    QCOMPARE(selection->step(), std::int64_t(200));
}

void WindowTest::arrowKeysStep()
{
    open(QStringLiteral("mixlora.h5"));
    m_window->showView(QStringLiteral("effective_rank"));
    m_window->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(m_window.get()));
    auto* map = view<RankView>(QStringLiteral("effective_rank"))->heatMap();
    map->setFocus();
    QTest::keyClick(map, Qt::Key_Left);
    QCOMPARE(m_window->selection()->step(), std::int64_t(199));
    QTest::keyClick(map, Qt::Key_L);
    QVERIFY(m_window->selection()->live());
    QTest::keyClick(map, Qt::Key_3, Qt::ControlModifier);
    QTRY_VERIFY(m_window->view(QStringLiteral("routing"))->isVisible());
}

void WindowTest::commandsGoToTheViewThatIsShown()
{
    open(QStringLiteral("mixlora.h5"));
    m_window->showView(QStringLiteral("effective_rank"));
    m_window->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(m_window.get()));
    auto* rank = view<RankView>(QStringLiteral("effective_rank"));
    auto* routing = m_window->view(QStringLiteral("routing"));
    rank->heatMap()->setFocus();
    QCOMPARE(m_window->currentView(), rank);
    for (auto* tabs : m_window->findChildren<QTabBar*>()) // a click on a tab leaves the focus where it is
        for (int tab = 0; tab < tabs->count(); ++tab)
            if (tabs->tabText(tab) == routing->title())
                tabs->setCurrentIndex(tab);
    QTRY_VERIFY(routing->isShown());
    QVERIFY(!rank->isShown());
    QCOMPARE(m_window->currentView(), routing);
    m_window->selection()->setStep(60);
    QVERIFY(!rank->heatMap()->map().title.contains(QStringLiteral("step 60"))); // nobody sees it
    m_window->showView(QStringLiteral("effective_rank"));
    QTRY_VERIFY(rank->heatMap()->map().title.contains(QStringLiteral("step 60")));
    QCOMPARE(m_window->currentView(), rank);
    m_window->showView(QStringLiteral("training"));
    QVERIFY(m_window->view(QStringLiteral("training"))->isAncestorOf(m_window->focusWidget()));
}

void WindowTest::toolTipsCanBeRead()
{
    for (const StyleChoice style : {StyleChoice::Light, StyleChoice::Dark, StyleChoice::Light}) {
        m_window->setStyleChoice(style);
        QToolTip::showText(m_window->mapToGlobal(QPoint(300, 300)), QStringLiteral("Optimizer step"),
                           m_window.get());
        QPointer<QWidget> label;
        for (QWidget* widget : QApplication::topLevelWidgets())
            if (widget->inherits("QTipLabel") && widget->isVisible())
                label = widget;
        QVERIFY(!label.isNull());
        const QImage picture = label->grab().toImage();
        QCOMPARE(picture.pixelColor(4, 4), QApplication::palette().color(QPalette::ToolTipBase));
        int darkest = 255;
        int lightest = 0;
        for (int y = 4; y < picture.height() - 4; ++y)
            for (int x = 4; x < picture.width() - 4; ++x) {
                darkest = std::min(darkest, picture.pixelColor(x, y).lightness());
                lightest = std::max(lightest, picture.pixelColor(x, y).lightness());
            }
        QVERIFY2(lightest - darkest > 120, qPrintable(QString::number(lightest - darkest)));
        QToolTip::hideText();
        QTRY_VERIFY(label.isNull() || !label->isVisible());
    }
}

void WindowTest::emptyViewsOfferActions()
{
    for (View* view : m_window->allViews()) {
        m_window->showView(view->key());
        QVERIFY(!view->hasData());
        QVERIFY(view->figures().empty());
        QVERIFY2(!view->findChildren<QAbstractButton*>().isEmpty(), qPrintable(view->key()));
        Q_EMIT view->copyDataRequested({});
        QVERIFY(m_window->statusLabel()->text().contains(QStringLiteral("open a run first")));
    }
    open(QStringLiteral("lora.h5")); // no router, no operator: the views say so and do not fail
    for (const char* key : {"routing", "mpo"}) {
        View* view = m_window->view(QString::fromLatin1(key));
        Q_EMIT view->exportRequested({}); // asks for no file
        QVERIFY2(m_window->statusLabel()->text().startsWith(view->title()), key);
    }
    QVERIFY(!m_window->view(QStringLiteral("routing"))->hasData());
    QVERIFY(!m_window->view(QStringLiteral("mpo"))->hasData());
    QVERIFY(m_window->view(QStringLiteral("effective_rank"))->hasData());
}

void WindowTest::followsAJournalThatGrows()
{
    const QString folder = m_folder.filePath(QStringLiteral("live"));
    QVERIFY(QDir().mkpath(folder));
    auto writer = record::JournalWriter::open((folder + QStringLiteral("/journal.rec")).toStdString());
    QVERIFY(writer.has_value());
    protocol::JournalEvent event;
    event.mutable_run()->set_total_steps(50);
    event.mutable_run()->set_job_json(R"({"name":"live run","adapter":{"family":"lora"}})");
    QVERIFY(writer->append(event).has_value());
    event.Clear();
    event.mutable_measure_defined()->set_id(1);
    event.mutable_measure_defined()->set_name("train/loss");
    event.mutable_measure_defined()->set_title("Loss");
    QVERIFY(writer->append(event).has_value());
    const auto addStep = [&writer](int step) {
        protocol::JournalEvent values;
        values.mutable_measure_values()->set_id(1);
        values.mutable_measure_values()->set_step(step);
        values.mutable_measure_values()->add_values(1.0F / static_cast<float>(step));
        return writer->append(values).has_value();
    };
    for (int step = 1; step <= 10; ++step)
        QVERIFY(addStep(step));
    OpenRun* run = open(QStringLiteral("live"));
    QCOMPARE(run->title(), QStringLiteral("live run"));
    QCOMPARE(m_window->selection()->step(), std::int64_t(10));
    for (int step = 11; step <= 25; ++step)
        QVERIFY(addStep(step));
    QTRY_COMPARE(m_window->selection()->step(), std::int64_t(25));
    QCOMPARE(run->record().measure("train/loss")->steps().size(), std::size_t(25));
    m_window->selection()->setStep(7);
    QVERIFY(addStep(26));
    QTRY_COMPARE(run->record().lastStep(), std::int64_t(26));
    QCOMPARE(m_window->selection()->step(), std::int64_t(7)); // the past stays where it is
    QTRY_COMPARE(m_window->runList()->rows().size(), std::size_t(1));

    // A resume supersedes what came after its checkpoint, even where it has grown past the old end between
    // two looks.
    protocol::JournalEvent rewound;
    rewound.mutable_rewound()->set_step(20);
    QVERIFY(writer->append(rewound).has_value());
    for (int step = 21; step <= 30; ++step) {
        protocol::JournalEvent values;
        values.mutable_measure_values()->set_id(1);
        values.mutable_measure_values()->set_step(step);
        values.mutable_measure_values()->add_values(7);
        QVERIFY(writer->append(values).has_value());
    }
    QTRY_COMPARE(run->record().lastStep(), std::int64_t(30));
    View* training = m_window->view(QStringLiteral("training"));
    training->setControls({{QStringLiteral("smoothing"), 0}});
    m_window->showView(QStringLiteral("training"));
    for (const CurveChart* chart : training->findChildren<CurveChart*>())
        if (chart->objectName() == QLatin1String("loss")) {
            const MinMaxSeries& loss = chart->plot()->curves[0].data;
            QCOMPARE(loss.count(), std::size_t(30));
            QCOMPARE(loss.nearest(20).y(), double(1.0F / 20));
            QCOMPARE(loss.nearest(21).y(), 7.0);
        }
}

void WindowTest::damagedFileIsSaidNotFatal()
{
    QFile file(m_folder.filePath(QStringLiteral("broken.h5")));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write("this is no HDF5 file");
    file.close();
    OpenRun* run = m_window->openRun(file.fileName());
    QSignalSpy failed(run, &OpenRun::failed);
    QVERIFY(failed.wait(20'000));
    QVERIFY(failed.first().first().toString().contains(QStringLiteral("broken.h5")));
    QCOMPARE(m_window->currentRun(), nullptr);
}

void WindowTest::figureIsShownAgain()
{
    open(QStringLiteral("mixlora.h5"));
    m_window->showView(QStringLiteral("effective_rank"));
    Selection* selection = m_window->selection();
    selection->setStep(90);
    selection->setLayers({3, 4});
    View* rank = m_window->view(QStringLiteral("effective_rank"));
    rank->setControls({{QStringLiteral("measure"), QStringLiteral("rank/stable")},
                       {QStringLiteral("module"), QStringLiteral("up_proj")}});
    auto* chart = rank->findChild<CurveChart*>();
    chart->setZoom({40, 120});
    const QString file = m_folder.filePath(QStringLiteral("figure.svg"));
    QVERIFY(m_window->exportTo(rank, QStringLiteral("curves"), file).has_value());
    chart->fit();
    selection->clear();
    selection->setLive(true);
    rank->setControls({{QStringLiteral("measure"), QStringLiteral("rank/entropy")}});
    const auto description = views::readFigureDescription(file);
    QVERIFY(description.has_value());
    QVERIFY(m_window->showDescribed(*description).has_value());
    QCOMPARE(selection->step(), std::int64_t(90));
    QCOMPARE(selection->layers(), (std::set<int>{3, 4}));
    QCOMPARE(rank->controls().value(QStringLiteral("measure")).toString(), QStringLiteral("rank/stable"));
    QCOMPARE(rank->controls().value(QStringLiteral("module")).toString(), QStringLiteral("up_proj"));
    QVERIFY((chart->zoom() == std::pair<double, double>{40, 120}));
    QCOMPARE(rank->currentFigure(), QStringLiteral("curves"));
}

void WindowTest::everyFigureIsExported()
{
    open(QStringLiteral("opera.h5"));
    const auto files = m_window->exportAll(m_folder.filePath(QStringLiteral("figures")));
    QVERIFY(files.has_value());
    for (const char* name : {"training-loss.pdf", "training-evaluation.svg", "effective_rank-map.csv",
                             "routing-load-by-layer.png", "mpo-diagram.svg", "mpo-spectra.csv"})
        QVERIFY2(QFileInfo(m_folder.filePath(QStringLiteral("figures/") + QString::fromLatin1(name))).size() >
                     100,
                 name);
}

void WindowTest::commandPaletteFindsCommands()
{
    open(QStringLiteral("mixlora.h5"));
    m_window->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(m_window.get()));
    QTest::keyClick(m_window.get(), Qt::Key_K, Qt::ControlModifier);
    QTRY_VERIFY(m_window->palettePopup()->isVisible());
    QTest::keyClicks(m_window->palettePopup()->field(), QStringLiteral("routing"));
    QTest::keyClick(m_window->palettePopup()->field(), Qt::Key_Return);
    QVERIFY(!m_window->palettePopup()->isVisible());
    QTRY_VERIFY(m_window->view(QStringLiteral("routing"))->isVisible());
}

void WindowTest::everyViewSurvivesBothStyles()
{
    open(QStringLiteral("opera.h5"));
    for (const StyleChoice style : {StyleChoice::Dark, StyleChoice::Light}) {
        m_window->setStyleChoice(style);
        for (View* view : m_window->allViews()) {
            m_window->showView(view->key());
            QCoreApplication::processEvents();
            const QImage picture = view->grab().toImage();
            // The ground is the palette's, and something is drawn on it.
            std::set<QRgb> colours;
            for (int y = 0; y < picture.height(); y += 7)
                for (int x = 0; x < picture.width(); x += 7)
                    colours.insert(picture.pixel(x, y));
            QVERIFY2(colours.size() > 8, qPrintable(view->key()));
            QVERIFY(colours.contains(QApplication::palette().color(QPalette::Base).rgb()));
        }
    }
}

void WindowTest::tornOffViewGivesItsOwnFigure()
{
    open(QStringLiteral("mixlora.h5"));
    m_window->showView(QStringLiteral("inside"));
    View* inside = m_window->view(QStringLiteral("inside"));
    QTRY_VERIFY(inside->isShown());
    auto* dock = qobject_cast<QDockWidget*>(inside->parentWidget());
    QVERIFY(dock != nullptr);
    dock->setFloating(true);
    m_window->showView(QStringLiteral("effective_rank"));
    QTRY_VERIFY(inside->isShown());
    view<RankView>(QStringLiteral("effective_rank"))->heatMap()->setFocus();
    QApplication::clipboard()->clear();
    Q_EMIT inside->copyDataRequested(QStringLiteral("map"));
    const QString copied = QApplication::clipboard()->text();
    const auto figures = inside->figures();
    const auto map = std::ranges::find(figures, QStringLiteral("map"), &Figure::key);
    QVERIFY(map != figures.end());
    QCOMPARE(copied, map->table().toTabs());
    dock->setFloating(false);
}

void WindowTest::tornOffSceneIsStillDrawn()
{
    open(QStringLiteral("opera.h5"));
    m_window->showView(QStringLiteral("mpo"));
    View* mpo = m_window->view(QStringLiteral("mpo"));
    auto* scene = mpo->findChild<VtkWidget*>();
    QVERIFY(scene != nullptr);
    QTRY_VERIFY(scene->isVisible());
    // Boxes, tubes and labels are many shades; a context that was lost leaves one colour or none.
    const auto shades = [scene] {
        const QImage picture = scene->grabFramebuffer();
        std::set<QRgb> colours;
        for (int y = 0; y < picture.height(); ++y)
            for (int x = 0; x < picture.width(); ++x)
                colours.insert(picture.pixel(x, y));
        return colours.size();
    };
    QTRY_VERIFY(shades() > 50);
    // The chain of five cores lies in the middle.
    QTest::mouseMove(scene, scene->rect().center());
    QTRY_VERIFY2(m_window->selection()->hover().startsWith(QStringLiteral("core 3 of 5")),
                 qPrintable(m_window->selection()->hover()));
    QTest::mouseMove(scene, scene->rect().topLeft() + QPoint(4, 4));
    QTRY_VERIFY(m_window->selection()->hover().isEmpty());
    auto* dock = qobject_cast<QDockWidget*>(mpo->parentWidget());
    for (const bool floating : {true, false}) {
        dock->setFloating(floating);
        if (!floating)
            m_window->showView(QStringLiteral("mpo"));
        QTRY_VERIFY(mpo->isShown());
        QTRY_VERIFY(shades() > 50);
        // What changes afterwards is drawn too.
        m_window->selection()->setLayers({floating ? 7 : 9});
        QTRY_VERIFY(shades() > 50);
    }
}

void WindowTest::hiddenPanelStaysHidden()
{
    QAction* toggle = nullptr;
    for (QAction* action : m_window->findChildren<QAction*>())
        if (action->text() == QLatin1String("Selection panel"))
            toggle = action;
    QVERIFY(toggle != nullptr);
    auto* panel = m_window->findChild<QDockWidget*>(QStringLiteral("panel-selection"));
    QVERIFY(panel->isVisible());
    m_window->showNewRun();
    QVERIFY(!panel->isVisible());
    m_window->showView(QStringLiteral("training"));
    QVERIFY(panel->isVisible());
    toggle->trigger();
    QVERIFY(!panel->isVisible());
    m_window->showNewRun();
    m_window->showView(QStringLiteral("training"));
    QVERIFY(!panel->isVisible());
}

void WindowTest::zoomBelongsToItsRun()
{
    open(QStringLiteral("mixlora.h5"));
    m_window->showView(QStringLiteral("training"));
    auto* loss = m_window->view(QStringLiteral("training"))->findChild<CurveChart*>(QStringLiteral("loss"));
    QVERIFY(loss != nullptr);
    QTRY_VERIFY(loss->isVisible());
    const QPointF middle = loss->rect().center();
    QWheelEvent wheel(middle, loss->mapToGlobal(middle), {}, QPoint(0, 480), Qt::NoButton, Qt::NoModifier,
                      Qt::NoScrollPhase, false);
    QApplication::sendEvent(loss->viewport(), &wheel);
    QVERIFY(loss->zoom().has_value());
    open(QStringLiteral("lora.h5"));
    QVERIFY(!loss->zoom().has_value());
}

void WindowTest::typedNonsenseSelectsNothing()
{
    open(QStringLiteral("mixlora.h5"));
    m_window->selection()->setLayers({2});
    SelectionPanel* panel = m_window->selectionPanel();
    const auto type = [](QLineEdit* field, const QString& text) {
        field->setFocus();
        field->selectAll();
        QTest::keyClicks(field, text);
        QTest::keyClick(field, Qt::Key_Return);
    };
    type(panel->layersField(), QStringLiteral("400-500"));
    QCOMPARE(m_window->selection()->layers(), std::set<int>{2});
    QCOMPARE(panel->layersField()->text(), QStringLiteral("400-500")); // to be corrected
    QVERIFY2(panel->problemLabel()->text().contains(QStringLiteral("layers 0 to")),
             qPrintable(panel->problemLabel()->text()));
    QVERIFY(panel->problemLabel()->isVisible());
    type(panel->modulesField(), QStringLiteral("gate"));
    QVERIFY(m_window->selection()->modules().isEmpty());
    QVERIFY(panel->problemLabel()->text().contains(QStringLiteral("gate_proj")));
    type(panel->layersField(), QStringLiteral("4-5"));
    QCOMPARE(m_window->selection()->layers(), (std::set<int>{4, 5}));
    QVERIFY(!panel->problemLabel()->isVisible());
}

int main(int argc, char** argv)
{
    views::VtkWidget::setDefaultSurfaceFormat();
    QApplication application(argc, argv);
    WindowTest test;
    return QTest::qExec(&test, argc, argv);
}
#include "window_test.moc"

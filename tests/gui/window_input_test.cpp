// SPDX-License-Identifier: GPL-3.0-or-later
// Keys, typing and the places of things in the whole window.
#include "app/workbench/command_palette.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/main_window.h"
#include "app/workbench/open_run.h"
#include "app/workbench/run_panel.h"
#include "app/workbench/save_dialog.h"
#include "app/workbench/selection_panel.h"
#include "app/workbench/step_bar.h"
#include "app/workbench/style.h"
#include "core/record/snapshot.h"
#include "tests/gui/sample_run.h"
#include "views/base/view.h"
#include "views/mpo/vtk_widget.h"

#include <QAbstractItemView>
#include <QApplication>
#include <QComboBox>
#include <QDir>
#include <QFileDialog>
#include <QLineEdit>
#include <QListView>
#include <QMessageBox>
#include <QSettings>
#include <QSignalSpy>
#include <QSlider>
#include <QSpinBox>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>
#include <QToolButton>

using namespace rankscope;
using namespace rankscope::views;
using namespace rankscope::workbench;
using namespace rankscope::tests;

class WindowInputTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void init();
    void cleanup() { m_window.reset(); }
    void keysReachTheViewsFromOtherControls();
    void escapeClosesAnOpenListAlone();
    void typedSelectionSurvivesLiveSteps();
    void modulesMayBeSeparatedByCommas();
    void panelLearnsWhatALiveRunHas();
    void savingAsksForTheFileThatIsWritten();
    void wideWindowShowsTwoViews();
    void searchIconFollowsTheStyle();

private:
    QTemporaryDir m_folder;
    std::unique_ptr<MainWindow> m_window;
};

void WindowInputTest::initTestCase()
{
    QApplication::setApplicationName(QStringLiteral("rankscope-input-test"));
    QSettings::setDefaultFormat(QSettings::IniFormat);
    QSettings::setPath(QSettings::IniFormat, QSettings::UserScope, m_folder.path());
    applyStyle(StyleChoice::Light);
    QVERIFY(record::writeSnapshot(sampleRun(), m_folder.filePath(QStringLiteral("mixlora.h5")).toStdString())
                .has_value());
}

void WindowInputTest::init()
{
    m_window = std::make_unique<MainWindow>(MainWindow::Options{{}, {}, false, false});
    m_window->resize(1400, 900);
    m_window->show();
    m_window->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(m_window.get()));
    OpenRun* run = m_window->openRun(m_folder.filePath(QStringLiteral("mixlora.h5")));
    QTRY_VERIFY(run->isLoaded());
}

void WindowInputTest::keysReachTheViewsFromOtherControls()
{
    Selection* selection = m_window->selection();
    m_window->showView(QStringLiteral("effective_rank"));
    auto* choice = m_window->view(QStringLiteral("effective_rank"))->findChild<QComboBox*>();
    auto* list = m_window->runPanel()->list();
    for (QWidget* control : {static_cast<QWidget*>(list), static_cast<QWidget*>(choice)}) {
        selection->setLive(true);
        control->setFocus(Qt::MouseFocusReason); // as a click gives it
        QTRY_VERIFY(control->hasFocus());
        QTest::keyClick(control, Qt::Key_Left);
        QCOMPARE(selection->step(), std::int64_t(199));
        QTest::keyClick(control, Qt::Key_Right);
        QCOMPARE(selection->step(), std::int64_t(200));
        QTest::keyClick(control, Qt::Key_Left);
        QTest::keyClick(control, Qt::Key_L);
        QVERIFY(selection->live());
        QTest::keyClick(control, Qt::Key_Space); // plays from the start
        QTRY_VERIFY(selection->step() > 0 && selection->step() < 200);
        QTest::keyClick(control, Qt::Key_Space);
        const std::int64_t paused = selection->step();
        QTest::qWait(150);
        QCOMPARE(selection->step(), paused);
    }
    QSlider* slider = m_window->stepBar()->slider();
    slider->setFocus(Qt::MouseFocusReason);
    QTest::keyClick(slider, Qt::Key_L);
    QVERIFY(selection->live());
    QTest::keyClick(slider, Qt::Key_Left);
    QCOMPARE(selection->step(), std::int64_t(199));
    // What was come to by key is pressed by Space.
    QToolButton* live = m_window->stepBar()->liveButton();
    live->setFocus(Qt::TabFocusReason);
    QTest::keyClick(live, Qt::Key_Space);
    QVERIFY(selection->live());
}

void WindowInputTest::escapeClosesAnOpenListAlone()
{
    Selection* selection = m_window->selection();
    selection->setLayers({3});
    const auto openAndEscape = [](QComboBox* choice) {
        choice->setFocus(Qt::MouseFocusReason);
        choice->showPopup();
        QTRY_VERIFY(choice->view()->isVisible());
        QTest::keyClick(choice->view(), Qt::Key_Escape);
        QTRY_VERIFY(!choice->view()->isVisible());
    };
    openAndEscape(m_window->selectionPanel()->findChild<QComboBox*>());
    QCOMPARE(selection->layers(), std::set<int>{3});

    m_window->showNewRun();
    QComboBox* family = m_window->jobEditor()->familyChoice();
    QVERIFY(family->count() > 1);
    openAndEscape(family);
    QVERIFY(m_window->jobEditor()->isVisible());
    QTest::keyClick(family, Qt::Key_Escape); // no list is open any more
    QVERIFY(!m_window->jobEditor()->isVisible());
    QCOMPARE(selection->layers(), std::set<int>{3});
}

void WindowInputTest::typedSelectionSurvivesLiveSteps()
{
    Selection* selection = m_window->selection();
    QLineEdit* layers = m_window->selectionPanel()->layersField();
    layers->setFocus();
    QTRY_VERIFY(layers->hasFocus());
    QTest::keyClicks(layers, QStringLiteral("8-1"));
    selection->setNewestStep(201); // a step comes while the user types
    selection->setTasks({QStringLiteral("math")});
    QCOMPARE(layers->text(), QStringLiteral("8-1"));
    QTest::keyClicks(layers, QStringLiteral("0,9"));
    QTest::keyClick(layers, Qt::Key_Return);
    QCOMPARE(selection->layers(), (std::set<int>{8, 9, 10}));
    QCOMPARE(layers->text(), QStringLiteral("8-10"));
    selection->setLayers({3});
    QCOMPARE(layers->text(), QStringLiteral("3")); // nothing is being typed now

    QSpinBox* step = m_window->selectionPanel()->stepField();
    auto* typed = step->findChild<QLineEdit*>();
    step->setFocus();
    typed->selectAll();
    QTest::keyClicks(step, QStringLiteral("4"));
    selection->setNewestStep(202);
    QTest::keyClicks(step, QStringLiteral("2"));
    QTest::keyClick(step, Qt::Key_Return);
    QCOMPARE(selection->step(), std::int64_t(42));
    QTest::keyClick(step, Qt::Key_Up);
    QCOMPARE(selection->step(), std::int64_t(43));
}

void WindowInputTest::modulesMayBeSeparatedByCommas()
{
    QLineEdit* modules = m_window->selectionPanel()->modulesField();
    modules->setFocus();
    QTest::keyClicks(modules, QStringLiteral("gate_proj, down_proj,up_proj  q_proj"));
    QTest::keyClick(modules, Qt::Key_Return);
    QCOMPARE(m_window->selection()->modules(),
             (QStringList{QStringLiteral("gate_proj"), QStringLiteral("down_proj"), QStringLiteral("up_proj"),
                          QStringLiteral("q_proj")}));
}

void WindowInputTest::panelLearnsWhatALiveRunHas()
{
    Selection* selection = m_window->selection();
    selection->setSelectable(Selectable{}); // a run that has just begun
    QLineEdit* layers = m_window->selectionPanel()->layersField();
    QVERIFY(!layers->isEnabled());
    Selectable known;
    known.layers = 6;
    known.modules = QStringList{QStringLiteral("q_proj")};
    selection->setSelectable(known);
    QVERIFY(layers->isEnabled());
    layers->setFocus();
    QTest::keyClicks(layers, QStringLiteral("3-7"));
    QTest::keyClick(layers, Qt::Key_Return);
    QCOMPARE(selection->layers(), (std::set<int>{3, 4, 5}));
}

void WindowInputTest::savingAsksForTheFileThatIsWritten()
{
    const auto save = [this](const QString& typed, bool& asked) {
        QTimer::singleShot(0, this, [&asked, typed] {
            auto* dialog = qobject_cast<QFileDialog*>(QApplication::activeModalWidget());
            QVERIFY(dialog != nullptr);
            auto* name = dialog->findChild<QLineEdit*>(QStringLiteral("fileNameEdit"));
            name->setText(typed);
            // Asked within the key's own event: whether to write over a file that is there.
            QTimer::singleShot(0, dialog, [&asked] {
                if (auto* question = qobject_cast<QMessageBox*>(QApplication::activeModalWidget())) {
                    asked = true;
                    question->button(QMessageBox::No)->click();
                }
            });
            QTest::keyClick(name, Qt::Key_Return);
            if (asked)
                dialog->reject();
        });
        return askWhereToSave(m_window.get(), QStringLiteral("Export"), QStringLiteral("figure"),
                              QStringLiteral("PDF (*.pdf);;SVG (*.svg)"));
    };
    QFile kept(m_folder.filePath(QStringLiteral("keep.pdf")));
    QVERIFY(kept.open(QFile::WriteOnly));
    bool asked = false;
    QCOMPARE(save(m_folder.filePath(QStringLiteral("keep")), asked), QString());
    QVERIFY(asked);
    asked = false;
    QCOMPARE(save(m_folder.filePath(QStringLiteral("new")), asked),
             m_folder.filePath(QStringLiteral("new.pdf")));
    QVERIFY(!asked);
}

void WindowInputTest::wideWindowShowsTwoViews()
{
    const auto shown = [](MainWindow& window) {
        return std::ranges::count_if(window.allViews(), [](const View* view) { return view->isShown(); });
    };
    QTRY_COMPARE(shown(*m_window), 1);
    MainWindow wide({{}, {}, true, false});
    wide.resize(1600, 900);
    wide.show();
    QVERIFY(QTest::qWaitForWindowExposed(&wide));
    QTRY_COMPARE(shown(wide), 2);
    QCOMPARE(wide.width(), 1600);
    QVERIFY(wide.allViews()[0]->width() > 300 && wide.allViews()[1]->width() > 300);
    wide.showView(QStringLiteral("routing"));
    wide.close(); // and what the user made of it comes back
    MainWindow again({{}, {}, true, false});
    again.show();
    QVERIFY(QTest::qWaitForWindowExposed(&again));
    QTRY_VERIFY(again.view(QStringLiteral("routing"))->isShown());
    QCOMPARE(shown(again), 2);
    QSettings().clear();
}

void WindowInputTest::searchIconFollowsTheStyle()
{
    const auto brightest = [this] {
        int lightness = 0;
        for (const QToolButton* button : m_window->findChildren<QToolButton*>())
            if (button->text().startsWith(QStringLiteral("Search"))) {
                const QImage picture = button->icon().pixmap(16, 16).toImage();
                for (int y = 0; y < picture.height(); ++y)
                    for (int x = 0; x < picture.width(); ++x)
                        if (const QColor dot = picture.pixelColor(x, y); dot.alpha() > 128)
                            lightness = std::max(lightness, dot.lightness());
            }
        return lightness;
    };
    const int onLight = brightest();
    m_window->setStyleChoice(StyleChoice::Dark);
    const int onDark = brightest();
    m_window->setStyleChoice(StyleChoice::Light);
    QVERIFY2(onLight < 100 && onDark > 150, qPrintable(QStringLiteral("%1 %2").arg(onLight).arg(onDark)));
}

int main(int argc, char** argv)
{
    views::VtkWidget::setDefaultSurfaceFormat();
    QApplication application(argc, argv);
    WindowInputTest test;
    return QTest::qExec(&test, argc, argv);
}
#include "window_input_test.moc"

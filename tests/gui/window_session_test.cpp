// SPDX-License-Identifier: GPL-3.0-or-later
// What a window remembers for the next one.
#include "app/workbench/job_editor/file_list_field.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/main_window.h"
#include "app/workbench/open_run.h"
#include "app/workbench/style.h"
#include "core/record/snapshot.h"
#include "tests/gui/sample_run.h"
#include "views/base/view.h"
#include "views/mpo/vtk_widget.h"

#include <QApplication>
#include <QDockWidget>
#include <QSettings>
#include <QSignalSpy>
#include <QSplitter>
#include <QTemporaryDir>
#include <QTest>

#include <cmath>

using namespace rankscope;
using namespace rankscope::views;
using namespace rankscope::workbench;
using namespace rankscope::tests;

class WindowSessionTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void sessionComesBack();
    void draftAndSelectionComeBack();
    void openRunsSurviveAKilledWindow();
    void panelsKeepTheirSizes();
    void eachProjectHasItsLayout();

private:
    QTemporaryDir m_folder;
};

void WindowSessionTest::initTestCase()
{
    QApplication::setApplicationName(QStringLiteral("rankscope-test"));
    QSettings::setDefaultFormat(QSettings::IniFormat);
    QSettings::setPath(QSettings::IniFormat, QSettings::UserScope,
                       m_folder.filePath(QStringLiteral("settings")));
    applyStyle(StyleChoice::Light);
    const QString file = m_folder.filePath(QStringLiteral("mixlora.h5"));
    QVERIFY(record::writeSnapshot(sampleRun(), file.toStdString()).has_value());
}

void WindowSessionTest::sessionComesBack()
{
    const QString run = OpenRun::canonicalPath(m_folder.filePath(QStringLiteral("mixlora.h5")));
    {
        MainWindow first({{}, {}, true, false});
        first.resize(1200, 800);
        first.show();
        OpenRun* opened = first.openRun(run);
        QSignalSpy loaded(opened, &OpenRun::loaded);
        QVERIFY(loaded.wait(20'000));
        first.showView(QStringLiteral("routing"));
        first.setStyleChoice(StyleChoice::Dark);
        first.view(QStringLiteral("effective_rank"))
            ->setControls({{QStringLiteral("module"), QStringLiteral("v_proj")}});
        first.close();
    }
    MainWindow second({{}, {}, true, false});
    second.show();
    QVERIFY(second.currentRun() != nullptr);
    QCOMPARE(second.currentRun()->path(), run);
    QTRY_VERIFY(second.currentRun()->isLoaded());
    QTRY_VERIFY(second.view(QStringLiteral("routing"))->isVisible());
    QTRY_COMPARE(
        second.view(QStringLiteral("effective_rank"))->controls().value(QStringLiteral("module")).toString(),
        QStringLiteral("v_proj"));
    QVERIFY(isDark(QApplication::palette()));
    applyStyle(StyleChoice::Light);
}

void WindowSessionTest::draftAndSelectionComeBack()
{
    const QString run = OpenRun::canonicalPath(m_folder.filePath(QStringLiteral("mixlora.h5")));
    {
        MainWindow first({{}, {}, true, false});
        first.show();
        OpenRun* opened = first.openRun(run);
        QTRY_VERIFY(opened->isLoaded());
        first.selection()->setLayers({3, 4});
        first.selection()->setTasks({QStringLiteral("boolq")});
        first.selection()->setStep(120);
        QVERIFY(first.jobEditor()->draft().isEmpty()); // nothing was typed yet
        first.jobEditor()->trainFiles()->addFiles({run});
        first.close();
    }
    MainWindow second({{}, {}, true, false});
    second.show();
    QTRY_COMPARE(second.selection()->layers(), (std::set<int>{3, 4}));
    QCOMPARE(second.selection()->tasks(), QStringList{QStringLiteral("boolq")});
    QCOMPARE(second.selection()->step(), std::int64_t(120));
    QVERIFY(!second.selection()->live());
    QCOMPARE(second.jobEditor()->trainFiles()->files(), QStringList{run});
}

void WindowSessionTest::openRunsSurviveAKilledWindow()
{
    const QString run = OpenRun::canonicalPath(m_folder.filePath(QStringLiteral("mixlora.h5")));
    {
        MainWindow killed({{}, {}, true, false});
        killed.openRun(run); // and it never gets to close
    }
    {
        MainWindow next({{}, {}, true, false});
        QVERIFY(next.currentRun() != nullptr);
        QCOMPARE(next.currentRun()->path(), run);
        next.closeRun(run);
    }
    MainWindow last({{}, {}, true, false});
    QVERIFY(last.currentRun() == nullptr); // what the user closed stays closed
}

void WindowSessionTest::panelsKeepTheirSizes()
{
    const QString run = OpenRun::canonicalPath(m_folder.filePath(QStringLiteral("mixlora.h5")));
    const auto share = [](const MainWindow& window, const char* view) {
        const QList<int> sizes = window.view(QString::fromLatin1(view))->findChild<QSplitter*>()->sizes();
        return static_cast<double>(sizes[0]) / (sizes[0] + sizes[1]);
    };
    const std::initializer_list<std::pair<const char*, double>> chosen = {
        {"effective_rank", 0.3}, {"routing", 0.75}, {"inside", 0.62}};
    {
        MainWindow first({{}, {}, true, false});
        first.resize(1400, 900);
        first.show();
        QTRY_VERIFY(first.openRun(run)->isLoaded());
        for (const auto& [view, part] : chosen) {
            first.showView(QString::fromLatin1(view));
            auto* splitter = first.view(QString::fromLatin1(view))->findChild<QSplitter*>();
            QTRY_VERIFY(splitter->isVisible());
            splitter->setSizes({static_cast<int>(part * 1000), static_cast<int>((1 - part) * 1000)});
            QVERIFY(std::abs(share(first, view) - part) < 0.05);
        }
        first.close();
    }
    MainWindow second({{}, {}, true, false});
    second.show();
    QTRY_VERIFY(second.currentRun()->isLoaded());
    for (const auto& [view, part] : chosen) {
        second.showView(QString::fromLatin1(view));
        QTRY_VERIFY(second.view(QString::fromLatin1(view))->findChild<QSplitter*>()->isVisible());
        QVERIFY2(std::abs(share(second, view) - part) < 0.05,
                 qPrintable(QString::number(share(second, view))));
    }
}

void WindowSessionTest::eachProjectHasItsLayout()
{
    const auto floats = [](const MainWindow& window) {
        return window.findChild<QDockWidget*>(QStringLiteral("view-routing"))->isFloating();
    };
    const auto open = [this](const char* project) {
        const QString folder = m_folder.filePath(QString::fromLatin1(project));
        auto window = std::make_unique<MainWindow>(MainWindow::Options{folder, {}, true, false});
        window->show();
        return window;
    };
    auto first = open("first runs");
    first->findChild<QDockWidget*>(QStringLiteral("view-routing"))->setFloating(true);
    first->close();
    auto second = open("second runs");
    QVERIFY(!floats(*second));
    second->close();
    QVERIFY(floats(*open("first runs")));
}

int main(int argc, char** argv)
{
    views::VtkWidget::setDefaultSurfaceFormat();
    QApplication application(argc, argv);
    WindowSessionTest test;
    return QTest::qExec(&test, argc, argv);
}
#include "window_session_test.moc"

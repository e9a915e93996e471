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
#include <QSettings>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

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

int main(int argc, char** argv)
{
    views::VtkWidget::setDefaultSurfaceFormat();
    QApplication application(argc, argv);
    WindowSessionTest test;
    return QTest::qExec(&test, argc, argv);
}
#include "window_session_test.moc"

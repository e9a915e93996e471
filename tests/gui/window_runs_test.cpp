// SPDX-License-Identifier: GPL-3.0-or-later
// Runs and what is said of them: the list with and without an engine, messages, and files that are no runs.
#include "app/engine/client/engine_client.h"
#include "app/workbench/command_palette.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/job_editor/plan_panel.h"
#include "app/workbench/main_window.h"
#include "app/workbench/message_strip.h"
#include "app/workbench/open_run.h"
#include "app/workbench/run_panel.h"
#include "app/workbench/style.h"
#include "core/base/files.h"
#include "core/record/journal.h"
#include "core/record/run_directory.h"
#include "core/record/snapshot.h"
#include "tests/gui/sample_run.h"
#include "views/mpo/vtk_widget.h"

#include <QAction>
#include <QApplication>
#include <QComboBox>
#include <QDir>
#include <QDropEvent>
#include <QFileInfo>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QListWidget>
#include <QMenu>
#include <QMimeData>
#include <QSignalSpy>
#include <QStatusBar>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

#include <random>

using namespace rankscope;
using namespace rankscope::workbench;
using namespace rankscope::tests;

class WindowRunsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void cleanup();
    void pastRunsAreListedAtStart();
    void lostEngineLeavesNothingRunning();
    void errorsStayUntilDismissed();
    void filesThatAreNoRunsAreRefused();
    void snapshotsOfOtherProgramsNeverEndTheWindow();
    void jobFilesGoToTheNewRunPage();
    void paletteFindsRuns();
    void evaluationSaysItsProgress();
    void waitingRunIsCalledByItsName();
    void runThatIsGoneSaysSo();
    void stoppingRunCanBeEndedNow();
    void timeIsThatOfAnEarlierRun();

private:
    /// A run directory of another machine's job, whose journal says `state` last.
    void writeRun(const QString& name, const std::string& state);
    [[nodiscard]] QString write(const QString& name, const QByteArray& text);
    [[nodiscard]] QString socket() const { return m_folder.filePath(QStringLiteral("engine.sock")); }
    [[nodiscard]] QString runs() const { return m_folder.filePath(QStringLiteral("runs")); }
    [[nodiscard]] MainWindow::Options withEngine() const
    {
        return {runs(), socket(), false, true,
                qEnvironmentVariable("RANKSCOPE_BIN") + QStringLiteral("/rankscope-engine")};
    }
    void endEngine();

    QTemporaryDir m_folder;
};

void WindowRunsTest::initTestCase()
{
    applyStyle(StyleChoice::Light);
    qputenv("XDG_STATE_HOME", m_folder.filePath(QStringLiteral("state")).toUtf8());
    writeRun(QStringLiteral("finished"), "done");
    writeRun(QStringLiteral("elsewhere"), "running");
}

void WindowRunsTest::writeRun(const QString& name, const std::string& state)
{
    const QString folder = runs() + QLatin1Char('/') + name;
    QVERIFY(QDir().mkpath(folder));
    const std::string job =
        R"({"name":")" + name.toStdString() + R"(","adapter":{"family":"lora"},"training":{"steps":40}})";
    (void)write(QStringLiteral("runs/%1/job.json").arg(name), QByteArray::fromStdString(job));
    auto journal = record::JournalWriter::open((folder + QStringLiteral("/journal.rec")).toStdString());
    QVERIFY(journal.has_value());
    protocol::JournalEvent event;
    event.mutable_run()->set_job_json(job);
    event.mutable_run()->set_total_steps(40);
    QVERIFY(journal->append(event).has_value());
    event.Clear();
    event.mutable_state()->set_state(state);
    QVERIFY(journal->append(event).has_value());
}

QString WindowRunsTest::write(const QString& name, const QByteArray& text)
{
    QFile file(m_folder.filePath(name));
    if (!file.open(QIODevice::WriteOnly) || file.write(text) != text.size())
        qFatal("a test file cannot be written");
    return file.fileName();
}

void WindowRunsTest::endEngine()
{
    const auto engine = client::EngineClient::connect(socket().toStdString());
    QVERIFY(engine.has_value());
    QVERIFY(engine->shutdown().has_value());
    // The next one can only start when this one has gone.
    QTRY_VERIFY(!QFileInfo::exists(socket()) && !QFileInfo::exists(socket() + QStringLiteral(".lock")));
}

void WindowRunsTest::cleanup()
{
    if (QFileInfo::exists(socket()))
        endEngine();
}

namespace
{

QString stateOf(const MainWindow& window, const QString& name)
{
    for (const RunRow& row : window.runList()->rows())
        if (row.name == name)
            return row.state;
    return {};
}

bool statusContains(const MainWindow& window, const QString& text)
{
    for (const QLabel* label : window.statusBar()->findChildren<QLabel*>())
        if (label->text().contains(text))
            return true;
    return false;
}

} // namespace

void WindowRunsTest::pastRunsAreListedAtStart()
{
    MainWindow window(withEngine());
    window.show();
    QTRY_COMPARE_WITH_TIMEOUT(stateOf(window, QStringLiteral("finished")), QStringLiteral("done"), 20'000);
}

void WindowRunsTest::lostEngineLeavesNothingRunning()
{
    MainWindow window(withEngine());
    window.show();
    QTRY_COMPARE_WITH_TIMEOUT(stateOf(window, QStringLiteral("elsewhere")), QStringLiteral("running"),
                              20'000);
    QTRY_VERIFY(statusContains(window, QStringLiteral("1 job")));
    QVERIFY(!window.startEngineAction()->isEnabled());
    endEngine();
    QTRY_COMPARE_WITH_TIMEOUT(stateOf(window, QStringLiteral("elsewhere")), QStringLiteral("unknown"),
                              20'000);
    QCOMPARE(stateOf(window, QStringLiteral("finished")), QStringLiteral("done"));
    QTRY_VERIFY(!statusContains(window, QStringLiteral("1 job")));
    QVERIFY(window.startEngineAction()->isEnabled());
    window.startEngineAction()->trigger();
    QTRY_COMPARE_WITH_TIMEOUT(stateOf(window, QStringLiteral("elsewhere")), QStringLiteral("running"),
                              20'000);
}

void WindowRunsTest::errorsStayUntilDismissed()
{
    MainWindow window({runs(), {}, false, false});
    window.show();
    QVERIFY(!window.messageStrip()->isVisible());
    const QString broken = write(QStringLiteral("broken.h5"), "\x89HDF\r\n\x1a\n and then nothing");
    window.open(broken);
    QTRY_VERIFY(window.messageStrip()->isVisible());
    QVERIFY(window.messageStrip()->messages().join(QLatin1Char(' ')).contains(QStringLiteral("broken.h5")));
    QVERIFY(window.statusBar()->currentMessage().isEmpty()); // nothing is painted over the status
    QTest::mouseClick(window.messageStrip()->dismissButton(), Qt::LeftButton);
    QVERIFY(!window.messageStrip()->isVisible());
    for (QAction* action : window.actions())
        if (action->text().startsWith(QStringLiteral("About")))
            action->trigger();
    QVERIFY(window.statusLabel()->text().contains(QStringLiteral("GPL")));
    QVERIFY(window.statusBar()->currentMessage().isEmpty());
}

void WindowRunsTest::filesThatAreNoRunsAreRefused()
{
    MainWindow window({runs(), {}, false, false});
    window.show();
    window.open(write(QStringLiteral("text.h5"), "hello"));
    QTRY_COMPARE(window.messageStrip()->messages().size(), 1);
    QVERIFY2(window.messageStrip()->messages().first().contains(QStringLiteral("text.h5")),
             qPrintable(window.messageStrip()->messages().first()));
    QCOMPARE(window.currentRun(), nullptr);
}

/// Without the checksum that the engine puts behind a snapshot, as another program leaves it, and damaged so
/// that the HDF5 library may crash on it.
void WindowRunsTest::snapshotsOfOtherProgramsNeverEndTheWindow()
{
    MainWindow window({runs(), {}, false, false, withEngine().engineProgram});
    window.show();
    const std::filesystem::path sealed = m_folder.filePath(QStringLiteral("sealed.h5")).toStdString();
    const auto finished = record::openRun((runs() + QStringLiteral("/finished")).toStdString());
    QVERIFY(finished.has_value());
    QVERIFY(record::writeSnapshot(*finished, sealed).has_value());
    std::string bytes = base::readFile(sealed).value_or("");
    QVERIFY(bytes.size() > 1000);
    bytes.resize(bytes.size() - 20);
    window.open(write(QStringLiteral("whole.h5"), QByteArray::fromStdString(bytes)));
    QTRY_VERIFY(window.currentRun() != nullptr && window.currentRun()->isLoaded());
    QCOMPARE(window.currentRun()->record().state(), std::string("done"));

    std::mt19937 random(7);
    for (int round = 0; round < 15; ++round) {
        std::string forged = bytes;
        for (int change = 0; change < 8; ++change)
            forged[random() % forged.size()] = static_cast<char>(random());
        window.messageStrip()->dismiss();
        window.open(write(QStringLiteral("forged%1.h5").arg(round), QByteArray::fromStdString(forged)));
        const OpenRun* opened = window.currentRun();
        QTRY_VERIFY(!window.messageStrip()->messages().isEmpty() ||
                    (window.currentRun() == opened && opened->isLoaded()));
    }
}

void WindowRunsTest::jobFilesGoToTheNewRunPage()
{
    MainWindow window({runs(), {}, false, false});
    window.show();
    const QString job =
        write(QStringLiteral("mine.json"), R"({"name":"mine","adapter":{"family":"dora"},"trian":1})");
    window.open(job);
    QVERIFY(window.jobEditor()->isVisible());
    QCOMPARE(window.jobEditor()->familyChoice()->currentData().toString(), QStringLiteral("dora"));
    QVERIFY(window.jobEditor()->fileError()->text().contains(QStringLiteral("trian")));
    QVERIFY(window.messageStrip()->messages().isEmpty());
    QCOMPARE(window.currentRun(), nullptr);

    window.open(runs() + QStringLiteral("/finished/job.json")); // the one of a run means the run
    QVERIFY(!window.jobEditor()->isVisible());
    QVERIFY(window.currentRun() != nullptr);

    QMimeData dropped;
    dropped.setUrls({QUrl::fromLocalFile(job)});
    QDragEnterEvent enter(QPoint(200, 200), Qt::CopyAction, &dropped, Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(&window, &enter);
    QDropEvent drop(QPointF(200, 200), Qt::CopyAction, &dropped, Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(&window, &drop);
    QVERIFY(window.jobEditor()->isVisible());
}

void WindowRunsTest::paletteFindsRuns()
{
    MainWindow window({runs(), {}, false, false});
    window.resize(1400, 900);
    window.show();
    window.activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(&window));
    for (const char* name : {"finished", "elsewhere"}) {
        OpenRun* run = window.openRun(runs() + QLatin1Char('/') + QString::fromLatin1(name));
        QTRY_VERIFY(run->isLoaded());
    }
    CommandPalette* palette = window.palettePopup();
    QTest::keyClick(&window, Qt::Key_K, Qt::ControlModifier);
    QTRY_VERIFY(palette->isVisible());
    QTest::keyClicks(palette->field(), QStringLiteral("nothing is called so"));
    QCOMPARE(palette->list()->count(), 1);
    QVERIFY(palette->list()->item(0)->text().contains(QStringLiteral("matches")));
    QTest::keyClick(palette->field(), Qt::Key_Return);
    QVERIFY(palette->isVisible());
    QTest::keyClick(palette->field(), Qt::Key_Escape);
    QVERIFY(!palette->isVisible());
    QTest::keyClick(&window, Qt::Key_K, Qt::ControlModifier);
    QTRY_VERIFY(palette->isVisible());
    QTest::keyClicks(palette->field(), QStringLiteral("finished"));
    QTest::keyClick(palette->field(), Qt::Key_Return);
    QVERIFY(!palette->isVisible());
    QCOMPARE(window.currentRun()->title(), QStringLiteral("finished"));
}

void WindowRunsTest::evaluationSaysItsProgress()
{
    writeRun(QStringLiteral("evaluating"), "running");
    const std::string file = (runs() + QStringLiteral("/evaluating/journal.rec")).toStdString();
    {
        auto journal = record::JournalWriter::open(file);
        QVERIFY(journal.has_value());
        protocol::JournalEvent event;
        event.mutable_progress()->set_phase("evaluating");
        event.mutable_progress()->set_done(24);
        event.mutable_progress()->set_total(60);
        event.mutable_progress()->set_remaining_seconds(-1);
        QVERIFY(journal->append(event).has_value());
    }
    MainWindow window({runs(), {}, false, false});
    window.show();
    const OpenRun* run = window.openRun(runs() + QStringLiteral("/evaluating"));
    QTRY_VERIFY(run->isLoaded());
    QTRY_COMPARE(window.statusLabel()->text(), QStringLiteral("evaluating: evaluating 24 of 60"));
}

void WindowRunsTest::waitingRunIsCalledByItsName()
{
    // Queued: its folder holds the job, its journal nothing yet.
    const QString folder = runs() + QStringLiteral("/2026-11-22T10-31-waiting");
    QVERIFY(QDir().mkpath(folder));
    (void)write(QStringLiteral("runs/2026-11-22T10-31-waiting/job.json"),
                R"({"name":"my patient run","adapter":{"family":"dora"},"training":{"steps":40}})");
    (void)write(QStringLiteral("runs/2026-11-22T10-31-waiting/journal.rec"), {});
    MainWindow window({runs(), {}, false, false});
    window.show();
    OpenRun* run = window.openRun(folder);
    QTRY_VERIFY(run->isLoaded());
    QVERIFY2(!window.statusLabel()->text().contains(QStringLiteral("of 0")),
             qPrintable(window.statusLabel()->text()));
    for (QAction* action : window.actions())
        if (action->text() == QLatin1String("New run from this one"))
            action->trigger();
    QVERIFY2(window.messageStrip()->messages().isEmpty(),
             qPrintable(window.messageStrip()->messages().join(QLatin1Char('\n'))));
    QCOMPARE(window.jobEditor()->familyChoice()->currentData().toString(), QStringLiteral("dora"));
    QCOMPARE(QString::fromStdString(window.jobEditor()->job()["name"].get<std::string>()),
             QStringLiteral("my patient run"));
}

void WindowRunsTest::runThatIsGoneSaysSo()
{
    writeRun(QStringLiteral("moved"), "done");
    MainWindow window({runs(), {}, false, false});
    window.show();
    OpenRun* run = window.openRun(runs() + QStringLiteral("/moved"));
    QTRY_VERIFY(run->isLoaded());
    QVERIFY(QDir(runs()).rename(QStringLiteral("moved"), QStringLiteral("elsewhere now")));
    QTRY_VERIFY_WITH_TIMEOUT(run->isGone(), 20'000);
    QTRY_COMPARE(stateOf(window, QStringLiteral("moved")), QStringLiteral("gone"));
    QCOMPARE(window.messageStrip()->messages().size(), 1);
    QCOMPARE(window.currentRun(), run); // what was read stays
    QVERIFY(QDir(runs() + QStringLiteral("/elsewhere now")).removeRecursively());
}

void WindowRunsTest::stoppingRunCanBeEndedNow()
{
    RunListModel model;
    RunPanel panel(&model);
    panel.resize(240, 400);
    panel.show();
    QSignalSpy asked(&panel, &RunPanel::endRequested);
    const auto endAction = [&](const char* state) -> QAction* {
        RunRow row;
        row.path = QStringLiteral("/runs/a");
        row.id = row.name = QStringLiteral("a");
        row.state = QString::fromLatin1(state);
        model.setRows({row});
        Q_EMIT panel.list()->customContextMenuRequested(
            panel.list()->visualRect(panel.list()->model()->index(0, 0)).center());
        const auto* menu = panel.findChild<QMenu*>();
        if (menu != nullptr)
            for (QAction* action : menu->actions())
                if (action->text() == QLatin1String("End now"))
                    return action;
        return nullptr;
    };
    QVERIFY(endAction("running") == nullptr);
    delete panel.findChild<QMenu*>();
    QAction* end = endAction("stopping");
    QVERIFY(end != nullptr);
    end->trigger();
    QCOMPARE(asked.count(), 1);
    QCOMPARE(asked.first().first().toString(), QStringLiteral("/runs/a"));
}

void WindowRunsTest::timeIsThatOfAnEarlierRun()
{
    const std::string source = qEnvironmentVariable("RANKSCOPE_SOURCE").toStdString();
    protocol::Job job;
    job.name = "paced";
    job.model.path = source + "/tests/data/configs/llama2-7b/config.json"; // shapes are enough for a plan
    job.data.train = {source + "/sample-data/arithmetic/train.jsonl"};
    job.training.batchSize = 2;
    job.training.gradientAccumulation = 2;
    const auto writePaced = [this](const protocol::Job& trained, const QString& name, float seconds) {
        writeRun(name, "done");
        (void)write(QStringLiteral("runs/%1/job.json").arg(name),
                    QByteArray::fromStdString(trained.toJson().dump()));
        auto journal =
            record::JournalWriter::open((runs() + QStringLiteral("/%1/journal.rec").arg(name)).toStdString());
        QVERIFY(journal.has_value());
        protocol::JournalEvent event;
        event.mutable_measure_defined()->set_id(1);
        event.mutable_measure_defined()->set_name("train/step_time");
        QVERIFY(journal->append(event).has_value());
        for (int step = 1; step <= 12; ++step) {
            protocol::JournalEvent values;
            values.mutable_measure_values()->set_id(1);
            values.mutable_measure_values()->set_step(step);
            values.mutable_measure_values()->add_values(step <= 2 ? 60 : seconds); // warming up
            QVERIFY(journal->append(values).has_value());
        }
    };
    writePaced(job, QStringLiteral("paced"), 2);
    protocol::Job longer = job; // of rows of another length: says nothing of these
    longer.data.maxLength = 2048;
    writePaced(longer, QStringLiteral("paced-longer"), 30);

    MainWindow window(withEngine());
    window.show();
    QTRY_COMPARE(stateOf(window, QStringLiteral("paced")), QStringLiteral("done"));
    job.name = "next";
    job.training.steps = 100;
    job.training.batchSize = 8;
    job.training.gradientAccumulation = 1;
    window.open(write(QStringLiteral("next.json"), QByteArray::fromStdString(job.toJson().dump())));
    const PlanPanel* plan = window.jobEditor()->planPanel();
    // 100 steps of twice as many rows as took 2 s
    QTRY_COMPARE_WITH_TIMEOUT(plan->timeLabel()->text(), QStringLiteral("about 6:40 of training"), 30'000);
    QCOMPARE(plan->timeSourceLabel()->text(), QStringLiteral("at the pace of paced, 2 s a step"));
    QVERIFY(plan->timeLabel()->isVisible());
    QComboBox* family = window.jobEditor()->familyChoice();
    family->setCurrentIndex(family->findData(QStringLiteral("dora")));
    QTRY_VERIFY_WITH_TIMEOUT(plan->timeSourceLabel()->text().contains(QStringLiteral("not known")), 30'000);
    QVERIFY(!plan->timeLabel()->isVisible());
}

int main(int argc, char** argv)
{
    views::VtkWidget::setDefaultSurfaceFormat();
    QApplication application(argc, argv);
    WindowRunsTest test;
    return QTest::qExec(&test, argc, argv);
}
#include "window_runs_test.moc"

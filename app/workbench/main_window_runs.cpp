// SPDX-License-Identifier: GPL-3.0-or-later
// The runs in the window: opened, followed, listed, and what is said of them.
#include "app/workbench/engine_link.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/job_editor/plan_panel.h"
#include "app/workbench/main_window.h"
#include "app/workbench/open_run.h"
#include "app/workbench/run_panel.h"
#include "app/workbench/selection_panel.h"
#include "app/workbench/step_bar.h"
#include "views/base/view.h"
#include "views/plot/format.h"

#include <QAction>
#include <QClipboard>
#include <QFileInfo>
#include <QGuiApplication>
#include <QLabel>
#include <QMenu>
#include <QStackedWidget>
#include <QToolButton>

#include <algorithm>
#include <cmath>

namespace rankscope::workbench
{

namespace
{

constexpr int listInterval = 150; ///< ms: the run list is refreshed at most this often
constexpr std::size_t sparklinePoints = 48;

/// The loss with at most sparklinePoints points, each the mean of its stretch.
std::vector<float> sparkline(const record::RunRecord& run)
{
    const record::Measure* loss = run.measure("train/loss");
    if (loss == nullptr)
        return {};
    const std::size_t rows = loss->steps().size();
    const std::size_t points = std::min(rows, sparklinePoints);
    std::vector<float> line;
    for (std::size_t i = 0; i < points; ++i) {
        // A few rows of each stretch are enough for a line of this size, however long the run.
        const std::size_t begin = i * rows / points;
        const std::size_t end = (i + 1) * rows / points;
        const std::size_t stride = std::max<std::size_t>(1, (end - begin) / 8);
        float sum = 0;
        int count = 0;
        for (std::size_t row = begin; row < end; row += stride)
            if (const float value = loss->row(row)[0]; std::isfinite(value)) {
                sum += value;
                ++count;
            }
        if (count > 0)
            line.push_back(sum / static_cast<float>(count));
    }
    return line;
}

/// "evaluating 24 of 60"; empty where the run does not say.
QString phaseOf(const record::ProgressEntry& progress)
{
    QString text = QString::fromStdString(progress.phase);
    if (!text.isEmpty() && progress.total > 0)
        text += QObject::tr(" %1 of %2").arg(progress.done).arg(progress.total);
    return text;
}

QString counted(qint64 count, const QString& one, const QString& many)
{
    return count == 1 ? one : many.arg(count);
}

QString lastValue(const record::RunRecord& run, const char* name, const QString& unit, int decimals)
{
    const record::Measure* measure = run.measure(name);
    if (measure == nullptr || measure->empty() || !std::isfinite(measure->last()))
        return {};
    if (unit == QLatin1String("B"))
        return views::formatBytes(measure->last());
    return QString::number(measure->last(), 'f', decimals) +
           (unit.isEmpty() ? QString() : QLatin1Char(' ') + unit);
}

} // namespace

void MainWindow::connectRuns()
{
    m_listTimer.setSingleShot(true);
    m_listTimer.setInterval(listInterval);
    connect(&m_listTimer, &QTimer::timeout, this, [this] {
        refreshRunList();
        refreshStatus();
        refreshActions();
    });
    const auto refreshSoon = [this] {
        if (!m_listTimer.isActive())
            m_listTimer.start();
    };
    connect(m_engine, &EngineLink::runsChanged, this, refreshSoon);
    connect(m_engine, &EngineLink::connectedChanged, this, refreshSoon);
    connect(m_engine, &EngineLink::submitted, this, [this](const QString& path) {
        m_pages->setCurrentIndex(0);
        openRun(path);
        showView(QStringLiteral("training"));
    });
    connect(m_engine, &EngineLink::submitRefused, this, [this](const QString& message) {
        const bool fromThePage = m_editor->isLaunching(); // or from the command line
        if (fromThePage)
            m_editor->showRefusal(message);
        if (!fromThePage || m_pages->currentWidget() != m_editor)
            complain(message);
    });
    connect(m_engine, &EngineLink::stopAccepted, this, [this](const QString& name, bool now) {
        say(now ? tr("%1 is being ended").arg(name)
                : tr("%1 finishes its step, writes a checkpoint and stops").arg(name));
    });
    connect(m_engine, &EngineLink::resumeAccepted, this,
            [this](const QString& name) { say(tr("%1 goes on from its last checkpoint").arg(name)); });
    connect(m_engine, &EngineLink::failed, this, &MainWindow::complain);
    connect(m_runPanel, &RunPanel::runActivated, this, [this](const QString& path) {
        m_pages->setCurrentIndex(0);
        openRun(path);
    });
    connect(m_runPanel, &RunPanel::closeRequested, this, &MainWindow::closeRun);
    connect(m_runPanel, &RunPanel::stopRequested, this, &MainWindow::stopRun);
    connect(m_runPanel, &RunPanel::endRequested, this, &MainWindow::endRun);
    connect(m_runPanel, &RunPanel::resumeRequested, this, &MainWindow::resumeRun);
    connect(m_runPanel, &RunPanel::copyJobRequested, this, &MainWindow::copyJob);
    connect(m_runPanel, &RunPanel::saveRequested, this, [this](const QString& path) {
        for (OpenRun* run : m_open)
            if (run->path() == path)
                saveSnapshotOf(run);
    });
    connect(m_selection, &views::Selection::changed, this, &MainWindow::refreshActions);
    connect(m_selection, &views::Selection::stepChanged, this, &MainWindow::refreshStatus);
}

OpenRun* MainWindow::openRun(const QString& path)
{
    const QString place = OpenRun::canonicalPath(path);
    for (OpenRun* run : m_open)
        if (run->path() == place) {
            setCurrent(run);
            return run;
        }
    auto* run = new OpenRun(place, m_engine->program(), this);
    m_open.push_back(run);
    connect(run, &OpenRun::loaded, this, [this, run] {
        if (run == m_current)
            setCurrent(run);
        refreshRunList();
        refreshAdapters();
    });
    connect(run, &OpenRun::grew, this, [this, run](bool rewound) { runChanged(run, rewound); });
    connect(run, &OpenRun::failed, this, [this, run](const QString& message) {
        complain(message);
        if (run->isLoaded())
            refreshRunList();
        else
            closeRun(run->path());
    });
    setCurrent(run);
    return run;
}

void MainWindow::closeRun(const QString& path)
{
    const auto found = std::find_if(m_open.begin(), m_open.end(),
                                    [&path](const OpenRun* run) { return run->path() == path; });
    if (found == m_open.end())
        return;
    OpenRun* run = *found;
    m_open.erase(found);
    if (run == m_current)
        setCurrent(m_open.empty() ? nullptr : m_open.back());
    run->deleteLater();
    refreshRunList();
    refreshAdapters();
    if (m_options.session)
        saveRuns();
}

void MainWindow::setCurrent(OpenRun* run)
{
    const bool other = run != m_current;
    m_current = run;
    if (other)
        m_selection->setHover({}); // the values under the cursor were another run's
    const record::RunRecord* record = run != nullptr && run->isLoaded() ? &run->record() : nullptr;
    // The step first: views made anew then show the right moment at once.
    if (record != nullptr) {
        m_stepBar->setExtent(record->lastStep(), record->description.totalSteps);
        if (other)
            m_selection->setLive(true);
    } else {
        m_stepBar->setExtent(0, 0);
    }
    m_selection->setSelectable(std::nullopt); // the views say what this run has, once it has anything
    for (views::View* view : m_views)
        view->setRun(record);
    if (currentView() != nullptr)
        m_selectionPanel->setDefinition(currentView()->definition());
    refreshRunList();
    refreshAdapters();
    refreshStatus();
    refreshActions();
    if (other && m_options.session)
        saveRuns();
}

void MainWindow::runChanged(OpenRun* run, bool rewound)
{
    if (!m_listTimer.isActive())
        m_listTimer.start();
    if (run != m_current)
        return;
    m_stepBar->setExtent(run->record().lastStep(), run->record().description.totalSteps);
    for (views::View* view : m_views)
        view->recordGrew(rewound);
    refreshStatus();
}

void MainWindow::refreshRunList()
{
    std::vector<RunRow> rows;
    for (const client::RunStatus& status : m_engine->runs()) {
        RunRow row;
        row.path = OpenRun::canonicalPath(QString::fromStdString(status.path));
        row.id = QString::fromStdString(status.id);
        row.name = QString::fromStdString(status.name.empty() ? status.id : status.name);
        row.family = QString::fromStdString(status.family);
        row.state = QString::fromStdString(status.state);
        row.reason = QString::fromStdString(status.reason);
        row.phase = QString::fromStdString(status.phase);
        row.step = status.step;
        row.totalSteps = status.totalSteps;
        row.loss = status.loss;
        row.remainingSeconds = status.remainingSeconds;
        rows.push_back(row);
    }
    for (const OpenRun* run : m_open) {
        if (run->isSnapshot())
            continue;
        auto found = std::find_if(rows.begin(), rows.end(),
                                  [run](const RunRow& row) { return row.path == run->path(); });
        if (found == rows.end()) {
            RunRow row;
            row.path = run->path();
            row.name = run->title();
            row.state = QString::fromStdString(run->record().state());
            if (!run->record().states.empty())
                row.reason = QString::fromStdString(run->record().states.back().reason);
            found = rows.insert(run->isGone() ? rows.end() : rows.begin(), row);
        }
        if (run->isGone()) {
            found->state = QStringLiteral("gone");
            found->reason = run->error();
        } else if (!run->family().isEmpty()) { // a run that waits has written nothing yet
            found->family = run->family();
            found->step = run->record().lastStep();
            found->totalSteps = run->record().description.totalSteps;
            found->phase = QString::fromStdString(run->record().progress.phase);
            found->remainingSeconds = run->record().progress.remainingSeconds;
            found->sparkline = sparkline(run->record());
        }
        found->open = true;
        found->current = run == m_current;
    }
    m_runs->setRows(rows);
}

void MainWindow::refreshAdapters()
{
    std::vector<RunPanel::Adapter> adapters;
    for (const OpenRun* run : m_open)
        if (run->isSnapshot())
            adapters.push_back({run->title(), run->path()});
    m_runPanel->setAdapters(adapters, m_current == nullptr ? QString() : m_current->path());
}

void MainWindow::refreshStatus()
{
    const auto jobs = std::count_if(m_runs->rows().begin(), m_runs->rows().end(),
                                    [](const RunRow& row) { return row.state == QLatin1String("running"); });
    const QString engine = m_engine->isConnected() ? tr("engine: running") : tr("engine: not running");
    m_engineState->setText(engine + (jobs > 0 ? counted(jobs, tr(", 1 job"), tr(", %1 jobs")) : QString()));
    m_startEngine->setEnabled(!m_engine->isConnected());
    m_startButton->setVisible(m_options.engine && !m_engine->isConnected());
    m_runPanel->setMachineState(engine, m_engine->isConnected());
    const RunRow* row = m_current == nullptr ? nullptr : m_runs->row(m_current->path());
    // A run that waits has written nothing yet: the list knows its name.
    const QString title = row != nullptr ? row->name : m_current != nullptr ? m_current->title() : QString();
    setWindowTitle(m_current == nullptr ? QStringLiteral("Rankscope")
                                        : title + QStringLiteral(" - Rankscope"));
    if (m_current == nullptr || !m_current->isLoaded())
        for (views::View* view : m_views)
            view->setNotice({}, false);
    if (m_current == nullptr) {
        showStatus(tr("No run is open"));
        m_warnings->hide();
        return;
    }
    if (!m_current->isLoaded()) {
        showStatus(tr("Reading %1").arg(m_current->path()));
        m_warnings->hide();
        return;
    }
    const record::RunRecord& run = m_current->record();
    // A job that was killed could not write its last state: the supervisor knows it.
    const std::string state = row != nullptr && !row->id.isEmpty() ? row->state.toStdString() : run.state();
    const bool running = state == "running";
    const QString phase = running ? phaseOf(run.progress) : QString();
    QStringList parts;
    const bool begun = run.lastStep() > 0 || run.description.totalSteps > 0;
    if (!running && !state.empty())
        parts << QString::fromStdString(state);
    else if (!phase.isEmpty() && run.progress.phase != "training")
        parts << phase;
    else if (!begun) // it has said nothing of itself yet
        parts << tr("starting");
    // "step 0" says nothing of a run that prepares
    if (begun && (run.lastStep() > 0 || parts.isEmpty() || !running))
        parts << tr("step %1 of %2")
                     .arg(run.lastStep())
                     .arg(std::max(run.lastStep(), run.description.totalSteps));
    if (const QString loss = lastValue(run, "train/loss", {}, 2); !loss.isEmpty())
        parts << tr("loss %1").arg(loss);
    if (const QString speed = lastValue(run, "train/tokens_per_second", QStringLiteral("tok/s"), 0);
        !speed.isEmpty())
        parts << speed;
    if (const QString memory = lastValue(run, "train/memory", QStringLiteral("B"), 0); !memory.isEmpty())
        parts << memory;
    if (running)
        if (const QString left = views::formatDuration(run.progress.remainingSeconds); !left.isEmpty())
            parts << tr("%1 left").arg(left);
    QString reason = row == nullptr ? QString() : row->reason;
    if (reason.isEmpty() && !run.states.empty())
        reason = QString::fromStdString(run.states.back().reason);
    if (!reason.isEmpty())
        parts << reason;
    showStatus(title + QStringLiteral(": ") + parts.join(QStringLiteral(" · ")));
    const bool over =
        !state.empty() && !running && state != "queued" && state != "stopping" && state != "unknown";
    QString notice = state.empty() ? QString() : tr("The run is %1").arg(QString::fromStdString(state));
    if (running)
        notice = tr("The run is %1").arg(phase.isEmpty() ? tr("starting") : phase);
    if (!reason.isEmpty())
        notice += QStringLiteral(": ") + reason;
    for (views::View* view : m_views)
        view->setNotice(notice, over);
    const auto trainable = static_cast<double>(run.description.trainableParameters);
    const auto base = static_cast<double>(run.description.baseParameters);
    m_status->setToolTip(
        tr("%1\nBase model %2, %3 parameters\nTrainable parameters %4, %5 of the base model's\nDevice %6, %7")
            .arg(m_current->path(), QString::fromStdString(run.description.baseModel),
                 views::formatCount(base), views::formatCount(trainable),
                 formatPercent(base > 0 ? 100 * trainable / base : 0),
                 QString::fromStdString(run.description.device),
                 QString::fromStdString(run.description.dtype)));
    const auto warnings =
        std::count_if(run.notices.begin(), run.notices.end(),
                      [](const record::NoticeEntry& notice) { return notice.severity != "info"; });
    m_warnings->setVisible(warnings > 0);
    m_warnings->setText(counted(warnings, tr("1 warning"), tr("%1 warnings")));
}

void MainWindow::fillWarnings()
{
    QMenu* menu = m_warnings->menu();
    menu->clear();
    if (m_current == nullptr)
        return;
    for (const record::NoticeEntry& notice : m_current->record().notices)
        if (notice.severity != "info")
            menu->addAction(QString::fromStdString(notice.text), this,
                            [text = QString::fromStdString(notice.text)] {
                                QGuiApplication::clipboard()->setText(text);
                            })
                ->setToolTip(tr("Copies the text"));
}

} // namespace rankscope::workbench

// SPDX-License-Identifier: GPL-3.0-or-later
// Menus, tool bar, keys and what they do.
#include "app/workbench/command_palette.h"
#include "app/workbench/engine_link.h"
#include "app/workbench/icons.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/main_window.h"
#include "app/workbench/message_strip.h"
#include "app/workbench/open_run.h"
#include "app/workbench/run_panel.h"
#include "app/workbench/save_dialog.h"
#include "app/workbench/step_bar.h"
#include "core/base/files.h"
#include "core/record/snapshot.h"
#include "views/base/view.h"

#include <QAbstractButton>
#include <QAbstractItemView>
#include <QAbstractSlider>
#include <QActionGroup>
#include <QApplication>
#include <QComboBox>
#include <QDir>
#include <QDragEnterEvent>
#include <QFileDialog>
#include <QFileInfo>
#include <QKeyEvent>
#include <QMenuBar>
#include <QMessageBox>
#include <QMimeData>
#include <QStackedWidget>
#include <QToolBar>
#include <QToolButton>

namespace rankscope::workbench
{

namespace
{

bool isControl(const QWidget* widget)
{
    return qobject_cast<const QAbstractButton*>(widget) != nullptr ||
           qobject_cast<const QComboBox*>(widget) != nullptr ||
           qobject_cast<const QAbstractItemView*>(widget) != nullptr ||
           qobject_cast<const QAbstractSlider*>(widget) != nullptr;
}

/// Does the control do something of its own with this key? One that was clicked has done it: Space presses
/// or opens again only what was come to by key.
bool usesKey(const QWidget* control, int key, bool clicked)
{
    if (!isControl(control))
        return false;
    const bool across = key == Qt::Key_Left || key == Qt::Key_Right;
    if (qobject_cast<const QAbstractSlider*>(control) != nullptr)
        return across;
    if (const auto* items = qobject_cast<const QAbstractItemView*>(control))
        return across && items->model() != nullptr && items->model()->columnCount() > 1;
    return key == Qt::Key_Space && !clicked;
}

/// A job to be launched, and not the one of a run directory, which means the run.
bool isJobFile(const QString& path)
{
    const QFileInfo file(path);
    if (!file.isFile() || file.suffix().compare(QLatin1String("json"), Qt::CaseInsensitive) != 0)
        return false;
    const QDir folder = file.absoluteDir();
    return file.fileName() != QLatin1String("job.json") ||
           !(folder.exists(QStringLiteral("journal.rec")) ||
             folder.exists(QStringLiteral("supervision.json")));
}

} // namespace

QAction* MainWindow::action(const QString& text, const QString& iconName, const QKeySequence& keys,
                            const QString& toolTip)
{
    auto* made = new QAction(text, this);
    made->setShortcut(keys);
    const QString shown = keys.toString(QKeySequence::NativeText);
    made->setToolTip(shown.isEmpty() ? toolTip : QStringLiteral("%1 (%2)").arg(toolTip, shown));
    if (!iconName.isEmpty()) {
        made->setIcon(icon(iconName));
        m_iconActions.emplace_back(made, iconName);
    }
    addAction(made);
    return made;
}

void MainWindow::makeActions()
{
    QMenu* file = menuBar()->addMenu(tr("&File"));
    QMenu* run = menuBar()->addMenu(tr("&Run"));
    QMenu* viewMenu = menuBar()->addMenu(tr("&View"));
    QMenu* figure = menuBar()->addMenu(tr("Fi&gure"));
    QMenu* help = menuBar()->addMenu(tr("&Help"));
    for (QMenu* menu : {file, run, viewMenu, figure, help})
        menu->setToolTipsVisible(true);

    m_newRun = action(tr("New run"), QStringLiteral("new_run"), QKeySequence::New,
                      tr("Set up and launch a fine-tune"));
    connect(m_newRun, &QAction::triggered, this, &MainWindow::showNewRun);
    m_openAction = action(tr("Open…"), QStringLiteral("open"), QKeySequence::Open,
                          tr("Open an HDF5 snapshot, a journal or a job file"));
    connect(m_openAction, &QAction::triggered, this, &MainWindow::openDialog);
    auto* openFolder =
        action(tr("Open run directory…"), QStringLiteral("open"), QKeySequence(tr("Ctrl+Shift+O")),
               tr("Open the folder of a run, finished or going on"));
    connect(openFolder, &QAction::triggered, this, &MainWindow::openFolderDialog);
    m_save = action(tr("Save snapshot…"), QStringLiteral("save"), QKeySequence::Save,
                    tr("Save everything recorded in this run as one HDF5 file"));
    connect(m_save, &QAction::triggered, this, [this] { saveSnapshotOf(m_current); });
    m_closeRun = action(tr("Close run"), QStringLiteral("remove"), QKeySequence::Close,
                        tr("Close the run's views; a job that is running goes on"));
    connect(m_closeRun, &QAction::triggered, this, [this] {
        if (m_current != nullptr)
            closeRun(m_current->path());
    });
    auto* quit = action(tr("Quit"), {}, QKeySequence::Quit, tr("Close the window; jobs go on"));
    connect(quit, &QAction::triggered, this, &QWidget::close);
    file->addActions({m_newRun, m_openAction, openFolder});
    file->addSeparator();
    file->addActions({m_save, m_closeRun});
    file->addSeparator();
    file->addAction(quit);

    m_stop = action(tr("Stop after this step"), QStringLiteral("stop"), {},
                    tr("Finish the step, write a checkpoint and stop"));
    connect(m_stop, &QAction::triggered, this, [this] {
        if (m_current != nullptr)
            stopRun(m_current->path());
    });
    m_end = action(tr("End now…"), {}, {},
                   tr("End a job that is stopping at once; what it did since its last checkpoint is lost"));
    connect(m_end, &QAction::triggered, this, [this] {
        if (m_current != nullptr)
            endRun(m_current->path());
    });
    m_resume = action(tr("Resume"), QStringLiteral("resume"), {}, tr("Go on from the last checkpoint"));
    connect(m_resume, &QAction::triggered, this, [this] {
        if (m_current != nullptr)
            resumeRun(m_current->path());
    });
    m_again =
        action(tr("New run from this one"), {}, {}, tr("Open the New run page with this run's settings"));
    connect(m_again, &QAction::triggered, this, [this] {
        if (m_current != nullptr)
            copyJob(m_current->path());
    });
    m_startEngine =
        action(tr("Start engine"), {}, {}, tr("Start the engine that runs the jobs and lists their runs"));
    connect(m_startEngine, &QAction::triggered, m_engine, &EngineLink::start);
    m_startButton->setDefaultAction(m_startEngine);
    run->addActions({m_stop, m_end, m_resume});
    run->addSeparator();
    run->addActions({m_again, m_startEngine});

    makeViewActions(viewMenu);
    makeFigureActions(figure);

    auto* palette = action(tr("Command palette"), QStringLiteral("search"), QKeySequence(tr("Ctrl+K")),
                           tr("Every command by a part of its name"));
    connect(palette, &QAction::triggered, this, [this] { m_palette->open(actions(), m_runs->rows()); });
    connect(m_palette, &CommandPalette::runChosen, this, [this](const QString& path) {
        m_pages->setCurrentIndex(0);
        openRun(path);
    });
    auto* about = action(tr("About Rankscope"), {}, {}, tr("Version and licences"));
    connect(about, &QAction::triggered, this, &MainWindow::showAbout);
    help->addActions({palette, about});

    auto* bar = new QToolBar(tr("Main"), this);
    bar->setObjectName(QStringLiteral("toolbar-main"));
    bar->setMovable(false);
    bar->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    bar->setIconSize(QSize(16, 16));
    bar->addAction(m_newRun);
    bar->addAction(m_openAction);
    bar->addSeparator();
    bar->addAction(m_stop);
    bar->addAction(m_resume);
    auto* spacer = new QWidget(bar);
    spacer->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
    bar->addWidget(spacer);
    auto* search = new QToolButton(bar);
    search->setIcon(palette->icon());
    connect(palette, &QAction::changed, search, [search, palette] { search->setIcon(palette->icon()); });
    search->setToolTip(palette->toolTip());
    connect(search, &QToolButton::clicked, palette, &QAction::trigger);
    search->setText(tr("Search…  Ctrl+K"));
    search->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    search->setMinimumWidth(180);
    bar->addWidget(search);
    addToolBar(Qt::TopToolBarArea, bar);
    bar->setContextMenuPolicy(Qt::PreventContextMenu);
}

void MainWindow::makeViewActions(QMenu* viewMenu)
{
    int number = 1;
    for (views::View* view : m_views) {
        auto* show =
            action(view->title(), view->iconName(), QKeySequence(QStringLiteral("Ctrl+%1").arg(number++)),
                   tr("Show the view %1").arg(view->title()));
        connect(show, &QAction::triggered, this, [this, view] { showView(view->key()); });
        viewMenu->addAction(show);
    }
    viewMenu->addSeparator();
    m_undo = action(tr("Undo selection"), {}, QKeySequence::Undo,
                    tr("Bring the selection before the last change back"));
    m_redo = action(tr("Redo selection"), {}, QKeySequence::Redo,
                    tr("Take the undone change of the selection again"));
    connect(m_undo, &QAction::triggered, m_selection, &views::Selection::undo);
    connect(m_redo, &QAction::triggered, m_selection, &views::Selection::redo);
    auto* clear =
        action(tr("Clear selection"), {}, QKeySequence(Qt::Key_Escape), tr("Select everything again"));
    connect(clear, &QAction::triggered, this, [this] {
        if (m_pages->currentIndex() == 1)
            m_pages->setCurrentIndex(0);
        else
            m_selection->clear();
    });
    viewMenu->addActions({m_undo, m_redo, clear});
    viewMenu->addSeparator();
    auto* play = action(tr("Play steps"), QStringLiteral("play"), QKeySequence(Qt::Key_Space),
                        tr("Play the run from the chosen step"));
    auto* back = action(tr("Step back"), {}, QKeySequence(Qt::Key_Left), tr("One step back"));
    auto* forward = action(tr("Step forward"), {}, QKeySequence(Qt::Key_Right), tr("One step forward"));
    auto* live =
        action(tr("Live"), QStringLiteral("live"), QKeySequence(Qt::Key_L), tr("Follow the newest step"));
    auto* fit =
        action(tr("Show all of the data"), {}, QKeySequence(Qt::Key_F), tr("Undo zooms in this view"));
    connect(play, &QAction::triggered, m_stepBar, &StepBar::togglePlay);
    connect(back, &QAction::triggered, this, [this] { m_stepBar->stepBy(-1); });
    connect(forward, &QAction::triggered, this, [this] { m_stepBar->stepBy(1); });
    connect(live, &QAction::triggered, this, [this] { m_selection->setLive(!m_selection->live()); });
    connect(fit, &QAction::triggered, this, [this] {
        if (currentView() != nullptr)
            currentView()->fit();
    });
    viewMenu->addActions({play, back, forward, live, fit});
    viewMenu->addSeparator();
    QMenu* style = viewMenu->addMenu(tr("Style"));
    m_styles = new QActionGroup(this);
    const std::vector<std::pair<StyleChoice, QString>> choices = {{StyleChoice::System, tr("As the system")},
                                                                  {StyleChoice::Light, tr("Light")},
                                                                  {StyleChoice::Dark, tr("Dark")}};
    for (const auto& [choice, title] : choices) {
        auto* item = action(title + tr(" style"), {}, {}, tr("Colours of the window"));
        item->setCheckable(true);
        item->setData(static_cast<int>(choice));
        m_styles->addAction(item);
        style->addAction(item);
        connect(item, &QAction::triggered, this, [this, choice = choice] { setStyleChoice(choice); });
    }
    viewMenu->addActions({m_runDock->toggleViewAction(), m_selectionDock->toggleViewAction()});
    auto* arrange = action(tr("Arrange views anew"), {}, {},
                           tr("Put every view back into the window, as at the first start"));
    connect(arrange, &QAction::triggered, this, [this] { arrangeViews(width() >= sideBySideWidth); });
    viewMenu->addAction(arrange);
    qApp->installEventFilter(this);
}

void MainWindow::makeFigureActions(QMenu* figureMenu)
{
    auto* exporting = action(tr("Export figure…"), QStringLiteral("export"), QKeySequence(tr("Ctrl+E")),
                             tr("Save the panel last touched as PNG, SVG, PDF or CSV"));
    connect(exporting, &QAction::triggered, this, [this] { exportDialog(currentView(), {}); });
    auto* copy = action(tr("Copy figure"), QStringLiteral("copy"), QKeySequence(tr("Ctrl+Shift+C")),
                        tr("Copy the panel last touched as a picture"));
    connect(copy, &QAction::triggered, this, [this] { copyFigure(currentView(), {}); });
    auto* data = action(tr("Copy data"), {}, QKeySequence(tr("Ctrl+Shift+D")),
                        tr("Copy the panel's numbers, tab-separated"));
    connect(data, &QAction::triggered, this, [this] { copyData(currentView(), {}); });
    figureMenu->addActions({exporting, copy, data});
    figureMenu->addSeparator();
    m_presets = new QActionGroup(this);
    for (const views::FigurePreset& preset : views::figurePresets()) {
        auto* item = action(
            preset.title, {}, {},
            tr("Figures are %1 in wide with %2-point text").arg(preset.widthInches).arg(preset.fontPoints));
        item->setCheckable(true);
        item->setData(preset.key);
        item->setChecked(preset.key == m_export.preset);
        m_presets->addAction(item);
        figureMenu->addAction(item);
        connect(item, &QAction::triggered, this, [this, key = preset.key] { m_export.preset = key; });
    }
    figureMenu->addSeparator();
    m_transparent =
        action(tr("Transparent background"), {}, {}, tr("Leave the background out; white by default"));
    m_transparent->setCheckable(true);
    connect(m_transparent, &QAction::toggled, this, [this](bool on) { m_export.transparent = on; });
    figureMenu->addAction(m_transparent);
}

void MainWindow::refreshActions()
{
    if (m_undo == nullptr)
        return;
    m_undo->setEnabled(m_selection->canUndo());
    m_redo->setEnabled(m_selection->canRedo());
    m_save->setEnabled(m_current != nullptr && m_current->isLoaded());
    m_closeRun->setEnabled(m_current != nullptr);
    m_again->setEnabled(m_current != nullptr);
    const RunRow* row = m_current == nullptr ? nullptr : m_runs->row(m_current->path());
    const QString state = row == nullptr || row->id.isEmpty() ? QString() : row->state;
    m_stop->setEnabled(state == QLatin1String("running") || state == QLatin1String("queued"));
    m_end->setEnabled(state == QLatin1String("stopping"));
    m_resume->setEnabled(state == QLatin1String("stopped") || state == QLatin1String("failed") ||
                         state == QLatin1String("lost"));
    for (QAction* style : m_styles->actions())
        style->setChecked(style->data().toInt() == static_cast<int>(m_style));
}

void MainWindow::refreshIcons()
{
    for (const auto& [item, name] : m_iconActions)
        item->setIcon(icon(name));
    m_stepBar->refreshIcons();
    m_runPanel->refreshIcons();
    m_strip->refreshIcons();
}

void MainWindow::setStyleChoice(StyleChoice choice)
{
    m_style = choice;
    applyStyle(choice);
    refreshIcons();
    refreshActions();
}

void MainWindow::open(const QString& path)
{
    if (!isJobFile(path)) {
        m_pages->setCurrentIndex(0);
        openRun(path);
        return;
    }
    m_editor->openJob(path);
    showNewRun();
}

void MainWindow::openDialog()
{
    const QString file =
        QFileDialog::getOpenFileName(this, tr("Open a run, a snapshot or a job"), m_options.runsFolder,
                                     tr("Runs, snapshots and jobs (*.h5 *.hdf5 journal.rec *.json)"));
    if (!file.isEmpty())
        open(file);
}

void MainWindow::openFolderDialog()
{
    const QString folder =
        QFileDialog::getExistingDirectory(this, tr("Open a run directory"), m_options.runsFolder);
    if (!folder.isEmpty())
        openRun(folder);
}

void MainWindow::saveSnapshotOf(OpenRun* run)
{
    if (run == nullptr || !run->isLoaded())
        return;
    const QString file =
        askWhereToSave(this, tr("Save snapshot"),
                       QFileInfo(run->path()).completeBaseName() + QStringLiteral(".h5"), tr("HDF5 (*.h5)"));
    if (file.isEmpty())
        return;
    const Status status = record::writeSnapshot(run->record(), file.toStdString());
    if (status)
        say(tr("Saved %1").arg(file));
    else
        complain(QString::fromStdString(status.error().message));
}

void MainWindow::stopRun(const QString& path)
{
    if (const RunRow* row = m_runs->row(path); row != nullptr && !row->id.isEmpty())
        m_engine->stop(row->id);
}

void MainWindow::endRun(const QString& path)
{
    const RunRow* row = m_runs->row(path);
    if (row == nullptr || row->id.isEmpty())
        return;
    const QString id = row->id;
    auto* question =
        new QMessageBox(QMessageBox::Warning, tr("End now"),
                        tr("End %1 at once? What it did since its last checkpoint is lost.").arg(row->name),
                        QMessageBox::Cancel, this);
    question->addButton(tr("End now"), QMessageBox::DestructiveRole);
    question->setDefaultButton(QMessageBox::Cancel);
    question->setAttribute(Qt::WA_DeleteOnClose);
    connect(question, &QMessageBox::buttonClicked, this, [this, question, id](QAbstractButton* button) {
        if (question->buttonRole(button) == QMessageBox::DestructiveRole)
            m_engine->stop(id, true);
    });
    // A run that has come to its end by itself leaves nothing to ask.
    connect(m_engine, &EngineLink::runsChanged, question, [this, question, id] {
        for (const client::RunStatus& status : m_engine->runs())
            if (QString::fromStdString(status.id) == id && status.state != "stopping")
                question->reject();
    });
    question->open();
}

void MainWindow::resumeRun(const QString& path)
{
    if (const RunRow* row = m_runs->row(path); row != nullptr && !row->id.isEmpty())
        m_engine->resume(row->id);
}

void MainWindow::copyJob(const QString& path)
{
    for (const OpenRun* run : m_open)
        if (run->path() == path && !run->record().description.jobJson.empty()) {
            m_editor->setJobText(QString::fromStdString(run->record().description.jobJson), {});
            showNewRun();
            return;
        }
    if (const auto text = base::readFile((path + QStringLiteral("/job.json")).toStdString(), 1 << 24)) {
        m_editor->setJobText(QString::fromStdString(*text), path);
        showNewRun();
    } else {
        complain(QString::fromStdString(text.error().message));
    }
}

void MainWindow::launch(const QString& jobFile)
{
    const auto text = base::readFile(jobFile.toStdString(), 1 << 24);
    if (!text) {
        complain(QString::fromStdString(text.error().message));
        return;
    }
    m_engine->submit(QString::fromStdString(*text), QFileInfo(jobFile).absolutePath());
}

void MainWindow::showAbout()
{
    say(tr("Rankscope %1. Window and views: GPL-3.0-or-later; everything else: Apache-2.0.")
            .arg(QStringLiteral(RANKSCOPE_VERSION)));
}

bool MainWindow::eventFilter(QObject* watched, QEvent* event)
{
    if (event->type() == QEvent::FocusIn && watched->isWidgetType()) {
        const auto reason = static_cast<QFocusEvent*>(event)->reason();
        if (reason != Qt::PopupFocusReason && reason != Qt::ActiveWindowFocusReason)
            m_focusByPointer = reason == Qt::MouseFocusReason;
    }
    // Space, arrows and letters without Ctrl are the window's among the views, but for what the control that
    // has the focus does with them itself. Escape closes a list that is open, and nothing else with it.
    if (event->type() == QEvent::ShortcutOverride && watched->isWidgetType()) {
        const auto* key = static_cast<QKeyEvent*>(event);
        auto* control = static_cast<QWidget*>(watched);
        const bool inOpenList = isControl(control) && control->window()->windowType() == Qt::Popup;
        if (key->modifiers() == Qt::NoModifier &&
            (inOpenList ||
             (key->key() != Qt::Key_Escape &&
              (m_editor->isAncestorOf(control) ? isControl(control)
                                               : usesKey(control, key->key(), m_focusByPointer))))) {
            event->accept();
            return true;
        }
    }
    return QMainWindow::eventFilter(watched, event);
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event)
{
    if (event->mimeData()->hasUrls() && event->mimeData()->urls().first().isLocalFile())
        event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event)
{
    for (const QUrl& url : event->mimeData()->urls())
        if (url.isLocalFile())
            open(url.toLocalFile());
    event->acceptProposedAction();
}

} // namespace rankscope::workbench

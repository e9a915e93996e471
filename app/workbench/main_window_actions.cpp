// SPDX-License-Identifier: GPL-3.0-or-later
// Menus, tool bar, keys and what they do.
#include "app/workbench/command_palette.h"
#include "app/workbench/engine_link.h"
#include "app/workbench/icons.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/main_window.h"
#include "app/workbench/open_run.h"
#include "app/workbench/run_panel.h"
#include "app/workbench/step_bar.h"
#include "core/base/files.h"
#include "core/record/snapshot.h"
#include "views/base/view.h"

#include <QAbstractButton>
#include <QAbstractItemView>
#include <QAbstractSlider>
#include <QActionGroup>
#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QDir>
#include <QDragEnterEvent>
#include <QFileDialog>
#include <QFileInfo>
#include <QJsonArray>
#include <QKeyEvent>
#include <QMenuBar>
#include <QMimeData>
#include <QStackedWidget>
#include <QToolBar>
#include <QToolButton>

namespace rankscope::workbench
{

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

    m_newRun = action(tr("New run"), QStringLiteral("new_run"), QKeySequence::New,
                      tr("Set up and launch a fine-tune"));
    connect(m_newRun, &QAction::triggered, this, &MainWindow::showNewRun);
    m_openAction = action(tr("Open…"), QStringLiteral("open"), QKeySequence::Open,
                          tr("Open an HDF5 snapshot or a journal"));
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
    m_resume = action(tr("Resume"), QStringLiteral("resume"), {}, tr("Go on from the last checkpoint"));
    connect(m_resume, &QAction::triggered, this, [this] {
        if (m_current != nullptr)
            resumeRun(m_current->path());
    });
    auto* again =
        action(tr("New run from this one"), {}, {}, tr("Open the New run page with this run's settings"));
    connect(again, &QAction::triggered, this, [this] {
        if (m_current != nullptr)
            copyJob(m_current->path());
    });
    run->addActions({m_stop, m_resume});
    run->addSeparator();
    run->addAction(again);

    makeViewActions(viewMenu);
    makeFigureActions(figure);

    auto* palette = action(tr("Command palette"), QStringLiteral("search"), QKeySequence(tr("Ctrl+K")),
                           tr("Every command by a part of its name"));
    connect(palette, &QAction::triggered, this, [this] { m_palette->open(actions()); });
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
    auto* arrange = action(tr("Arrange views anew"), {}, {},
                           tr("Put every view back into the window, as at the first start"));
    connect(arrange, &QAction::triggered, this, &MainWindow::arrangeViews);
    viewMenu->addAction(arrange);
    qApp->installEventFilter(this);
}

void MainWindow::makeFigureActions(QMenu* figureMenu)
{
    auto* exporting = action(tr("Export figure…"), QStringLiteral("export"), QKeySequence(tr("Ctrl+E")),
                             tr("Save the panel last touched as PNG, SVG, PDF or CSV"));
    connect(exporting, &QAction::triggered, this, [this] { exportDialog({}); });
    auto* copy = action(tr("Copy figure"), QStringLiteral("copy"), QKeySequence(tr("Ctrl+Shift+C")),
                        tr("Copy the panel last touched as a picture"));
    connect(copy, &QAction::triggered, this, [this] { copyFigure({}); });
    auto* data = action(tr("Copy data"), {}, QKeySequence(tr("Ctrl+Shift+D")),
                        tr("Copy the panel's numbers, tab-separated"));
    connect(data, &QAction::triggered, this, [this] { copyData({}); });
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
    const RunRow* row = m_current == nullptr ? nullptr : m_runs->row(m_current->path());
    const QString state = row == nullptr || row->id.isEmpty() ? QString() : row->state;
    m_stop->setEnabled(state == QLatin1String("running") || state == QLatin1String("queued"));
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
}

void MainWindow::setStyleChoice(StyleChoice choice)
{
    m_style = choice;
    applyStyle(choice);
    refreshIcons();
    refreshActions();
}

void MainWindow::openDialog()
{
    const QString file =
        QFileDialog::getOpenFileName(this, tr("Open a run or snapshot"), m_options.runsFolder,
                                     tr("Runs and snapshots (*.h5 *.hdf5 journal.rec job.json)"));
    if (!file.isEmpty())
        openRun(file);
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
    const QString file = QFileDialog::getSaveFileName(
        this, tr("Save snapshot"), QFileInfo(run->path()).completeBaseName() + QStringLiteral(".h5"),
        tr("HDF5 (*.h5)"));
    if (file.isEmpty())
        return;
    const Status status = record::writeSnapshot(run->record(), file.toStdString());
    say(status ? tr("Saved %1").arg(file) : QString::fromStdString(status.error().message));
}

QJsonObject MainWindow::describe(const views::View* view) const
{
    QJsonArray layers;
    for (const int layer : m_selection->layers())
        layers.append(layer);
    QJsonArray experts;
    for (const int expert : m_selection->experts())
        experts.append(expert);
    return {{QStringLiteral("program"), QStringLiteral("Rankscope " RANKSCOPE_VERSION)},
            {QStringLiteral("run"), m_current == nullptr ? QString() : m_current->path()},
            {QStringLiteral("view"), view->key()},
            {QStringLiteral("step"), static_cast<qint64>(m_selection->step())},
            {QStringLiteral("layers"), layers},
            {QStringLiteral("experts"), experts},
            {QStringLiteral("modules"), QJsonArray::fromStringList(m_selection->modules())},
            {QStringLiteral("task"), m_selection->task()},
            {QStringLiteral("controls"), view->controls()}};
}

Status MainWindow::showDescribed(const QJsonObject& description)
{
    const QString key = description.value(QStringLiteral("view")).toString();
    views::View* shown = view(key);
    if (shown == nullptr)
        return fail("the figure's view \"" + key.toStdString() + "\" is not one of this program's views");
    const QString path = description.value(QStringLiteral("run")).toString();
    if (!QFileInfo::exists(path))
        return fail("the figure's run " + path.toStdString() +
                    " does not exist any more: open the run where it is now");
    OpenRun* run = openRun(path);
    const auto apply = [this, shown, description, key] {
        views::SelectionState state;
        for (const QJsonValue layer : description.value(QStringLiteral("layers")).toArray())
            state.layers.insert(layer.toInt());
        for (const QJsonValue expert : description.value(QStringLiteral("experts")).toArray())
            state.experts.insert(expert.toInt());
        for (const QJsonValue module : description.value(QStringLiteral("modules")).toArray())
            state.modules << module.toString();
        state.task = description.value(QStringLiteral("task")).toString();
        showView(key);
        m_selection->setState(state);
        shown->setControls(description.value(QStringLiteral("controls")).toObject());
        m_selection->setStep(description.value(QStringLiteral("step")).toInteger());
    };
    if (run->isLoaded())
        apply();
    else
        connect(run, &OpenRun::loaded, this, apply, Qt::SingleShotConnection);
    return {};
}

Status MainWindow::exportTo(views::View* view, const QString& figure, const QString& file)
{
    const QString wanted = figure.isEmpty() ? view->currentFigure() : figure;
    for (const views::Figure& candidate : view->figures())
        if (candidate.key == wanted)
            return views::exportFigure(candidate, describe(view), file, m_export);
    return fail(view->title().toStdString() + " has no figure yet: there is nothing recorded that it shows");
}

Result<QStringList> MainWindow::exportAll(const QString& folder)
{
    RANKSCOPE_CHECK(base::ensureWritableFolder(folder.toStdString()));
    QStringList files;
    for (views::View* view : m_views)
        for (const views::Figure& figure : view->figures())
            for (const char* ending : {"png", "svg", "pdf", "csv"}) {
                const QString file = QDir(folder).filePath(
                    QStringLiteral("%1-%2.%3").arg(view->key(), figure.key, QString::fromLatin1(ending)));
                RANKSCOPE_CHECK(views::exportFigure(figure, describe(view), file, m_export));
                files << file;
            }
    return files;
}

void MainWindow::exportDialog(const QString& figure)
{
    views::View* view = currentView();
    if (view == nullptr || !view->hasData()) {
        say(tr("There is no figure to export yet: open a run first"));
        return;
    }
    const QString wanted = figure.isEmpty() ? view->currentFigure() : figure;
    QString filter;
    QString file = QFileDialog::getSaveFileName(
        this, tr("Export figure"), QStringLiteral("%1-%2.pdf").arg(view->key(), wanted),
        tr("PDF (*.pdf);;SVG (*.svg);;PNG (*.png);;Numbers as CSV (*.csv)"), &filter);
    if (file.isEmpty())
        return;
    if (QFileInfo(file).suffix().isEmpty())
        file += filter.mid(filter.indexOf(QLatin1String("*.")) + 1).remove(QLatin1Char(')'));
    const Status status = exportTo(view, wanted, file);
    say(status ? tr("Exported %1").arg(file) : QString::fromStdString(status.error().message));
}

void MainWindow::copyFigure(const QString& figure)
{
    const views::View* view = currentView();
    if (view == nullptr)
        return;
    const QString wanted = figure.isEmpty() ? view->currentFigure() : figure;
    for (const views::Figure& candidate : view->figures())
        if (candidate.key == wanted) {
            QApplication::clipboard()->setImage(views::figureImage(candidate, m_export));
            say(tr("Copied: %1").arg(candidate.title));
        }
}

void MainWindow::copyData(const QString& figure)
{
    const views::View* view = currentView();
    if (view == nullptr)
        return;
    const QString wanted = figure.isEmpty() ? view->currentFigure() : figure;
    for (const views::Figure& candidate : view->figures())
        if (candidate.key == wanted) {
            QApplication::clipboard()->setText(candidate.table().toTabs());
            say(tr("Copied the numbers of: %1").arg(candidate.title));
        }
}

void MainWindow::stopRun(const QString& path)
{
    if (const RunRow* row = m_runs->row(path); row != nullptr && !row->id.isEmpty()) {
        m_engine->stop(row->id);
        say(tr("%1 finishes its step, writes a checkpoint and stops").arg(row->name));
    }
}

void MainWindow::resumeRun(const QString& path)
{
    if (const RunRow* row = m_runs->row(path); row != nullptr && !row->id.isEmpty()) {
        m_engine->resume(row->id);
        say(tr("%1 goes on from its last checkpoint").arg(row->name));
    }
}

void MainWindow::copyJob(const QString& path)
{
    for (const OpenRun* run : m_open)
        if (run->path() == path && run->isLoaded()) {
            m_editor->setJobText(QString::fromStdString(run->record().description.jobJson), {});
            showNewRun();
            return;
        }
    if (const auto text = base::readFile((path + QStringLiteral("/job.json")).toStdString(), 1 << 24)) {
        m_editor->setJobText(QString::fromStdString(*text), path);
        showNewRun();
    } else {
        say(QString::fromStdString(text.error().message));
    }
}

void MainWindow::launch(const QString& jobFile)
{
    const auto text = base::readFile(jobFile.toStdString(), 1 << 24);
    if (!text) {
        say(QString::fromStdString(text.error().message));
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
    // Space, arrows and letters without Ctrl belong to the control that has the focus: a button is pressed, a
    // list is searched, a slider moves. They are the window's where the focus is on a plot.
    if (event->type() == QEvent::ShortcutOverride) {
        const auto* key = static_cast<QKeyEvent*>(event);
        const bool control = qobject_cast<QAbstractButton*>(watched) != nullptr ||
                             qobject_cast<QComboBox*>(watched) != nullptr ||
                             qobject_cast<QAbstractItemView*>(watched) != nullptr ||
                             qobject_cast<QAbstractSlider*>(watched) != nullptr;
        if (control && key->modifiers() == Qt::NoModifier && key->key() != Qt::Key_Escape) {
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
            openRun(url.toLocalFile());
    m_pages->setCurrentIndex(0);
    event->acceptProposedAction();
}

} // namespace rankscope::workbench

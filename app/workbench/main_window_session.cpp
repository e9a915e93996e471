// SPDX-License-Identifier: GPL-3.0-or-later
// What is remembered between two starts: place and size, open runs, view, style, figure preset; and for each
// project, which is a folder of runs, how its views are laid out.
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/main_window.h"
#include "app/workbench/open_run.h"
#include "core/base/paths.h"
#include "views/base/view.h"

#include <QActionGroup>
#include <QCloseEvent>
#include <QFileInfo>
#include <QSettings>
#include <QStackedWidget>
#include <QUrl>

#include <algorithm>

namespace rankscope::workbench
{

namespace
{
constexpr int layoutVersion = 1;
} // namespace

void MainWindow::arrangeViews(bool sideBySide)
{
    QDockWidget* first = m_docks.value(m_views.front()->key());
    QDockWidget* others = sideBySide ? m_docks.value(m_views[1]->key()) : first;
    for (views::View* view : m_views) {
        QDockWidget* dock = m_docks.value(view->key());
        dock->setFloating(false);
        m_dockArea->removeDockWidget(dock);
    }
    for (views::View* view : m_views) {
        QDockWidget* dock = m_docks.value(view->key());
        if (dock == first || dock == others)
            m_dockArea->addDockWidget(Qt::TopDockWidgetArea, dock, Qt::Horizontal);
        else
            m_dockArea->tabifyDockWidget(others, dock);
        dock->show();
    }
    if (others != first)
        m_dockArea->resizeDocks({first, others}, {1, 1}, Qt::Horizontal);
    others->raise();
    first->raise();
    m_lastView = m_views.front()->key();
    updateTitleBars();
}

void MainWindow::restoreSession()
{
    QSettings settings;
    settings.beginGroup(QStringLiteral("window"));
    setStyleChoice(styleFromName(settings.value(QStringLiteral("style")).toString()));
    restoreGeometry(settings.value(QStringLiteral("geometry")).toByteArray());
    restoreState(settings.value(QStringLiteral("panels")).toByteArray(), layoutVersion);
    m_selectionPanelWanted = settings.value(QStringLiteral("selectionPanel"), true).toBool();
    showSelectionPanel();
    setExport({settings.value(QStringLiteral("preset"), m_export.preset).toString(),
               settings.value(QStringLiteral("transparent"), false).toBool()});
    const QJsonObject controls = settings.value(QStringLiteral("controls")).toJsonObject();
    const QJsonObject selected = settings.value(QStringLiteral("selected")).toJsonObject();
    m_editor->restoreDraft(settings.value(QStringLiteral("newRun")).toString());
    const QStringList runs = settings.value(QStringLiteral("runs")).toStringList();
    const QString current = settings.value(QStringLiteral("current")).toString();
    const QString shown = settings.value(QStringLiteral("view")).toString();
    settings.endGroup();
    restoreLayout();
    for (const QString& run : runs)
        if (QFileInfo::exists(run))
            openRun(run);
    if (runs.contains(current) && QFileInfo::exists(current)) {
        OpenRun* run = openRun(current);
        // The controls' choices and what can be selected exist once the run is read.
        connect(
            run, &OpenRun::loaded, this,
            [this, run, controls, selected] {
                if (run != m_current)
                    return; // another one has been opened since
                for (views::View* view : m_views)
                    if (controls.contains(view->key()))
                        view->setControls(controls.value(view->key()).toObject());
                select(selected);
            },
            Qt::SingleShotConnection);
    }
    if (view(shown) != nullptr)
        showView(shown);
    updateTitleBars();
}

void MainWindow::saveSession()
{
    QSettings settings;
    settings.beginGroup(QStringLiteral("window"));
    settings.setValue(QStringLiteral("geometry"), saveGeometry());
    settings.setValue(QStringLiteral("panels"), saveState(layoutVersion));
    settings.setValue(QStringLiteral("selectionPanel"), m_selectionPanelWanted);
    settings.setValue(QStringLiteral("style"), styleName(m_style));
    settings.setValue(QStringLiteral("preset"), m_export.preset);
    settings.setValue(QStringLiteral("transparent"), m_export.transparent);
    settings.setValue(QStringLiteral("view"), m_lastView);
    QJsonObject controls;
    for (const views::View* view : m_views)
        controls.insert(view->key(), view->controls());
    settings.setValue(QStringLiteral("controls"), controls);
    settings.setValue(QStringLiteral("selected"), selected());
    settings.setValue(QStringLiteral("newRun"), m_editor->draft());
    settings.endGroup();
    saveLayout();
    saveRuns();
}

QString MainWindow::projectGroup() const
{
    const auto folder = base::runsFolder(m_options.runsFolder.toStdString());
    const QString name = folder ? QString::fromStdString(folder->string()) : m_options.runsFolder;
    return QStringLiteral("projects/") +
           QString::fromLatin1(QUrl::toPercentEncoding(name)); // a slash would be a group
}

void MainWindow::restoreLayout()
{
    QSettings settings;
    settings.beginGroup(projectGroup());
    m_placed = m_dockArea->restoreState(settings.value(QStringLiteral("views")).toByteArray(), layoutVersion);
    const QJsonObject splits = settings.value(QStringLiteral("splits")).toJsonObject();
    for (views::View* view : m_views)
        view->setSplits(splits.value(view->key()).toArray());
}

void MainWindow::saveLayout() const
{
    QSettings settings;
    settings.beginGroup(projectGroup());
    settings.setValue(QStringLiteral("views"), m_dockArea->saveState(layoutVersion));
    QJsonObject splits;
    for (const views::View* view : m_views)
        splits.insert(view->key(), view->splits());
    settings.setValue(QStringLiteral("splits"), splits);
}

void MainWindow::saveRuns()
{
    QStringList runs;
    for (const OpenRun* run : m_open)
        runs << run->path();
    QSettings settings;
    settings.beginGroup(QStringLiteral("window"));
    settings.setValue(QStringLiteral("runs"), runs);
    settings.setValue(QStringLiteral("current"), m_current == nullptr ? QString() : m_current->path());
    settings.endGroup();
}

void MainWindow::showEvent(QShowEvent* event)
{
    QMainWindow::showEvent(event);
    if (m_placed)
        return;
    // Only now the window has its size.
    m_placed = true;
    if (width() < sideBySideWidth)
        return;
    const QString shown = m_lastView;
    arrangeViews(true);
    if (shown != m_lastView)
        m_docks.value(shown)->raise();
}

void MainWindow::closeEvent(QCloseEvent* event)
{
    if (m_options.session)
        saveSession();
    event->accept();
}

} // namespace rankscope::workbench

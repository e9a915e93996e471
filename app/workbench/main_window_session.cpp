// SPDX-License-Identifier: GPL-3.0-or-later
// What is remembered between two starts: place and size, docks, open runs, view, style, figure preset.
#include "app/workbench/main_window.h"
#include "app/workbench/open_run.h"
#include "views/base/view.h"

#include <QActionGroup>
#include <QCloseEvent>
#include <QFileInfo>
#include <QSettings>
#include <QStackedWidget>

#include <algorithm>

namespace rankscope::workbench
{

namespace
{
constexpr int layoutVersion = 1;
constexpr int sideBySideWidth = 1600; ///< of the centre: from here on two views stand side by side at first
} // namespace

void MainWindow::arrangeViews()
{
    QDockWidget* first = m_docks.value(m_views.front()->key());
    QDockWidget* last = first;
    for (views::View* view : m_views) {
        QDockWidget* dock = m_docks.value(view->key());
        dock->setFloating(false);
        dock->show();
        m_dockArea->addDockWidget(Qt::TopDockWidgetArea, dock);
        if (dock != first)
            m_dockArea->tabifyDockWidget(last, dock);
        last = dock;
    }
    if (m_dockArea->width() >= sideBySideWidth) {
        QDockWidget* second = m_docks.value(m_views[1]->key());
        m_dockArea->splitDockWidget(first, second, Qt::Horizontal);
        for (std::size_t i = 2; i < m_views.size(); ++i)
            m_dockArea->tabifyDockWidget(second, m_docks.value(m_views[i]->key()));
        second->raise();
    }
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
    m_dockArea->restoreState(settings.value(QStringLiteral("views")).toByteArray(), layoutVersion);
    m_export.preset = settings.value(QStringLiteral("preset"), m_export.preset).toString();
    m_export.transparent = settings.value(QStringLiteral("transparent"), false).toBool();
    for (QAction* preset : m_presets->actions())
        preset->setChecked(preset->data().toString() == m_export.preset);
    m_transparent->setChecked(m_export.transparent);
    const QJsonObject controls = settings.value(QStringLiteral("controls")).toJsonObject();
    const QStringList runs = settings.value(QStringLiteral("runs")).toStringList();
    const QString current = settings.value(QStringLiteral("current")).toString();
    const QString shown = settings.value(QStringLiteral("view")).toString();
    settings.endGroup();
    for (const QString& run : runs)
        if (QFileInfo::exists(run))
            openRun(run);
    if (runs.contains(current) && QFileInfo::exists(current)) {
        OpenRun* run = openRun(current);
        // The controls' choices exist once the run is read.
        connect(
            run, &OpenRun::loaded, this,
            [this, controls] {
                for (views::View* view : m_views)
                    if (controls.contains(view->key()))
                        view->setControls(controls.value(view->key()).toObject());
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
    settings.setValue(QStringLiteral("views"), m_dockArea->saveState(layoutVersion));
    settings.setValue(QStringLiteral("style"), styleName(m_style));
    settings.setValue(QStringLiteral("preset"), m_export.preset);
    settings.setValue(QStringLiteral("transparent"), m_export.transparent);
    settings.setValue(QStringLiteral("view"), m_lastView);
    QJsonObject controls;
    for (const views::View* view : m_views)
        controls.insert(view->key(), view->controls());
    settings.setValue(QStringLiteral("controls"), controls);
    settings.endGroup();
    saveRuns();
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

void MainWindow::closeEvent(QCloseEvent* event)
{
    if (m_options.session)
        saveSession();
    event->accept();
}

} // namespace rankscope::workbench

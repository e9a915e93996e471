// SPDX-License-Identifier: GPL-3.0-or-later
// The window: runs at the left, views in the centre, the selection at the right, the step slider below.
#pragma once

#include "app/workbench/run_list.h"
#include "app/workbench/style.h"
#include "core/base/result.h"
#include "views/export/figure_export.h"
#include "views/selection/selection.h"

#include <QDockWidget>
#include <QHash>
#include <QJsonObject>
#include <QMainWindow>
#include <QTimer>

#include <memory>
#include <vector>

class QActionGroup;
class QLabel;
class QSettings;
class QStackedWidget;
class QToolButton;

namespace rankscope::views
{
class View;
}

namespace rankscope::workbench
{

class CommandPalette;
class EngineLink;
class JobEditor;
class MessageStrip;
class OpenRun;
class RunPanel;
class SelectionPanel;
class StepBar;

class MainWindow : public QMainWindow
{
    Q_OBJECT

public:
    struct Options {
        QString runsFolder;      ///< empty: the default
        QString socket;          ///< empty: the default
        bool session = true;     ///< restore and save the session
        bool engine = true;      ///< connect to the supervisor, and start it where none runs
        QString engineProgram{}; ///< empty: the one beside this program
    };

    explicit MainWindow(const Options& options, QWidget* parent = nullptr);
    ~MainWindow() override;

    /// Opens (or shows, if it is open) a run directory or snapshot and makes it the current one.
    OpenRun* openRun(const QString& path);
    /// What a user names: a run as above, or a job file, which goes to the New run page.
    void open(const QString& path);
    void closeRun(const QString& path);
    [[nodiscard]] OpenRun* currentRun() const { return m_current; }
    void showView(const QString& key);
    void showNewRun();
    void launch(const QString& jobFile);
    void setStyleChoice(StyleChoice choice);

    [[nodiscard]] views::Selection* selection() const { return m_selection; }
    [[nodiscard]] const std::vector<views::View*>& allViews() const { return m_views; }
    [[nodiscard]] views::View* view(const QString& key) const;
    [[nodiscard]] views::View* currentView() const;
    [[nodiscard]] StepBar* stepBar() const { return m_stepBar; }
    [[nodiscard]] JobEditor* jobEditor() const { return m_editor; }
    [[nodiscard]] CommandPalette* palettePopup() const { return m_palette; }
    [[nodiscard]] RunListModel* runList() const { return m_runs; }
    [[nodiscard]] MessageStrip* messageStrip() const { return m_strip; }
    [[nodiscard]] QLabel* statusLabel() const { return m_status; }
    [[nodiscard]] SelectionPanel* selectionPanel() const { return m_selectionPanel; }
    [[nodiscard]] RunPanel* runPanel() const { return m_runPanel; }
    [[nodiscard]] QAction* startEngineAction() const { return m_startEngine; }

    /// What a figure needs to be shown again.
    [[nodiscard]] QJsonObject describe(const views::View* view) const;
    /// Shows what a figure's description says.
    Status showDescribed(const QJsonObject& description);
    /// Writes one figure of a view; an empty key means its current panel.
    Status exportTo(views::View* view, const QString& figure, const QString& file);
    /// Every figure of every view that has data, in four formats.
    Result<QStringList> exportAll(const QString& folder);

protected:
    void showEvent(QShowEvent* event) override;
    void closeEvent(QCloseEvent* event) override;
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    // main_window.cpp
    void makeViews();
    void makePanels();
    void showSelectionPanel();
    void makeStatus();
    void updateTitleBars();
    /// For a while in the place of the run's status.
    void say(const QString& message);
    /// Something went wrong: stays until the user dismisses it.
    void complain(const QString& message);
    void showStatus(const QString& text);
    // main_window_runs.cpp
    void connectRuns();
    void setCurrent(OpenRun* run);
    void runChanged(OpenRun* run, bool rewound);
    void refreshRunList();
    void refreshAdapters();
    void refreshStatus();
    /// When it is opened: a live run would change it under the cursor.
    void fillWarnings();
    // main_window_actions.cpp
    void makeActions();
    void makeViewActions(QMenu* viewMenu);
    void makeFigureActions(QMenu* figureMenu);
    QAction* action(const QString& text, const QString& iconName, const QKeySequence& keys,
                    const QString& toolTip);
    void refreshIcons();
    void openDialog();
    void openFolderDialog();
    void saveSnapshotOf(OpenRun* run);
    void stopRun(const QString& path);
    /// Asks first: what the job did since its last checkpoint goes.
    void endRun(const QString& path);
    void resumeRun(const QString& path);
    void copyJob(const QString& path);
    void refreshActions();
    void showAbout();
    // main_window_figures.cpp
    /// Layers, experts, modules and task, and the step unless it follows a live run.
    [[nodiscard]] QJsonObject selected() const;
    void select(const QJsonObject& selected);
    void setExport(const views::ExportOptions& options);
    void sayNothingShown(const views::View* view);
    /// An empty key means the view's current panel, here and below.
    void exportDialog(views::View* view, const QString& key);
    void copyFigure(const views::View* view, const QString& key);
    void copyData(const views::View* view, const QString& key);
    // main_window_session.cpp
    /// Of the window: from here on two views stand side by side at first.
    static constexpr int sideBySideWidth = 1600;
    void restoreSession();
    void saveSession();
    /// Where the settings keep what belongs to the folder of runs that the window looks at.
    [[nodiscard]] QString projectGroup() const;
    void restoreLayout();
    void saveLayout() const;
    /// At once when it changes: a window that is killed has no time to.
    void saveRuns();
    /// All in one place or the first beside the others.
    void arrangeViews(bool sideBySide);

    Options m_options;
    views::Selection* m_selection;
    EngineLink* m_engine = nullptr;
    RunListModel* m_runs = nullptr;
    std::vector<OpenRun*> m_open;
    OpenRun* m_current = nullptr;

    QStackedWidget* m_pages = nullptr;
    QMainWindow* m_dockArea = nullptr;
    std::vector<views::View*> m_views;
    QHash<QString, QDockWidget*> m_docks;
    StepBar* m_stepBar = nullptr;
    JobEditor* m_editor = nullptr;
    RunPanel* m_runPanel = nullptr;
    SelectionPanel* m_selectionPanel = nullptr;
    QDockWidget* m_runDock = nullptr;
    QDockWidget* m_selectionDock = nullptr;
    bool m_selectionPanelWanted = true;
    CommandPalette* m_palette = nullptr;
    MessageStrip* m_strip = nullptr;
    QLabel* m_status = nullptr;
    QString m_statusText;  ///< of the run
    QTimer m_messageTimer; ///< while a message stands in its place
    QToolButton* m_warnings = nullptr;
    QLabel* m_engineState = nullptr;
    QToolButton* m_startButton = nullptr;

    std::vector<std::pair<QAction*, QString>> m_iconActions;
    QAction* m_newRun = nullptr;
    QAction* m_openAction = nullptr;
    QAction* m_save = nullptr;
    QAction* m_stop = nullptr;
    QAction* m_end = nullptr;
    QAction* m_resume = nullptr;
    QAction* m_again = nullptr;
    QAction* m_startEngine = nullptr;
    QAction* m_closeRun = nullptr;
    QAction* m_undo = nullptr;
    QAction* m_redo = nullptr;
    QActionGroup* m_presets = nullptr;
    QAction* m_transparent = nullptr;
    QActionGroup* m_styles = nullptr;
    views::ExportOptions m_export;
    StyleChoice m_style = StyleChoice::System;
    QString m_lastView;
    bool m_placed = false;         ///< the views stand where the session or the first show put them
    bool m_focusByPointer = false; ///< the control that has the focus was clicked, not come to by key
    QTimer m_listTimer;            ///< gathers changes of the run list
};

} // namespace rankscope::workbench

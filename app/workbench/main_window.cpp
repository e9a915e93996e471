// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/main_window.h"

#include "app/workbench/command_palette.h"
#include "app/workbench/engine_link.h"
#include "app/workbench/icons.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/message_strip.h"
#include "app/workbench/open_run.h"
#include "app/workbench/run_panel.h"
#include "app/workbench/selection_panel.h"
#include "app/workbench/step_bar.h"
#include "core/base/paths.h"
#include "views/base/view.h"
#include "views/effective_rank/rank_view.h"
#include "views/inside/inside_view.h"
#include "views/mpo/mpo_view.h"
#include "views/routing/routing_view.h"
#include "views/training/training_view.h"

#include <QLabel>
#include <QScreen>
#include <QScrollArea>
#include <QStackedWidget>
#include <QStatusBar>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>

namespace rankscope::workbench
{

namespace
{
constexpr int messageTime = 8000; ///< ms that a message takes the place of the run's status
} // namespace

MainWindow::MainWindow(const Options& options, QWidget* parent)
    : QMainWindow(parent),
      m_options(options),
      m_selection(new views::Selection(this)),
      m_runs(new RunListModel(this))
{
    setWindowTitle(QStringLiteral("Rankscope"));
    setWindowIcon(programIcon());
    setAcceptDrops(true);
    setDockOptions(AnimatedDocks | AllowNestedDocks | AllowTabbedDocks);
    m_engine = new EngineLink(options.socket, options.runsFolder, options.engineProgram, this);
    makeViews();
    makePanels();
    makeStatus();
    m_palette = new CommandPalette(this);
    makeActions();
    connectRuns();
    const int title = style()->pixelMetric(QStyle::PM_TitleBarHeight);
    const QSize room = screen()->availableSize() - QSize(0, title); // the frame is known once it is shown
    resize(QSize(1440, 900).expandedTo(room * 0.8).boundedTo(room));
    arrangeViews(false); // two side by side could not be made narrow before the window is shown
    if (options.session)
        restoreSession();
    if (options.engine)
        m_engine->start(); // it lists the runs there are
    refreshActions();
    refreshStatus();
}

MainWindow::~MainWindow()
{
    // The docks tell of their hiding while the window goes: nobody listens any more. The views go before the
    // runs they show.
    for (QDockWidget* dock : std::as_const(m_docks))
        dock->disconnect(this);
    delete m_pages;
}

void MainWindow::makeViews()
{
    auto* middle = new QWidget(this);
    auto* rows = new QVBoxLayout(middle);
    rows->setContentsMargins(0, 0, 0, 0);
    rows->setSpacing(0);
    m_strip = new MessageStrip(middle);
    m_pages = new QStackedWidget(middle);
    rows->addWidget(m_strip);
    rows->addWidget(m_pages, 1);
    auto* centre = new QWidget(m_pages);
    auto* column = new QVBoxLayout(centre);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    m_dockArea = new QMainWindow(centre);
    m_dockArea->setWindowFlags(Qt::Widget); // the constructor makes every main window a window of its own
    m_dockArea->setDockOptions(AnimatedDocks | AllowNestedDocks | AllowTabbedDocks | GroupedDragging);
    m_dockArea->setTabPosition(Qt::AllDockWidgetAreas, QTabWidget::North);
    m_dockArea->setDocumentMode(true);
    m_views = {new views::TrainingView(m_selection), new views::RankView(m_selection),
               new views::RoutingView(m_selection), new views::MpoView(m_selection),
               new views::InsideView(m_selection)};
    for (views::View* view : m_views) {
        auto* dock = new QDockWidget(view->title(), m_dockArea);
        dock->setObjectName(QStringLiteral("view-") + view->key());
        dock->setWidget(view);
        dock->setFeatures(QDockWidget::DockWidgetMovable | QDockWidget::DockWidgetFloatable |
                          QDockWidget::DockWidgetClosable);
        m_docks.insert(view->key(), dock);
        connect(dock, &QDockWidget::visibilityChanged, this, [this, view](bool visible) {
            view->setInFront(visible);
            if (visible) {
                m_lastView = view->key();
                if (m_selectionPanel != nullptr)
                    m_selectionPanel->setDefinition(view->definition());
            }
            updateTitleBars();
        });
        connect(dock, &QDockWidget::topLevelChanged, this, &MainWindow::updateTitleBars);
        connect(dock, &QDockWidget::dockLocationChanged, this, &MainWindow::updateTitleBars);
        connect(view, &views::View::newRunRequested, this, &MainWindow::showNewRun);
        connect(view, &views::View::openRequested, this, &MainWindow::openDialog);
        connect(view, &views::View::exportRequested, this,
                [this, view](const QString& key) { exportDialog(view, key); });
        connect(view, &views::View::copyFigureRequested, this,
                [this, view](const QString& key) { copyFigure(view, key); });
        connect(view, &views::View::copyDataRequested, this,
                [this, view](const QString& key) { copyData(view, key); });
        connect(view, &views::View::definitionChanged, this, [this, view] {
            if (view == currentView() && m_selectionPanel != nullptr)
                m_selectionPanel->setDefinition(view->definition());
        });
    }
    m_stepBar = new StepBar(m_selection, centre);
    column->addWidget(m_dockArea, 1);
    column->addWidget(m_stepBar);
    m_pages->addWidget(centre);
    m_editor = new JobEditor(m_engine, m_pages);
    m_pages->addWidget(m_editor);
    connect(m_editor, &JobEditor::closeRequested, this, [this] { m_pages->setCurrentIndex(0); });
    setCentralWidget(middle);
}

void MainWindow::makePanels()
{
    const auto dock = [this](const QString& title, const QString& name, QWidget* content,
                             Qt::DockWidgetArea area) {
        auto* widget = new QDockWidget(title, this);
        widget->setObjectName(name);
        widget->setWidget(content);
        widget->setTitleBarWidget(new QWidget(widget)); // the panel has its own headings
        widget->setFeatures(QDockWidget::DockWidgetClosable);
        widget->toggleViewAction()->setText(tr("%1 panel").arg(title));
        widget->toggleViewAction()->setToolTip(tr("Show or hide the panel %1").arg(title));
        addDockWidget(area, widget);
        return widget;
    };
    m_runPanel = new RunPanel(m_runs, this);
    m_selectionPanel = new SelectionPanel(m_selection, this);
    auto* scroll = new QScrollArea(this);
    scroll->setWidget(m_selectionPanel);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    scroll->setMinimumWidth(200);
    m_runDock = dock(tr("Runs"), QStringLiteral("panel-runs"), m_runPanel, Qt::LeftDockWidgetArea);
    m_selectionDock =
        dock(tr("Selection"), QStringLiteral("panel-selection"), scroll, Qt::RightDockWidgetArea);
    resizeDocks({m_runDock, m_selectionDock}, {240, 232}, Qt::Horizontal);
    // Beside the page for new runs there is nothing to select; afterwards it is as the user left it.
    connect(m_pages, &QStackedWidget::currentChanged, this, &MainWindow::showSelectionPanel);
    connect(m_selectionDock->toggleViewAction(), &QAction::triggered, this,
            [this](bool shown) { m_selectionPanelWanted = shown; });
}

void MainWindow::showSelectionPanel()
{
    const bool viewing = m_pages->currentIndex() == 0;
    m_selectionDock->toggleViewAction()->setEnabled(viewing);
    m_selectionDock->setVisible(viewing && m_selectionPanelWanted);
}

void MainWindow::makeStatus()
{
    m_status = new QLabel(this);
    m_status->setContentsMargins(8, 0, 0, 0);
    m_status->setAccessibleName(tr("Run status"));
    m_status->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred); // a long message widens no window
    m_messageTimer.setSingleShot(true);
    m_messageTimer.setInterval(messageTime);
    connect(&m_messageTimer, &QTimer::timeout, this, [this] { m_status->setText(m_statusText); });
    m_warnings = new QToolButton(this);
    m_warnings->setAutoRaise(true);
    m_warnings->setPopupMode(QToolButton::InstantPopup);
    m_warnings->setToolTip(tr("What the run wanted to be known"));
    m_warnings->setMenu(new QMenu(m_warnings));
    m_warnings->menu()->setToolTipsVisible(true);
    connect(m_warnings->menu(), &QMenu::aboutToShow, this, &MainWindow::fillWarnings);
    m_startButton = new QToolButton(this);
    m_startButton->setAutoRaise(true);
    m_engineState = new QLabel(this);
    m_engineState->setContentsMargins(4, 0, 8, 0);
    statusBar()->addWidget(m_status, 1);
    statusBar()->addPermanentWidget(m_warnings);
    statusBar()->addPermanentWidget(m_engineState);
    statusBar()->addPermanentWidget(m_startButton);
    statusBar()->setSizeGripEnabled(false);
}

void MainWindow::updateTitleBars()
{
    // A tab is heading enough; a view that stands alone or floats gets its title bar, to be dragged by.
    for (QDockWidget* dock : std::as_const(m_docks)) {
        const bool tabbed = !dock->isFloating() && !m_dockArea->tabifiedDockWidgets(dock).isEmpty();
        const bool hidden = dock->titleBarWidget() != nullptr;
        if (tabbed == hidden)
            continue;
        QWidget* old = dock->titleBarWidget();
        dock->setTitleBarWidget(tabbed ? new QWidget(dock) : nullptr);
        delete old;
    }
}

views::View* MainWindow::view(const QString& key) const
{
    for (views::View* view : m_views)
        if (view->key() == key)
            return view;
    return nullptr;
}

views::View* MainWindow::currentView() const
{
    // A view that was torn off has the focus in a window of its own.
    const QWidget* focused = QApplication::focusWidget();
    for (views::View* view : m_views)
        if (view->isShown() && view->isAncestorOf(focused))
            return view;
    return view(m_lastView);
}

void MainWindow::showView(const QString& key)
{
    QDockWidget* dock = m_docks.value(key);
    if (dock == nullptr)
        return;
    m_pages->setCurrentIndex(0);
    dock->show();
    dock->raise();
    m_lastView = key;
    if (views::View* shown = view(key)) {
        m_selectionPanel->setDefinition(shown->definition());
        if (!shown->isAncestorOf(focusWidget()))
            shown->setFocus(Qt::OtherFocusReason);
    }
}

void MainWindow::showNewRun()
{
    m_pages->setCurrentWidget(m_editor);
    m_editor->start();
}

void MainWindow::say(const QString& message)
{
    m_status->setText(message);
    m_messageTimer.start();
}

void MainWindow::complain(const QString& message)
{
    m_strip->add(message);
    m_messageTimer.stop(); // what was said to happen did not
    m_status->setText(m_statusText);
}

void MainWindow::showStatus(const QString& text)
{
    m_statusText = text;
    if (!m_messageTimer.isActive())
        m_status->setText(text);
}

} // namespace rankscope::workbench

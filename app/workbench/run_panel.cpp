// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/run_panel.h"

#include "app/workbench/icons.h"
#include "app/workbench/style.h"

#include <QApplication>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QListWidget>
#include <QMenu>
#include <QSortFilterProxyModel>
#include <QThread>
#include <QVBoxLayout>

namespace rankscope::workbench
{

namespace
{

constexpr int listIndent = 8; ///< with the room that an item has before its icon, as far as the headings

QLabel* hint(const QString& text, QWidget* parent)
{
    auto* label = new QLabel(text, parent);
    label->setProperty("role", "muted");
    label->setWordWrap(true);
    return label;
}

} // namespace

RunPanel::RunPanel(RunListModel* runs, QWidget* parent)
    : QWidget(parent),
      m_runs(runs),
      m_filtered(new QSortFilterProxyModel(this)),
      m_filter(new QLineEdit(this)),
      m_list(new QListView(this)),
      m_noRuns(hint(tr("None yet. New run (Ctrl+N) starts one."), this)),
      m_adapters(new QListWidget(this)),
      m_noAdapters(hint(tr("Snapshots (.h5) opened from disk are listed here."), this)),
      m_machines(new QListWidget(this))
{
    m_filtered->setSourceModel(runs);
    m_filtered->setFilterCaseSensitivity(Qt::CaseInsensitive);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 12, 0, 8);
    column->setSpacing(4);
    auto* head = new QHBoxLayout;
    head->setContentsMargins(12, 0, 8, 0);
    head->addWidget(sectionHeading(tr("Runs"), this));
    head->addWidget(m_filter, 1);
    column->addLayout(head);
    m_filter->setPlaceholderText(tr("filter"));
    m_filter->setClearButtonEnabled(true);
    m_filter->setAccessibleName(tr("Filter the runs"));
    m_filter->setToolTip(tr("Shows only runs whose name contains this"));
    m_list->setModel(m_filtered);
    m_list->setItemDelegate(new RunDelegate(m_list));
    m_list->setMouseTracking(true);
    m_list->setAccessibleName(tr("Runs"));
    m_list->setContextMenuPolicy(Qt::CustomContextMenu);
    const auto indented = [column](QWidget* widget, int left = 12) {
        auto* row = new QHBoxLayout;
        row->setContentsMargins(left, 2, 8, 2);
        row->addWidget(widget);
        column->addLayout(row);
    };
    indented(m_noRuns);
    column->addWidget(m_list, 1);
    column->addSpacing(8);
    indented(sectionHeading(tr("Adapters and snapshots"), this));
    m_adapters->setAccessibleName(tr("Adapters and snapshots"));
    m_adapters->setContextMenuPolicy(Qt::CustomContextMenu);
    indented(m_adapters, listIndent);
    indented(m_noAdapters);
    column->addSpacing(8);
    indented(sectionHeading(tr("Machines"), this));
    m_machines->setAccessibleName(tr("Machines"));
    indented(m_machines, listIndent);
    for (QListView* list :
         {m_list, static_cast<QListView*>(m_adapters), static_cast<QListView*>(m_machines)}) {
        list->setFrameShape(QFrame::NoFrame);
        list->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
        list->viewport()->setAutoFillBackground(false);
    }
    m_machines->addItem(QString());
    setMachineState(tr("engine: not running"), false);

    connect(m_filter, &QLineEdit::textChanged, m_filtered, &QSortFilterProxyModel::setFilterFixedString);
    const auto activate = [this](const QModelIndex& index) {
        Q_EMIT runActivated(index.data(RunListModel::PathRole).toString());
    };
    connect(m_list, &QListView::clicked, this, activate);
    connect(m_list, &QListView::activated, this, activate);
    connect(m_list, &QListView::customContextMenuRequested, this, &RunPanel::menuAt);
    const auto openAdapter = [this](QListWidgetItem* item) {
        Q_EMIT runActivated(item->data(Qt::UserRole).toString());
    };
    connect(m_adapters, &QListWidget::itemClicked, this, openAdapter);
    connect(m_adapters, &QListWidget::itemActivated, this, openAdapter);
    connect(m_adapters, &QListWidget::customContextMenuRequested, this, [this](const QPoint& place) {
        const QListWidgetItem* item = m_adapters->itemAt(place);
        if (item == nullptr)
            return;
        const QString path = item->data(Qt::UserRole).toString();
        auto* menu = new QMenu(this);
        menu->setAttribute(Qt::WA_DeleteOnClose);
        menu->addAction(tr("Close %1").arg(item->text()), this,
                        [this, path] { Q_EMIT closeRequested(path); });
        menu->popup(m_adapters->viewport()->mapToGlobal(place));
    });
    for (const auto signal : {&QAbstractItemModel::rowsInserted, &QAbstractItemModel::rowsRemoved})
        connect(m_filtered, signal, this, &RunPanel::fitLists);
    connect(m_filtered, &QAbstractItemModel::modelReset, this, &RunPanel::fitLists);
    setAdapters({}, {});
    refreshIcons();
    fitLists();
}

void RunPanel::refreshIcons()
{
    for (QListView* list :
         {m_list, static_cast<QListView*>(m_adapters), static_cast<QListView*>(m_machines)}) {
        QPalette palette = tintedSelection();
        palette.setColor(QPalette::Base, Qt::transparent); // the panel's own ground shows through
        list->setPalette(palette);
        list->setIconSize(QSize(16, 16));
    }
    for (int i = 0; i < m_adapters->count(); ++i)
        m_adapters->item(i)->setIcon(icon(QStringLiteral("adapter")));
    m_machines->item(0)->setIcon(icon(QStringLiteral("machine")));
}

void RunPanel::fitLists()
{
    m_noRuns->setVisible(m_runs->rowCount() == 0);
    const int line = fontMetrics().height() + 8;
    m_adapters->setVisible(m_adapters->count() > 0);
    m_adapters->setFixedHeight(std::clamp(m_adapters->count(), 1, 6) * line + 4);
    m_machines->setFixedHeight(line + 4);
}

void RunPanel::setAdapters(const std::vector<Adapter>& adapters, const QString& current)
{
    m_adapters->clear();
    for (const Adapter& adapter : adapters) {
        auto* item = new QListWidgetItem(icon(QStringLiteral("adapter")), adapter.name, m_adapters);
        item->setToolTip(adapter.path);
        item->setData(Qt::UserRole, adapter.path);
        if (adapter.path == current)
            m_adapters->setCurrentItem(item);
    }
    m_noAdapters->setVisible(adapters.empty());
    fitLists();
}

void RunPanel::setMachineState(const QString& text, bool running)
{
    QListWidgetItem* item = m_machines->item(0);
    item->setText(tr("this one, %1 cores").arg(QThread::idealThreadCount()));
    item->setToolTip(text + (running ? QString() : tr("\nRun > Start engine starts it")));
}

void RunPanel::focusFilter()
{
    m_filter->setFocus(Qt::ShortcutFocusReason);
    m_filter->selectAll();
}

void RunPanel::menuAt(const QPoint& place)
{
    const QModelIndex index = m_list->indexAt(place);
    if (!index.isValid())
        return;
    const auto row = index.data(RunListModel::RowRole).value<RunRow>();
    const QString path = row.path;
    auto* menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    menu->addAction(tr("Show"), this, [this, path] { Q_EMIT runActivated(path); });
    auto* stop = menu->addAction(icon(QStringLiteral("stop")), tr("Stop after this step"), this,
                                 [this, path] { Q_EMIT stopRequested(path); });
    stop->setEnabled(!row.id.isEmpty() &&
                     (row.state == QLatin1String("running") || row.state == QLatin1String("queued")));
    if (row.state == QLatin1String("stopping") && !row.id.isEmpty())
        menu->addAction(tr("End now"), this, [this, path] { Q_EMIT endRequested(path); });
    auto* resume = menu->addAction(icon(QStringLiteral("resume")), tr("Resume"), this,
                                   [this, path] { Q_EMIT resumeRequested(path); });
    resume->setEnabled(!row.id.isEmpty() &&
                       (row.state == QLatin1String("stopped") || row.state == QLatin1String("failed") ||
                        row.state == QLatin1String("lost")));
    menu->addSeparator();
    auto* save = menu->addAction(icon(QStringLiteral("save")), tr("Save snapshot…"), this,
                                 [this, path] { Q_EMIT saveRequested(path); });
    save->setEnabled(row.open);
    menu->addAction(tr("New run from this one"), this, [this, path] { Q_EMIT copyJobRequested(path); });
    auto* close = menu->addAction(tr("Close"), this, [this, path] { Q_EMIT closeRequested(path); });
    close->setEnabled(row.open);
    menu->popup(m_list->viewport()->mapToGlobal(place));
}

} // namespace rankscope::workbench

// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/base/view.h"

#include "views/base/empty_state.h"
#include "views/base/pointed.h"
#include "views/plot/bar_plot.h"
#include "views/plot/curve_chart.h"
#include "views/plot/heat_map_widget.h"
#include "views/plot/measure_access.h"

#include <QAbstractScrollArea>
#include <QClipboard>
#include <QEvent>
#include <QFocusEvent>
#include <QGuiApplication>
#include <QKeyEvent>
#include <QMenu>
#include <QSplitter>
#include <QStackedLayout>
#include <QTableWidget>

#include <algorithm>
#include <functional>

namespace rankscope::views
{

View::View(Selection* selection, QWidget* parent)
    : QWidget(parent),
      m_selection(selection),
      m_stack(new QStackedLayout(this)),
      m_empty(new EmptyState(this))
{
    m_stack->addWidget(m_empty);
    connect(m_empty, &EmptyState::newRunRequested, this, &View::newRunRequested);
    connect(m_empty, &EmptyState::openRequested, this, &View::openRequested);
    connect(selection, &Selection::changed, this, [this] {
        if (hasData())
            selectionChanged();
    });
    connect(selection, &Selection::stepChanged, this, [this] {
        if (!hasData())
            return;
        if (isShown())
            stepChanged();
        else
            m_stale = true;
    });
}

void View::setContent(QWidget* content)
{
    m_stack->addWidget(content);
}

void View::setEmptyText(const QString& title, const QString& text)
{
    m_emptyTitle = title;
    m_emptyText = text;
    showContentOrEmpty();
}

std::size_t View::structure() const
{
    // Names and sizes of the measures: when they change, plots must be made anew instead of appended to.
    std::size_t value = 0;
    if (m_run != nullptr)
        for (const auto& [name, measure] : m_run->measures())
            value = value * 1000003U + std::hash<std::string>()(name) + measure.info().size();
    return value;
}

void View::limitSelection()
{
    if (m_run == nullptr || m_run->measures().empty())
        return; // a run that is being read says nothing yet
    const auto& about = m_run->description;
    Selectable known;
    known.layers = static_cast<int>(about.layers);
    for (const std::string& module : about.modules)
        known.modules << QString::fromStdString(module);
    for (const std::string& task : about.tasks)
        known.tasks << QString::fromStdString(task);
    for (const auto& [name, measure] : m_run->measures()) {
        known.layers = std::max(known.layers, static_cast<int>(axisLabels(&measure, "layer").size()));
        known.experts = std::max(known.experts, static_cast<int>(axisLabels(&measure, "expert").size()));
        known.modules << axisLabels(&measure, "module");
        known.tasks << axisLabels(&measure, "task");
    }
    known.modules.removeDuplicates();
    known.tasks.removeDuplicates();
    m_selection->setSelectable(known);
}

void View::showContentOrEmpty()
{
    if (m_run != nullptr && hasData()) {
        m_stack->setCurrentIndex(1);
        return;
    }
    // A run that goes on fills the view by itself. One that is over and has other things has nothing of this.
    m_empty->setActionsShown(m_run == nullptr || m_over);
    const bool hasOther = m_over && m_run != nullptr && !m_run->measures().empty();
    const QString notice = hasOther ? tr("This run has nothing of the kind") : m_notice;
    m_empty->setText(m_emptyTitle,
                     notice.isEmpty() ? m_emptyText : notice + QStringLiteral("\n\n") + m_emptyText);
    m_stack->setCurrentIndex(0);
}

void View::setNotice(const QString& text, bool over)
{
    if (text == m_notice && over == m_over)
        return;
    m_notice = text;
    m_over = over;
    showContentOrEmpty();
}

void View::setRun(const record::RunRecord* run)
{
    const bool other = run != m_run;
    m_run = run;
    m_structure = structure();
    m_stale = m_staleAll = false;
    limitSelection();
    rebuild();
    if (other)
        fit(); // a part of one run's steps is nothing to another
    showContentOrEmpty();
    Q_EMIT definitionChanged();
}

void View::recordGrew(bool rewound)
{
    if (m_run == nullptr)
        return;
    const std::size_t now = structure();
    m_staleAll = m_staleAll || rewound || now != m_structure;
    if (now != m_structure)
        limitSelection();
    m_structure = now;
    m_stale = true;
    // A hidden view does no work: it catches up when it is shown.
    if (isShown())
        catchUp();
}

void View::setInFront(bool inFront)
{
    if (m_inFront && !inFront)
        m_selection->setHover({}); // what was under the cursor is behind another view now
    m_inFront = inFront;
    if (isShown())
        catchUp();
}

void View::showEvent(QShowEvent* event)
{
    QWidget::showEvent(event);
    if (isShown())
        catchUp();
}

void View::catchUp()
{
    if (m_staleAll) {
        rebuild();
        Q_EMIT definitionChanged();
    } else if (m_stale && hasData()) {
        append();
        stepChanged();
    }
    if (m_stale || m_staleAll)
        showContentOrEmpty();
    m_stale = m_staleAll = false;
}

QJsonObject View::zooms() const
{
    QJsonObject zooms;
    for (const CurveChart* chart : findChildren<CurveChart*>())
        if (const auto zoom = chart->zoom())
            zooms.insert(chart->property("figure").toString(), QJsonArray{zoom->first, zoom->second});
    return zooms;
}

void View::setZooms(const QJsonObject& zooms)
{
    for (CurveChart* chart : findChildren<CurveChart*>()) {
        const QJsonArray range = zooms.value(chart->property("figure").toString()).toArray();
        if (range.size() == 2)
            chart->setZoom({range[0].toDouble(), range[1].toDouble()});
        else
            chart->fit();
    }
}

QJsonArray View::splits() const
{
    QJsonArray splits; // in the order in which the view makes them
    for (const QSplitter* splitter : findChildren<QSplitter*>())
        splits.append(QString::fromLatin1(splitter->saveState().toBase64()));
    return splits;
}

void View::setSplits(const QJsonArray& splits)
{
    const auto splitters = findChildren<QSplitter*>();
    if (splitters.size() != splits.size())
        return; // of another version's view
    for (qsizetype i = 0; i < splits.size(); ++i)
        splitters[i]->restoreState(QByteArray::fromBase64(splits[i].toString().toLatin1()));
}

QString View::currentFigure() const
{
    const auto all = figures();
    for (const Figure& figure : all)
        if (figure.key == m_current)
            return m_current;
    return all.empty() ? QString() : all.front().key;
}

void View::addPanel(QWidget* panel, const QString& key)
{
    panel->setProperty("figure", key);
    panel->installEventFilter(this);
    panel->setContextMenuPolicy(Qt::CustomContextMenu);
    if (focusProxy() == nullptr && panel->focusPolicy() != Qt::NoFocus)
        setFocusProxy(panel); // keys reach the view when it is shown
    connect(panel, &QWidget::customContextMenuRequested, this,
            [this, panel](const QPoint& place) { panelMenu(panel, place); });
    connectClicks(panel);
}

void View::connectClicks(QWidget* panel)
{
    if (const auto* map = qobject_cast<HeatMapWidget*>(panel)) {
        connect(map, &HeatMapWidget::hovered, m_selection, &Selection::setHover);
        connect(map, &HeatMapWidget::cellsChosen, this,
                [this, map](int row0, int row1, int column0, int column1, Qt::KeyboardModifiers modifiers) {
                    m_selection->choose(cellsOf(map->map(), row0, row1, column0, column1), modifiers);
                });
    }
    if (const auto* chart = qobject_cast<CurveChart*>(panel)) {
        connect(chart, &CurveChart::hovered, m_selection, &Selection::setHover);
        connect(chart, &CurveChart::keyClicked, this,
                [this, chart](int key, Qt::KeyboardModifiers modifiers) {
                    m_clickChanged = m_selection->choose(curveOf(*chart->plot(), key), modifiers);
                });
        connect(chart, &CurveChart::clickTakenBack, this, [this] {
            if (m_clickChanged)
                m_selection->takeBack();
        });
    }
    if (auto* table = qobject_cast<QTableWidget*>(panel)) {
        connect(table, &QTableWidget::cellClicked, this, [this, table](int row) {
            m_selection->choose(rowOf(*table, row), QGuiApplication::keyboardModifiers());
        });
        connect(table, &QTableWidget::cellActivated, this,
                [this, table](int row) { m_selection->choose(rowOf(*table, row), {}); });
    }
    if (const auto* bars = qobject_cast<BarWidget*>(panel)) {
        connect(bars, &BarWidget::hovered, m_selection, &Selection::setHover);
        connect(bars, &BarWidget::groupChosen, this,
                [this, bars](int group, Qt::KeyboardModifiers modifiers) {
                    m_selection->choose(groupOf(bars->plot(), group), modifiers);
                });
    }
}

void View::panelMenu(QWidget* panel, const QPoint& place)
{
    const QString key = panel->property("figure").toString();
    m_current = key;
    auto* menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    addSelecting(*menu, pointedAt(panel, place));
    if (const auto step = stepAt(panel, place))
        menu->addAction(tr("Show step %1").arg(*step), m_selection,
                        [this, step] { m_selection->setStep(*step); });
    if (!menu->isEmpty())
        menu->addSeparator();
    if (const auto* table = qobject_cast<const QTableWidget*>(panel);
        table != nullptr && !selectedCells(*table).isEmpty())
        menu->addAction(tr("Copy selected cells (Ctrl+C)"), this,
                        [cells = selectedCells(*table)] { QGuiApplication::clipboard()->setText(cells); });
    if (const QString value = valueAt(panel, place); !value.isEmpty()) {
        menu->addAction(tr("Copy value %1").arg(value), this,
                        [value] { QGuiApplication::clipboard()->setText(value); });
        if (const QString row = rowAt(panel, place); !row.isEmpty())
            menu->addAction(tr("Copy row"), this, [row] { QGuiApplication::clipboard()->setText(row); });
        menu->addSeparator();
    }
    menu->addAction(tr("Export figure…"), this, [this, key] { Q_EMIT exportRequested(key); });
    menu->addAction(tr("Copy figure"), this, [this, key] { Q_EMIT copyFigureRequested(key); });
    menu->addAction(tr("Copy data"), this, [this, key] { Q_EMIT copyDataRequested(key); });
    menu->addSeparator();
    menu->addAction(tr("Show all (F)"), this, [this] { fit(); });
    if (!m_selection->state().empty())
        menu->addAction(tr("Clear the selection (Esc)"), m_selection, &Selection::clear);
    const auto* scrolled = qobject_cast<const QAbstractScrollArea*>(panel); // tells of places in its viewport
    menu->popup((scrolled != nullptr ? scrolled->viewport() : panel)->mapToGlobal(place));
}

void View::addSelecting(QMenu& menu, const SelectionState& pointed)
{
    const auto add = [&](const QString& text, const SelectionState& places, Qt::KeyboardModifiers modifiers) {
        menu.addAction(text.arg(formatPlaces(places)), m_selection,
                       [this, places, modifiers] { m_selection->choose(places, modifiers); });
    };
    const auto parts = pointed.parts();
    for (const SelectionState& part : parts) // of a cell: its row or its column
        add(tr("Select %1"), part, {});
    if (parts.size() > 1)
        add(tr("Select %1"), pointed, {});
    if (parts.empty() || m_selection->state().empty())
        return;
    add(m_selection->state().contains(pointed) ? tr("Take %1 out of the selection")
                                               : tr("Add %1 to the selection"),
        pointed, Qt::ControlModifier);
}

bool View::eventFilter(QObject* watched, QEvent* event)
{
    // Focus that came because the view was shown is no touch of the user's.
    const bool focused = event->type() == QEvent::FocusIn &&
                         static_cast<QFocusEvent*>(event)->reason() != Qt::OtherFocusReason;
    if (event->type() == QEvent::Enter || focused)
        m_current = watched->property("figure").toString();
    if (const auto* table = qobject_cast<const QTableWidget*>(watched); // by itself it copies one cell
        table != nullptr && event->type() == QEvent::KeyPress &&
        static_cast<QKeyEvent*>(event)->matches(QKeySequence::Copy)) {
        QGuiApplication::clipboard()->setText(selectedCells(*table));
        return true;
    }
    return QWidget::eventFilter(watched, event);
}

std::optional<double> View::stepMarker() const
{
    return m_selection->live() ? std::nullopt
                               : std::optional<double>(static_cast<double>(m_selection->step()));
}

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/base/view.h"

#include "views/base/empty_state.h"
#include "views/plot/curve_chart.h"

#include <QEvent>
#include <QMenu>
#include <QStackedLayout>

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
        if (isVisible())
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

void View::showContentOrEmpty()
{
    if (m_run != nullptr && hasData()) {
        m_stack->setCurrentIndex(1);
        return;
    }
    m_empty->setActionsShown(m_run == nullptr);
    m_empty->setText(m_emptyTitle,
                     m_notice.isEmpty() ? m_emptyText : m_notice + QStringLiteral("\n\n") + m_emptyText);
    m_stack->setCurrentIndex(0);
}

void View::setNotice(const QString& text)
{
    if (text == m_notice)
        return;
    m_notice = text;
    showContentOrEmpty();
}

void View::setRun(const record::RunRecord* run)
{
    m_run = run;
    m_structure = structure();
    m_stale = m_staleAll = false;
    rebuild();
    showContentOrEmpty();
    Q_EMIT definitionChanged();
}

void View::recordGrew(bool rewound)
{
    if (m_run == nullptr)
        return;
    const std::size_t now = structure();
    m_staleAll = m_staleAll || rewound || now != m_structure;
    m_structure = now;
    m_stale = true;
    // A hidden view does no work: it catches up when it is shown.
    if (isVisible())
        catchUp();
}

void View::showEvent(QShowEvent* event)
{
    QWidget::showEvent(event);
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
    connect(panel, &QWidget::customContextMenuRequested, this,
            [this, panel](const QPoint& place) { panelMenu(panel, place); });
}

void View::panelMenu(QWidget* panel, const QPoint& place)
{
    const QString key = panel->property("figure").toString();
    m_current = key;
    auto* menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    menu->addAction(tr("Export figure…"), this, [this, key] { Q_EMIT exportRequested(key); });
    menu->addAction(tr("Copy figure"), this, [this, key] { Q_EMIT copyFigureRequested(key); });
    menu->addAction(tr("Copy data"), this, [this, key] { Q_EMIT copyDataRequested(key); });
    menu->addSeparator();
    menu->addAction(tr("Show all (F)"), this, [this] { fit(); });
    if (!m_selection->state().empty())
        menu->addAction(tr("Clear the selection (Esc)"), m_selection, &Selection::clear);
    menu->popup(panel->mapToGlobal(place));
}

bool View::eventFilter(QObject* watched, QEvent* event)
{
    if (event->type() == QEvent::Enter || event->type() == QEvent::FocusIn)
        m_current = watched->property("figure").toString();
    return QWidget::eventFilter(watched, event);
}

void View::connectLayerChart(CurveChart* chart)
{
    connect(chart, &CurveChart::keyClicked, this,
            [this](int key, Qt::KeyboardModifiers modifiers) { chooseLayers(key, key, modifiers); });
    connect(chart, &CurveChart::stepClicked, m_selection, &Selection::setStep);
    connect(chart, &CurveChart::hovered, m_selection, &Selection::setHover);
}

void View::chooseLayers(int first, int last, Qt::KeyboardModifiers modifiers)
{
    m_selection->setLayers(layersAfter(first, last, modifiers));
}

std::set<int> View::layersAfter(int first, int last, Qt::KeyboardModifiers modifiers) const
{
    std::set<int> layers;
    for (int layer = first; layer <= last; ++layer)
        layers.insert(layer);
    const std::set<int>& present = m_selection->layers();
    if (modifiers.testFlag(Qt::ShiftModifier) && !present.empty()) {
        for (int layer = std::min(*present.begin(), first); layer <= std::max(*present.rbegin(), last);
             ++layer)
            layers.insert(layer);
    } else if (modifiers.testFlag(Qt::ControlModifier)) {
        std::set<int> toggled = present;
        for (const int layer : layers)
            if (!toggled.erase(layer))
                toggled.insert(layer);
        layers = toggled;
    }
    return layers;
}

std::optional<double> View::stepMarker() const
{
    return m_selection->live() ? std::nullopt
                               : std::optional<double>(static_cast<double>(m_selection->step()));
}

void View::showReading(const QString& lines)
{
    m_selection->setHover(lines);
}

} // namespace rankscope::views

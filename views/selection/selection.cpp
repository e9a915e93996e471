// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/selection/selection.h"

#include <algorithm>
#include <utility>

namespace rankscope::views
{

namespace
{
constexpr std::size_t undoLimit = 200;

void forEachPart(auto& state, const SelectionState& other, auto visit)
{
    visit(state.layers, other.layers);
    visit(state.experts, other.experts);
    visit(state.modules, other.modules);
    visit(state.tasks, other.tasks);
}

void join(std::set<int>& chosen, const std::set<int>& more)
{
    chosen.insert(more.begin(), more.end());
}

void join(QStringList& chosen, const QStringList& more)
{
    chosen << more;
    chosen.removeDuplicates();
}

std::set<int> without(std::set<int> chosen, const std::set<int>& less)
{
    std::erase_if(chosen, [&less](int number) { return less.contains(number); });
    return chosen;
}

QStringList without(QStringList chosen, const QStringList& less)
{
    chosen.removeIf([&less](const QString& name) { return less.contains(name); });
    return chosen;
}

/// Adds what is pointed at and all that lies between.
void extend(std::set<int>& chosen, const std::set<int>& pointed)
{
    join(chosen, pointed);
    if (!pointed.empty())
        for (int number = *chosen.begin(); number < *chosen.rbegin(); ++number)
            chosen.insert(number);
}

/// The same of names, in the order that the run has them in.
void extend(QStringList& chosen, const QStringList& pointed, const QStringList& order)
{
    join(chosen, pointed);
    if (pointed.isEmpty() || !without(chosen, order).isEmpty())
        return; // the order does not know all of them
    std::set<int> places;
    for (const QString& name : std::as_const(chosen))
        places.insert(static_cast<int>(order.indexOf(name)));
    chosen = order.mid(*places.begin(), *places.rbegin() - *places.begin() + 1);
}

void toggle(SelectionState& state, const SelectionState& pointed)
{
    if (!state.contains(pointed)) {
        state.add(pointed);
        return;
    }
    // A cell is a row and a column: taking one cell of a row out takes out its column, not the row, which the
    // other cells are in too.
    bool leavesAny = false;
    forEachPart(state, pointed, [&leavesAny](const auto& chosen, const auto& part) {
        leavesAny = leavesAny || (!part.empty() && !without(chosen, part).empty());
    });
    forEachPart(state, pointed, [leavesAny](auto& chosen, const auto& part) {
        if (auto left = without(chosen, part); !left.empty() || !leavesAny)
            chosen = left;
    });
}

} // namespace

bool SelectionState::contains(const SelectionState& other) const
{
    bool all = true;
    forEachPart(*this, other,
                [&all](const auto& chosen, const auto& part) { all = all && without(part, chosen).empty(); });
    return all;
}

void SelectionState::add(const SelectionState& other)
{
    forEachPart(*this, other, [](auto& chosen, const auto& part) { join(chosen, part); });
}

std::vector<SelectionState> SelectionState::parts() const
{
    std::vector<SelectionState> all;
    for (const SelectionState& part :
         {SelectionState{layers, {}, {}, {}}, SelectionState{{}, experts, {}, {}},
          SelectionState{{}, {}, modules, {}}, SelectionState{{}, {}, {}, tasks}})
        if (!part.empty())
            all.push_back(part);
    return all;
}

QString formatPlaces(const SelectionState& places)
{
    QStringList names;
    const auto addNumbers = [&names](const QString& one, const QString& many, const std::set<int>& numbers) {
        if (!numbers.empty())
            names << (numbers.size() == 1 ? one : many) + QLatin1Char(' ') + formatNumberSet(numbers);
    };
    addNumbers(QStringLiteral("layer"), QStringLiteral("layers"), places.layers);
    addNumbers(QStringLiteral("expert"), QStringLiteral("experts"), places.experts);
    names << places.modules << places.tasks;
    return names.join(QStringLiteral(", "));
}

SelectionState placesOn(const QString& axis, const QStringList& labels)
{
    SelectionState places;
    if (axis == QLatin1String("module"))
        places.modules = labels;
    else if (axis == QLatin1String("task"))
        places.tasks = labels;
    else if (axis == QLatin1String("layer") || axis == QLatin1String("expert"))
        for (const QString& label : labels)
            (axis == QLatin1String("layer") ? places.layers : places.experts).insert(label.toInt());
    return places;
}

SelectionState Selectable::part(const SelectionState& state) const
{
    const auto below = [](std::set<int> numbers, int limit) {
        numbers.erase(numbers.lower_bound(limit), numbers.end());
        return numbers;
    };
    const auto among = [](QStringList names, const QStringList& known) {
        names.removeIf([&known](const QString& name) { return !known.contains(name); });
        return names;
    };
    return {below(state.layers, layers), below(state.experts, experts), among(state.modules, modules),
            among(state.tasks, tasks)};
}

Selection::Selection(QObject* parent) : QObject(parent) {}

void Selection::setSelectable(const std::optional<Selectable>& selectable)
{
    if (selectable == m_selectable)
        return;
    m_selectable = selectable;
    Q_EMIT selectableChanged();
    if (!selectable)
        return;
    for (auto* states : {&m_undo, &m_redo})
        for (SelectionState& state : *states)
            state = selectable->part(state);
    const SelectionState known = selectable->part(m_state);
    if (known == m_state)
        return;
    m_state = known;
    Q_EMIT changed();
}

void Selection::setState(const SelectionState& wanted)
{
    const SelectionState state = m_selectable ? m_selectable->part(wanted) : wanted;
    if (state == m_state)
        return;
    m_undo.push_back(m_state);
    if (m_undo.size() > undoLimit)
        m_undo.erase(m_undo.begin());
    m_redo.clear();
    m_state = state;
    Q_EMIT changed();
}

void Selection::setLayers(const std::set<int>& layers)
{
    SelectionState state = m_state;
    state.layers = layers;
    setState(state);
}

void Selection::setExperts(const std::set<int>& experts)
{
    SelectionState state = m_state;
    state.experts = experts;
    setState(state);
}

void Selection::setModules(const QStringList& modules)
{
    SelectionState state = m_state;
    state.modules = modules;
    setState(state);
}

void Selection::setTasks(const QStringList& tasks)
{
    SelectionState state = m_state;
    state.tasks = tasks;
    setState(state);
}

bool Selection::choose(const SelectionState& pointed, Qt::KeyboardModifiers modifiers)
{
    SelectionState state = m_state;
    if (modifiers.testFlag(Qt::ShiftModifier)) {
        const Selectable known = m_selectable.value_or(Selectable());
        extend(state.layers, pointed.layers);
        extend(state.experts, pointed.experts);
        extend(state.modules, pointed.modules, known.modules);
        extend(state.tasks, pointed.tasks, known.tasks);
    } else if (modifiers.testFlag(Qt::ControlModifier)) {
        toggle(state, pointed);
    } else {
        forEachPart(state, pointed, [](auto& chosen, const auto& part) {
            if (!part.empty())
                chosen = part;
        });
    }
    const SelectionState before = m_state;
    setState(state);
    return m_state != before;
}

void Selection::clear()
{
    setState({});
}

void Selection::undo()
{
    if (m_undo.empty())
        return;
    m_redo.push_back(m_state);
    m_state = m_undo.back();
    m_undo.pop_back();
    Q_EMIT changed();
}

void Selection::takeBack()
{
    if (!canUndo())
        return;
    undo();
    m_redo.pop_back();
}

void Selection::redo()
{
    if (m_redo.empty())
        return;
    m_undo.push_back(m_state);
    m_state = m_redo.back();
    m_redo.pop_back();
    Q_EMIT changed();
}

void Selection::setStep(std::int64_t step)
{
    setLive(false);
    step = std::clamp<std::int64_t>(step, 0, std::max<std::int64_t>(m_newest, 0));
    if (step == m_step)
        return;
    m_step = step;
    Q_EMIT stepChanged(m_step);
}

void Selection::setLive(bool live)
{
    if (live == m_live)
        return;
    m_live = live;
    Q_EMIT liveChanged(m_live);
    if (m_live && m_step != m_newest) {
        m_step = m_newest;
        Q_EMIT stepChanged(m_step);
    }
}

void Selection::setNewestStep(std::int64_t step)
{
    m_newest = step;
    const std::int64_t wanted = m_live ? m_newest : std::min(m_step, m_newest);
    if (wanted == m_step)
        return;
    m_step = wanted;
    Q_EMIT stepChanged(m_step);
}

void Selection::setHover(const QString& lines)
{
    if (lines == m_hover)
        return;
    m_hover = lines;
    Q_EMIT hoverChanged(m_hover);
}

QString formatNumberSet(const std::set<int>& numbers)
{
    QStringList parts;
    for (auto it = numbers.begin(); it != numbers.end();) {
        const int first = *it;
        int last = first;
        for (++it; it != numbers.end() && *it == last + 1; ++it)
            last = *it;
        parts << (first == last       ? QString::number(first)
                  : last == first + 1 ? QStringLiteral("%1, %2").arg(first).arg(last)
                                      : QStringLiteral("%1-%2").arg(first).arg(last));
    }
    return parts.join(QStringLiteral(", "));
}

std::set<int> parseNumberSet(const QString& text, int limit)
{
    std::set<int> numbers;
    for (const QString& part : text.split(QLatin1Char(','), Qt::SkipEmptyParts)) {
        const QStringList ends = part.split(QLatin1Char('-'));
        bool firstValid = false;
        bool lastValid = false;
        const int first = ends.value(0).trimmed().toInt(&firstValid);
        const int last = ends.value(ends.size() > 1 ? 1 : 0).trimmed().toInt(&lastValid);
        if (!firstValid || !lastValid || ends.size() > 2)
            continue;
        for (int number = std::max(first, 0); number <= std::min(last, limit - 1); ++number)
            numbers.insert(number);
    }
    return numbers;
}

} // namespace rankscope::views

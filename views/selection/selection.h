// SPDX-License-Identifier: GPL-3.0-or-later
// What the user is looking at: one object, written and read by every view.
#pragma once

#include <QObject>
#include <QString>
#include <QStringList>

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

namespace rankscope::views
{

/// The part of a selection that undo brings back. Empty sets mean "all".
struct SelectionState {
    std::set<int> layers;
    std::set<int> experts;
    QStringList modules; ///< the model's own names, in the order they were chosen
    QStringList tasks;   ///< their names, in the same order

    bool operator==(const SelectionState&) const = default;
    [[nodiscard]] bool empty() const
    {
        return layers.empty() && experts.empty() && modules.isEmpty() && tasks.isEmpty();
    }
    /// Whether all of the other's layers, experts, modules and tasks are in this one.
    [[nodiscard]] bool contains(const SelectionState& other) const;
    void add(const SelectionState& other);
    /// The layers, the experts, the modules and the tasks, each by itself, without those that are empty.
    [[nodiscard]] std::vector<SelectionState> parts() const;
};

/// "layers 3-5, gate_proj, expert 2, boolq"
QString formatPlaces(const SelectionState& places);

/// The places with these labels on an axis of a measure; nothing for axes that are not selected by.
SelectionState placesOn(const QString& axis, const QStringList& labels);

/// What a run has that can be selected.
struct Selectable {
    int layers = 0;
    int experts = 0;
    QStringList modules;
    QStringList tasks;

    bool operator==(const Selectable&) const = default;
    /// What of a selection the run has: its name for something that it has not would mean "all".
    [[nodiscard]] SelectionState part(const SelectionState& state) const;
};

class Selection : public QObject
{
    Q_OBJECT

public:
    explicit Selection(QObject* parent = nullptr);

    [[nodiscard]] const SelectionState& state() const { return m_state; }
    [[nodiscard]] const std::set<int>& layers() const { return m_state.layers; }
    [[nodiscard]] const std::set<int>& experts() const { return m_state.experts; }
    [[nodiscard]] const QStringList& modules() const { return m_state.modules; }
    [[nodiscard]] const QStringList& tasks() const { return m_state.tasks; }
    [[nodiscard]] std::int64_t step() const { return m_step; }
    /// True while the step follows the newest record.
    [[nodiscard]] bool live() const { return m_live; }
    [[nodiscard]] bool canUndo() const { return !m_undo.empty(); }
    [[nodiscard]] bool canRedo() const { return !m_redo.empty(); }
    [[nodiscard]] const QString& hover() const { return m_hover; }

    void setState(const SelectionState& state);
    void setLayers(const std::set<int>& layers);
    void setExperts(const std::set<int>& experts);
    void setModules(const QStringList& modules);
    void setTasks(const QStringList& tasks);
    /// What the user points at, as the modifiers want it: alone, added or, where all of it is chosen already,
    /// taken out (Ctrl), or with everything between it and what is chosen (Shift). Layers, experts, modules
    /// and tasks of which nothing is pointed at stay as they are. Whether that changed anything.
    bool choose(const SelectionState& pointed, Qt::KeyboardModifiers modifiers);
    void clear();
    void undo();
    void redo();
    /// Undoes a change that turned out not to be meant: nothing of it is left to be done again.
    void takeBack();

    /// Another run: drops what it does not have, from what can be undone too. Nothing: all may be selected.
    void setSelectable(const std::optional<Selectable>& selectable);
    [[nodiscard]] const std::optional<Selectable>& selectable() const { return m_selectable; }

    /// Shows a moment of the past; leaves live.
    void setStep(std::int64_t step);
    void setLive(bool live);
    /// The newest step of the record; the selected step follows it while live.
    void setNewestStep(std::int64_t step);
    /// The values under the cursor, as lines; not part of undo.
    void setHover(const QString& lines);

Q_SIGNALS:
    void changed();
    void selectableChanged();
    void stepChanged(qint64 step);
    void liveChanged(bool live);
    void hoverChanged(const QString& lines);

private:
    SelectionState m_state;
    std::optional<Selectable> m_selectable;
    std::vector<SelectionState> m_undo;
    std::vector<SelectionState> m_redo;
    std::int64_t m_step = 0;
    std::int64_t m_newest = 0;
    bool m_live = true;
    QString m_hover;
};

/// "8-15, 20": runs of consecutive numbers shortened.
QString formatNumberSet(const std::set<int>& numbers);
/// The reverse of formatNumberSet(); what is not a number or a range below `limit` is ignored.
std::set<int> parseNumberSet(const QString& text, int limit);

} // namespace rankscope::views

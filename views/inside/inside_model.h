// SPDX-License-Identifier: GPL-3.0-or-later
// Any measure of a run by its own axes: two of them as a map at a step, one of them as curves over steps.
#pragma once

#include "core/record/run_record.h"
#include "views/export/csv_table.h"
#include "views/plot/curve_feed.h"
#include "views/plot/curve_plot.h"
#include "views/plot/heat_map.h"
#include "views/plot/known_experts.h"
#include "views/plot/measure_access.h"
#include "views/selection/selection.h"

#include <QHash>
#include <QList>

namespace rankscope::views
{

/// Measures whose names share what stands before the slash.
struct MeasureGroup {
    QString title;     ///< "Effective rank"; the prefix itself where it is a family's own
    QStringList names; ///< "rank/entropy"
};

class InsideModel
{
public:
    static constexpr int mean = -1;  ///< of an axis: the mean over its measured values
    static constexpr int steps = -2; ///< as the map's axis across: the recorded steps

    /// Every measure of the run, a family's own groups first.
    [[nodiscard]] static std::vector<MeasureGroup> groups(const record::RunRecord* run);
    /// "Throughput (tokens/s)"
    [[nodiscard]] static QString titleOf(const record::MeasureInfo& info);

    void setRun(const record::RunRecord* run);
    /// Axes keep their roles and places where the new measure has them too.
    void setMeasure(const QString& name);
    /// Axes by their positions in axes().
    void setDown(int axis);
    void setAcross(int axis);
    void setCurveAxis(int axis);
    /// Where the panels that do not draw this axis look at it: an index, or the mean.
    void setPlace(int axis, int index);
    void setSelection(const SelectionState& selection);
    bool append();

    [[nodiscard]] bool hasData() const;
    [[nodiscard]] bool hasMap() const { return m_down >= 0; }
    [[nodiscard]] QString measure() const { return m_name; }
    [[nodiscard]] const record::MeasureInfo* info() const
    {
        return m_measure == nullptr ? nullptr : &m_measure->info();
    }
    [[nodiscard]] const QStringList& axes() const { return m_axes; }
    [[nodiscard]] QStringList labels(int axis) const { return m_labels.value(axis); }
    [[nodiscard]] int axis(const QString& name) const { return static_cast<int>(m_axes.indexOf(name)); }
    [[nodiscard]] int down() const { return m_down; }
    [[nodiscard]] int across() const { return m_across; }
    [[nodiscard]] int curveAxis() const { return m_curveAxis; }
    [[nodiscard]] int place(int axis) const;

    [[nodiscard]] const CurvePlot& curves() const { return m_curves; }
    /// `automatic`: the scale fits what is shown instead of all values of the run.
    [[nodiscard]] HeatMap map(std::int64_t step, bool automatic) const;
    /// One cell for the cursor: every axis, the step and the exact value.
    [[nodiscard]] QString reading(int row, int column, std::int64_t step) const;

    [[nodiscard]] CsvTable curveTable() const;
    [[nodiscard]] CsvTable mapTable(std::int64_t step) const;

private:
    void chooseAxes();
    void makeCurves();
    void applySelection();
    /// The selection's indices on an axis that it knows (layer, module, expert, task); empty where it knows
    /// none.
    [[nodiscard]] std::set<int> selectedOn(int axis) const;
    /// What the axes that a panel does not draw are at: ", down_proj, mean over experts".
    [[nodiscard]] QString placesText(int drawn, int alsoDrawn) const;
    /// "experts", "layers × experts": the axes that a panel's values are the mean over.
    [[nodiscard]] QString averagedAxes(int drawn, int alsoDrawn) const;
    /// Nothing where one expert of a module without experts is asked for.
    [[nodiscard]] std::vector<std::size_t> positions(int axis, int index, int otherAxis = -1,
                                                     int otherIndex = mean) const;
    [[nodiscard]] std::vector<std::size_t> shownRows(std::int64_t step) const;
    void fillSteps(HeatMap& map, std::int64_t step) const;

    const record::RunRecord* m_run = nullptr;
    const record::Measure* m_measure = nullptr;
    QString m_name;
    QStringList m_axes;          ///< of the measure
    QList<QStringList> m_labels; ///< of each
    int m_down = -1;             ///< -1: a scalar
    int m_across = steps;
    int m_curveAxis = -1;         ///< -1: a scalar
    QHash<QString, int> m_places; ///< by the axis's name
    SelectionState m_selection;
    CurvePlot m_curves;
    CurveFeed m_feed;
    RunningRange m_range;
    KnownExperts m_known;
};

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
// Effective rank of the update: curves by layer over steps, and layers x modules at a step.
#pragma once

#include "core/record/run_record.h"
#include "views/export/csv_table.h"
#include "views/plot/curve_feed.h"
#include "views/plot/curve_plot.h"
#include "views/plot/heat_map.h"
#include "views/plot/known_experts.h"
#include "views/plot/measure_access.h"
#include "views/selection/selection.h"

namespace rankscope::views
{

/// How the curves of many layers are drawn.
enum class CurveStyle { Automatic, Lines, Band };

class RankModel
{
public:
    /// Names of the rank measures that the run has, in the order entropy, stable, nuclear, then the same of
    /// the mixture.
    [[nodiscard]] static QStringList measures(const record::RunRecord* run);

    void setRun(const record::RunRecord* run);
    void setMeasure(const QString& name);
    void setModule(const QString& module);
    /// -1: the mean over the measured experts.
    void setExpert(int expert);
    void setStyle(CurveStyle style);
    void setSelection(const SelectionState& selection);
    bool append();

    [[nodiscard]] bool hasData() const;
    [[nodiscard]] QString measure() const { return m_measureName; }
    [[nodiscard]] QString module() const { return m_module; }
    [[nodiscard]] int expert() const { return m_expert; }
    [[nodiscard]] QStringList modules() const { return axisLabels(m_measure, "module"); }
    [[nodiscard]] QStringList experts() const { return axisLabels(m_measure, "expert"); }
    [[nodiscard]] const record::MeasureInfo* info() const;

    [[nodiscard]] const CurvePlot& curves() const { return m_curves; }
    /// Layers x modules; `automatic`: the scale fits this step instead of the whole run.
    [[nodiscard]] HeatMap map(std::int64_t step, bool automatic) const;
    /// Values of one cell for the cursor, by expert.
    [[nodiscard]] QString reading(int layer, int module, std::int64_t step) const;

    [[nodiscard]] CsvTable curveTable() const;
    [[nodiscard]] CsvTable mapTable(std::int64_t step) const;

private:
    /// With dear measures in pieces, other modules have curves of a few points.
    [[nodiscard]] QString mostMeasuredModule() const;
    void makeCurves();
    void applyBand();
    /// Of the chosen expert, or of all that the module has.
    [[nodiscard]] std::vector<std::size_t> positions(int layer, int module) const;
    [[nodiscard]] QString expertText() const;

    const record::RunRecord* m_run = nullptr;
    const record::Measure* m_measure = nullptr;
    QString m_measureName = QStringLiteral("rank/entropy");
    QString m_module;
    int m_expert = -1;
    CurveStyle m_style = CurveStyle::Automatic;
    SelectionState m_selection;
    CurvePlot m_curves;
    CurveFeed m_feed;
    RunningRange m_range;
    KnownExperts m_known;
};

} // namespace rankscope::views

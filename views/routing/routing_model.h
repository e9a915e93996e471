// SPDX-License-Identifier: GPL-3.0-or-later
// Where the tokens go: load of each expert by layer and by task, imbalance and entropy over steps. Knows the
// measures of routing, no family.
#pragma once

#include "core/record/run_record.h"
#include "views/export/csv_table.h"
#include "views/plot/curve_feed.h"
#include "views/plot/curve_plot.h"
#include "views/plot/heat_map.h"
#include "views/plot/measure_access.h"
#include "views/selection/selection.h"

namespace rankscope::views
{

class RoutingModel
{
public:
    enum Chart { Imbalance, Entropy, chartCount };

    void setRun(const record::RunRecord* run);
    void setRouter(const QString& router);
    /// True: (max load - mean load) / mean load; false: the difference alone.
    void setRelativeImbalance(bool relative);
    void setSelection(const SelectionState& selection);
    bool append();

    [[nodiscard]] bool hasData() const;
    [[nodiscard]] QStringList routers() const { return axisLabels(m_load, "router"); }
    [[nodiscard]] QStringList tasks() const { return axisLabels(m_load, "task"); }
    [[nodiscard]] QStringList experts() const { return axisLabels(m_load, "expert"); }
    [[nodiscard]] int layers() const { return static_cast<int>(axisLabels(m_load, "layer").size()); }
    [[nodiscard]] QString router() const { return m_router; }
    [[nodiscard]] const record::MeasureInfo* info() const;

    [[nodiscard]] const CurvePlot& plot(Chart chart) const { return m_plots[chart]; }
    /// Experts x layers, the mean over these tasks (all if none is named).
    [[nodiscard]] HeatMap loadByLayer(std::int64_t step, const QStringList& tasks, bool automatic) const;
    /// Experts x tasks over the chosen layers (all if none is chosen).
    [[nodiscard]] HeatMap loadByTask(std::int64_t step, bool automatic) const;
    [[nodiscard]] QString reading(int expert, int layer, std::int64_t step) const;
    [[nodiscard]] QString readingByTask(int expert, int task, std::int64_t step) const;

    [[nodiscard]] CsvTable table(Chart chart) const;

private:
    void makePlot(Chart chart);
    /// A map of loads, before there is anything in it.
    [[nodiscard]] HeatMap loadMap() const;
    /// Leaves out the experts at the end that the chosen router does not have.
    static void trimExperts(HeatMap& map);
    [[nodiscard]] std::vector<std::size_t> overChosenLayers(int expert, int task) const;
    [[nodiscard]] const record::Measure* chartMeasure(Chart chart) const;

    const record::RunRecord* m_run = nullptr;
    const record::Measure* m_load = nullptr;
    QString m_router;
    bool m_relative = true;
    SelectionState m_selection;
    std::vector<CurvePlot> m_plots = std::vector<CurvePlot>(chartCount);
    std::vector<CurveFeed> m_feeds = std::vector<CurveFeed>(chartCount);
    RunningRange m_range;
};

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
// A matrix product operator of the run: its shape, the spectra at its cuts, the drift of its cores.
#pragma once

#include "core/record/run_record.h"
#include "views/export/csv_table.h"
#include "views/mpo/tensor_train.h"
#include "views/plot/curve_feed.h"
#include "views/plot/curve_plot.h"
#include "views/plot/measure_access.h"

namespace rankscope::views
{

class MpoModel
{
public:
    void setRun(const record::RunRecord* run);
    void setPlace(int layer, const QString& module, int expert);
    bool append();
    /// Until a place is chosen, goes to one that has been measured: dear measures look at a rotating subset,
    /// and most places wait for their turn. True if it went.
    bool settle();

    [[nodiscard]] bool hasData() const;
    [[nodiscard]] int layer() const { return m_layer; }
    [[nodiscard]] int expert() const { return m_expert; }
    [[nodiscard]] QString module() const { return m_module; }
    [[nodiscard]] int layers() const { return static_cast<int>(axisLabels(m_bonds, "layer").size()); }
    /// Modules that are matrix product operators in some layer.
    [[nodiscard]] QStringList modules() const;
    [[nodiscard]] QStringList experts() const
    {
        return axisLabels(m_drift != nullptr ? m_drift : m_spectrum, "expert");
    }
    [[nodiscard]] QString placeName() const;
    [[nodiscard]] const record::MeasureInfo* info() const;

    [[nodiscard]] TensorTrain train(std::int64_t step) const;
    /// Singular values at each cut, by index; made for a step. `automatic`: the scale fits this step and
    /// place instead of the whole run.
    [[nodiscard]] CurvePlot spectra(std::int64_t step, bool automatic) const;
    [[nodiscard]] const CurvePlot& drift() const { return m_driftPlot; }

    [[nodiscard]] CsvTable trainTable(std::int64_t step) const;
    [[nodiscard]] CsvTable spectraTable(std::int64_t step) const;
    [[nodiscard]] CsvTable driftTable() const;

private:
    void makeDrift();
    [[nodiscard]] std::vector<std::size_t> positions(const record::Measure* measure, const char* axis,
                                                     int index) const;
    [[nodiscard]] Latest latest(const record::Measure* measure, const char* axis, int index,
                                std::int64_t step) const;
    [[nodiscard]] std::vector<float> values(const record::Measure* measure, const char* axis, int index,
                                            std::int64_t step) const;

    const record::RunRecord* m_run = nullptr;
    const record::Measure* m_bonds = nullptr;
    const record::Measure* m_shapes = nullptr;
    const record::Measure* m_sizes = nullptr;
    const record::Measure* m_spectrum = nullptr;
    const record::Measure* m_drift = nullptr;
    int m_layer = 0;
    int m_expert = 0;
    QString m_module;
    bool m_chosen = false;
    CurvePlot m_driftPlot;
    CurveFeed m_feed;
    RunningRange m_driftRange;
    RunningRange m_spectrumRange;
};

} // namespace rankscope::views

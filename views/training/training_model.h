// SPDX-License-Identifier: GPL-3.0-or-later
// What the training view draws: made from a run, appended to as it grows.
#pragma once

#include "core/record/run_record.h"
#include "views/export/csv_table.h"
#include "views/plot/bar_plot.h"
#include "views/plot/curve_feed.h"
#include "views/plot/curve_plot.h"

#include <map>
#include <vector>

namespace rankscope::views
{

/// One task's evaluation before the training and at the chosen step.
struct EvaluationRow {
    QString task;
    float accuracyBefore, accuracyNow;
    float lossBefore, lossNow;
};

class TrainingModel
{
public:
    /// The charts, in the order of the view.
    enum Chart { Loss, TaskLoss, LearningRate, GradientNorm, Throughput, Memory, Auxiliary, chartCount };

    void setRun(const record::RunRecord* run);
    /// Weight of the past in the exponential mean of the loss, 0 (raw) to below 1.
    void setSmoothing(double smoothing);
    void setTasks(const QStringList& tasks);
    /// A second axis along the losses: the tokens seen.
    void setTokensShown(bool shown);
    [[nodiscard]] double smoothing() const { return m_smoothing; }
    /// Appends what is new; true if a chart changed.
    bool append();

    [[nodiscard]] const CurvePlot& plot(Chart chart) const { return m_plots[chart]; }
    [[nodiscard]] static QString chartKey(Chart chart);
    [[nodiscard]] bool hasData() const;
    [[nodiscard]] bool hasAuxiliary() const;

    /// The newest evaluation at or before `step`, against the first.
    [[nodiscard]] std::vector<EvaluationRow> evaluation(std::int64_t step) const;
    [[nodiscard]] std::int64_t evaluationStep(std::int64_t step) const;
    [[nodiscard]] BarPlot evaluationBars(std::int64_t step) const;

    /// The recorded numbers of a chart, exact: one row for each step.
    [[nodiscard]] CsvTable table(Chart chart) const;
    [[nodiscard]] CsvTable evaluationTable(std::int64_t step) const;

private:
    void setTokensAxis(Chart chart);
    /// ", 50 test rows each": of how many the accuracy is.
    [[nodiscard]] QString testRowsText() const;
    void makePlot(Chart chart);

    const record::RunRecord* m_run = nullptr;
    std::vector<CurvePlot> m_plots = std::vector<CurvePlot>(chartCount);
    std::vector<CurveFeed> m_feeds = std::vector<CurveFeed>(chartCount);
    bool m_tokensShown = false;
    double m_smoothing = 0.9;
    QStringList m_tasks;
};

} // namespace rankscope::views

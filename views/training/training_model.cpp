// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/training/training_model.h"

#include "views/plot/format.h"
#include "views/plot/measure_access.h"

#include <array>
#include <cmath>
#include <limits>

namespace rankscope::views
{

namespace
{

struct ChartSpec {
    const char* key;
    const char* measure;
    const char* title;
    const char* yTitle;
    double factor;
    bool smoothed;
    bool fromZero;
};

constexpr std::array<ChartSpec, TrainingModel::chartCount> specs = {{
    {"loss", "train/loss", "Loss", "loss (nats)", 1, true, false},
    {"task-loss", "train/task_loss", "Loss by task", "loss (nats)", 1, true, false},
    {"learning-rate", "train/learning_rate", "Learning rate", "learning rate", 1, false, true},
    {"gradient-norm", "train/gradient_norm", "Gradient norm", "L2 norm", 1, true, true},
    {"throughput", "train/tokens_per_second", "Throughput", "tokens/s", 1, true, true},
    {"memory", "train/memory", "Memory", "peak memory (GB)", 1e-9, false, true},
    {"auxiliary-loss", "train/auxiliary_loss", "Auxiliary loss", "weighted loss", 1, true, false},
}};

} // namespace

QString TrainingModel::chartKey(Chart chart)
{
    return QString::fromLatin1(specs[chart].key);
}

void TrainingModel::setRun(const record::RunRecord* run)
{
    m_run = run;
    for (int chart = 0; chart < chartCount; ++chart)
        makePlot(static_cast<Chart>(chart));
    append();
}

void TrainingModel::setSmoothing(double smoothing)
{
    if (smoothing == m_smoothing)
        return;
    m_smoothing = smoothing;
    for (int chart = 0; chart < chartCount; ++chart)
        if (specs[static_cast<std::size_t>(chart)].smoothed)
            makePlot(static_cast<Chart>(chart));
    append();
}

void TrainingModel::setTasks(const QStringList& tasks)
{
    m_tasks = tasks;
    CurvePlot& plot = m_plots[TaskLoss];
    plot.emphasised.clear();
    for (const Curve& curve : plot.curves)
        if (!curve.raw && tasks.contains(curve.place))
            plot.emphasised.insert(curve.key);
}

void TrainingModel::setTokensShown(bool shown)
{
    m_tokensShown = shown;
    for (const Chart chart : {Loss, TaskLoss})
        setTokensAxis(chart);
}

void TrainingModel::setTokensAxis(Chart chart)
{
    const record::Measure* seen = m_run == nullptr ? nullptr : m_run->measure("train/tokens_seen");
    CurvePlot& plot = m_plots[chart];
    plot.topLabel = nullptr;
    if (!m_tokensShown || seen == nullptr || (chart != Loss && chart != TaskLoss))
        return;
    plot.topTitle = QStringLiteral("tokens seen");
    plot.topLabel = [seen](double step) {
        const auto row = seen->rowAt(std::llround(step));
        return formatCount(row ? seen->row(*row)[0] : 0);
    };
}

void TrainingModel::makePlot(Chart chart)
{
    const ChartSpec& spec = specs[chart];
    const record::Measure* measure = m_run == nullptr ? nullptr : m_run->measure(spec.measure);
    CurvePlot plot;
    plot.title = QString::fromLatin1(spec.title);
    plot.yTitle = QString::fromLatin1(spec.yTitle);
    plot.yFactor = spec.factor;
    plot.fromZero = spec.fromZero;
    plot.unit = measure == nullptr ? QString() : QString::fromStdString(measure->info().unit);
    plot.emptyText = QStringLiteral("Nothing recorded yet");
    std::vector<std::vector<std::size_t>> groups;
    const QStringList tasks = axisLabels(measure, "task");
    const double smoothing = spec.smoothed ? m_smoothing : 0;
    if (measure != nullptr) {
        const bool byTask = chart == TaskLoss;
        const int count = byTask ? static_cast<int>(tasks.size()) : 1;
        for (int c = 0; c < count; ++c) {
            Curve curve;
            curve.label = byTask ? tasks[c] : QString();
            curve.name =
                (byTask ? tasks[c] : plot.title) + (smoothing > 0 ? QStringLiteral(", smoothed") : QString());
            curve.category = c;
            curve.key = byTask ? c : -1;
            curve.place = curve.label;
            plot.curves.push_back(curve);
            groups.push_back({static_cast<std::size_t>(c)});
        }
        if (smoothing > 0)
            for (int c = 0; c < count; ++c) {
                Curve raw;
                raw.name = byTask ? tasks[c] : plot.title;
                raw.category = c;
                raw.raw = true;
                plot.curves.push_back(raw);
            }
        if (byTask) {
            plot.legend = CurveLegend::Categories;
            plot.curveNoun = QStringLiteral("task");
        }
    }
    m_plots[chart] = std::move(plot);
    m_feeds[chart].reset(measure, std::move(groups), smoothing);
    setTokensAxis(chart);
    if (chart == TaskLoss)
        setTasks(m_tasks);
}

bool TrainingModel::append()
{
    bool changed = false;
    for (std::size_t chart = 0; chart < chartCount; ++chart)
        changed = m_feeds[chart].pull(m_plots[chart]) || changed;
    return changed;
}

bool TrainingModel::hasData() const
{
    if (m_run == nullptr)
        return false;
    for (const auto& [name, measure] : m_run->measures())
        if ((name.starts_with("train/") || name.starts_with("eval/")) && !measure.empty())
            return true;
    return false;
}

bool TrainingModel::hasAuxiliary() const
{
    const auto& plot = m_plots[Auxiliary];
    return !plot.empty() &&
           (plot.curves.front().data.maximum() != 0 || plot.curves.front().data.minimum() != 0);
}

std::int64_t TrainingModel::evaluationStep(std::int64_t step) const
{
    const record::Measure* accuracy = m_run == nullptr ? nullptr : m_run->measure("eval/accuracy");
    if (accuracy == nullptr)
        return -1;
    const auto row = accuracy->rowAt(step);
    return row ? accuracy->steps()[*row] : -1;
}

std::vector<EvaluationRow> TrainingModel::evaluation(std::int64_t step) const
{
    std::vector<EvaluationRow> rows;
    const record::Measure* accuracy = m_run == nullptr ? nullptr : m_run->measure("eval/accuracy");
    const record::Measure* loss = m_run == nullptr ? nullptr : m_run->measure("eval/loss");
    const QStringList tasks = axisLabels(accuracy, "task");
    constexpr float none = std::numeric_limits<float>::quiet_NaN();
    // Before is step 0, the untouched base model: a run that did not evaluate it has no before.
    const auto at = [&](const record::Measure* measure, std::size_t position, bool before) {
        if (measure == nullptr || position >= measure->info().size())
            return none;
        const auto row = measure->rowAt(before ? 0 : step);
        return row && (before || measure->steps()[*row] > 0) ? measure->row(*row)[position] : none;
    };
    for (int task = 0; task < tasks.size(); ++task) {
        const auto position = static_cast<std::size_t>(task);
        rows.push_back({tasks[task], at(accuracy, position, true), at(accuracy, position, false),
                        at(loss, position, true), at(loss, position, false)});
    }
    return rows;
}

QString TrainingModel::testRowsText() const
{
    if (m_run == nullptr)
        return {};
    std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
    std::int64_t most = 0;
    for (const record::DataFile& file : m_run->description.data)
        if (file.split == "test") {
            fewest = std::min(fewest, file.rows);
            most = std::max(most, file.rows);
        }
    if (most == 0)
        return {};
    return fewest == most ? QStringLiteral(", %1 test rows each").arg(most)
                          : QStringLiteral(", %1 to %2 test rows each").arg(fewest).arg(most);
}

BarPlot TrainingModel::evaluationBars(std::int64_t step) const
{
    BarPlot bars;
    bars.title = QStringLiteral("Accuracy by task") + testRowsText();
    bars.valueTitle = QStringLiteral("accuracy (%)");
    bars.unit = QStringLiteral("%");
    bars.groupNoun = QStringLiteral("task");
    bars.maximum = 100;
    bars.emptyText =
        QStringLiteral("Accuracy of each task before and after training appears here once the test rows "
                       "have been evaluated.");
    if (m_run != nullptr && !m_run->description.data.empty() && testRowsText().isEmpty())
        bars.emptyText = QStringLiteral("The job names no test files, so no accuracy is measured.");
    const auto rows = evaluation(step);
    const record::Measure* accuracy = m_run == nullptr ? nullptr : m_run->measure("eval/accuracy");
    if (rows.empty() || accuracy->empty())
        return bars;
    const bool hasBefore = accuracy->steps()[0] == 0;
    BarSeries before{QStringLiteral("before (base model)"), {}, true};
    const std::int64_t now = evaluationStep(step);
    BarSeries after{QStringLiteral("step %1").arg(now), {}};
    for (std::size_t i = 0; i < rows.size(); ++i) {
        bars.groups << rows[i].task;
        before.values.push_back(rows[i].accuracyBefore * 100);
        after.values.push_back(rows[i].accuracyNow * 100);
        if (m_tasks.contains(rows[i].task))
            bars.selectedGroups.insert(static_cast<int>(i));
    }
    if (hasBefore)
        bars.series.push_back(before);
    if (now > 0)
        bars.series.push_back(after);
    return bars;
}

CsvTable TrainingModel::table(Chart chart) const
{
    CsvTable table;
    const record::Measure* measure = m_run == nullptr ? nullptr : m_run->measure(specs[chart].measure);
    if (measure == nullptr)
        return table;
    const QString unit = QString::fromStdString(measure->info().unit);
    table.measure = QString::fromStdString(measure->info().name);
    table.header << QStringLiteral("step");
    const QStringList tasks = axisLabels(measure, "task");
    if (tasks.isEmpty())
        table.header << columnName(table.measure, unit);
    for (const QString& task : tasks)
        table.header << columnName(placeOn(QStringLiteral("task"), task), unit);
    for (std::size_t row = 0; row < measure->steps().size(); ++row) {
        QStringList line{QString::number(measure->steps()[row])};
        for (const float value : measure->row(row))
            line << exactNumber(value);
        table.rows.push_back(line);
    }
    return table;
}

CsvTable TrainingModel::evaluationTable(std::int64_t step) const
{
    CsvTable table;
    const auto column = [&](const char* name, const char* measure) {
        const record::Measure* known = m_run == nullptr ? nullptr : m_run->measure(measure);
        return columnName(QString::fromLatin1(name),
                          known == nullptr ? QString() : QString::fromStdString(known->info().unit));
    };
    table.measure = QStringLiteral("eval/accuracy, eval/loss");
    table.header = {QStringLiteral("task"), column("accuracy before", "eval/accuracy"),
                    column("accuracy now", "eval/accuracy"), column("loss before", "eval/loss"),
                    column("loss now", "eval/loss")};
    for (const EvaluationRow& row : evaluation(step))
        table.rows.push_back({row.task, exactNumber(row.accuracyBefore), exactNumber(row.accuracyNow),
                              exactNumber(row.lossBefore), exactNumber(row.lossNow)});
    return table;
}

} // namespace rankscope::views

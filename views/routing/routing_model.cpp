// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/routing/routing_model.h"

#include "views/export/measure_table.h"
#include "views/plot/coverage.h"
#include "views/plot/format.h"
#include "views/plot/scale.h"

#include <algorithm>
#include <cmath>

namespace rankscope::views
{

namespace
{
constexpr std::size_t mostLines = 24; ///< more curves than this are drawn as a band
}

const record::Measure* RoutingModel::chartMeasure(Chart chart) const
{
    if (m_run == nullptr)
        return nullptr;
    if (chart == Entropy)
        return m_run->measure("routing/entropy");
    return m_run->measure(m_relative ? "routing/maxvio" : "routing/maxvio_difference");
}

void RoutingModel::setRun(const record::RunRecord* run)
{
    m_run = run;
    m_load = run == nullptr ? nullptr : run->measure("routing/load");
    const QStringList known = routers();
    if (!known.contains(m_router))
        m_router = known.value(0);
    m_range.clear();
    makePlot(Imbalance);
    makePlot(Entropy);
    append();
}

void RoutingModel::setRouter(const QString& router)
{
    m_router = router;
    makePlot(Imbalance);
    makePlot(Entropy);
    append();
}

void RoutingModel::setRelativeImbalance(bool relative)
{
    m_relative = relative;
    makePlot(Imbalance);
    append();
}

void RoutingModel::setSelection(const SelectionState& selection)
{
    m_selection = selection;
    for (CurvePlot& plot : m_plots)
        plot.emphasised = selection.layers;
}

bool RoutingModel::hasData() const
{
    for (const char* name : {"routing/load", "routing/maxvio", "routing/entropy"}) {
        const record::Measure* measure = m_run == nullptr ? nullptr : m_run->measure(name);
        if (measure != nullptr && !measure->empty())
            return true;
    }
    return false;
}

const record::MeasureInfo* RoutingModel::info() const
{
    return m_load == nullptr ? nullptr : &m_load->info();
}

void RoutingModel::makePlot(Chart chart)
{
    const record::Measure* measure = chartMeasure(chart);
    CurvePlot plot;
    plot.title =
        chart == Entropy ? QStringLiteral("Routing entropy") : QStringLiteral("Load imbalance (MaxVio)");
    plot.yTitle = chart == Entropy ? QStringLiteral("entropy (nats)")
                  : m_relative     ? QStringLiteral("MaxVio")
                                   : QStringLiteral("max load − mean load");
    plot.emptyText = QStringLiteral("Nothing recorded yet");
    plot.fromZero = true;
    std::vector<std::vector<std::size_t>> groups;
    if (measure != nullptr) {
        plot.unit = QString::fromStdString(measure->info().unit);
        const QStringList layers = axisLabels(measure, "layer");
        const int router = axisIndex(measure, "router", m_router);
        for (int layer = 0; layer < layers.size(); ++layer) {
            groups.push_back(positionsWhere(measure->info(), {{"layer", layer}, {"router", router}}));
            Curve curve;
            curve.label = QStringLiteral("layer %1").arg(layer);
            curve.name = modelName(layer, {}) +
                         (m_router.isEmpty() ? QString() : QStringLiteral(", router ") + m_router);
            curve.key = layer;
            curve.place = layers[layer];
            curve.depth =
                layers.size() > 1 ? static_cast<double>(layer) / static_cast<double>(layers.size() - 1) : 0;
            plot.curves.push_back(std::move(curve));
        }
        plot.curveNoun = QStringLiteral("layer");
        plot.legend = CurveLegend::Depth;
        plot.depthLow = QStringLiteral("layer 0");
        plot.depthHigh = QString::number(layers.size() - 1);
        plot.showBand = plot.curves.size() > mostLines;
    }
    plot.emphasised = m_selection.layers;
    m_plots[chart] = std::move(plot);
    m_feeds[chart].reset(measure, std::move(groups), 0, true);
}

bool RoutingModel::append()
{
    m_range.update(m_load);
    bool changed = false;
    for (std::size_t chart = 0; chart < chartCount; ++chart)
        changed = m_feeds[chart].pull(m_plots[chart]) || changed;
    return changed;
}

HeatMap RoutingModel::loadMap() const
{
    HeatMap map;
    map.valueTitle = QStringLiteral("load (share)");
    map.emptyText = QStringLiteral("No load has been recorded here at or before this step");
    return map;
}

void RoutingModel::trimExperts(HeatMap& map)
{
    // The axis is as long as the router with the most experts needs it.
    while (map.rows() > 1 && map.hasValues()) {
        const auto last = map.values.end() - map.columns();
        if (std::any_of(last, map.values.end(), [](float value) { return std::isfinite(value); }))
            return;
        map.values.erase(last, map.values.end());
        map.rowLabels.removeLast();
    }
}

HeatMap RoutingModel::loadByLayer(std::int64_t step, const QStringList& tasks, bool automatic) const
{
    HeatMap map = loadMap();
    if (m_load == nullptr)
        return map;
    map.measure = QString::fromStdString(m_load->info().name);
    map.rowTitle = QStringLiteral("expert");
    map.columnTitle = QStringLiteral("layer");
    map.rowLabels = experts();
    map.columnLabels = axisLabels(m_load, "layer");
    const QStringList over = tasks.isEmpty() ? this->tasks() : tasks;
    map.title = QStringLiteral("Load: experts × layers at step %1, %2")
                    .arg(step)
                    .arg(over.size() < 2   ? over.value(0)
                         : tasks.isEmpty() ? QStringLiteral("mean over tasks")
                                           : QStringLiteral("mean of ") + over.join(QStringLiteral(", ")));
    const int router = axisIndex(m_load, "router", m_router);
    const Latest latest = latestAt(m_load, step);
    Coverage coverage;
    for (int expert = 0; expert < map.rows(); ++expert)
        for (int layer = 0; layer < map.columns(); ++layer) {
            std::vector<std::size_t> where;
            for (const QString& task : over.isEmpty() ? QStringList{QString()} : over) {
                const auto ofTask =
                    positionsWhere(m_load->info(), {{"layer", layer},
                                                    {"router", router},
                                                    {"expert", expert},
                                                    {"task", axisIndex(m_load, "task", task)}});
                where.insert(where.end(), ofTask.begin(), ofTask.end());
            }
            map.values.push_back(static_cast<float>(measuredMean(latest.values, where)));
            coverage.add(latest, where);
        }
    trimExperts(map);
    map.note = noteOf(map, coverage, step, QStringLiteral("tasks"));
    map.selectedColumns = m_selection.layers;
    map.selectedRows = m_selection.experts;
    setScale(map, m_range, automatic);
    return map;
}

std::vector<std::size_t> RoutingModel::overChosenLayers(int expert, int task) const
{
    const int router = axisIndex(m_load, "router", m_router);
    std::vector<std::size_t> all;
    for (int layer = 0; layer < layers(); ++layer)
        if (m_selection.layers.empty() || m_selection.layers.contains(layer)) {
            const auto where = positionsWhere(
                m_load->info(), {{"layer", layer}, {"router", router}, {"expert", expert}, {"task", task}});
            all.insert(all.end(), where.begin(), where.end());
        }
    return all;
}

HeatMap RoutingModel::loadByTask(std::int64_t step, bool automatic) const
{
    HeatMap map = loadMap();
    if (m_load == nullptr)
        return map;
    map.measure = QString::fromStdString(m_load->info().name);
    map.rowTitle = QStringLiteral("expert");
    map.columnTitle = QStringLiteral("task");
    map.rowLabels = experts();
    map.columnLabels = tasks();
    const QString which = m_selection.layers.empty() ? QStringLiteral("all layers")
                          : m_selection.layers.size() == 1
                              ? QStringLiteral("layer ") + formatNumberSet(m_selection.layers)
                              : QStringLiteral("layers ") + formatNumberSet(m_selection.layers);
    map.title = QStringLiteral("Load: experts × tasks, %1, step %2").arg(which).arg(step);
    const Latest latest = latestAt(m_load, step);
    Coverage coverage;
    for (int expert = 0; expert < map.rows(); ++expert)
        for (int task = 0; task < map.columns(); ++task) {
            const auto where = overChosenLayers(expert, task);
            map.values.push_back(static_cast<float>(measuredMean(latest.values, where)));
            coverage.add(latest, where);
        }
    trimExperts(map);
    map.note = noteOf(map, coverage, step, QStringLiteral("layers"));
    map.selectedRows = m_selection.experts;
    for (const QString& task : m_selection.tasks)
        map.selectedColumns.insert(axisIndex(m_load, "task", task));
    setScale(map, m_range, automatic);
    return map;
}

QString RoutingModel::reading(int expert, int layer, std::int64_t step) const
{
    if (m_load == nullptr || expert < 0 || layer < 0)
        return {};
    QString lines = modelName(layer, {}) + QStringLiteral(", expert %1").arg(experts().value(expert));
    if (!m_router.isEmpty())
        lines += QStringLiteral("\nrouter ") + m_router;
    const int router = axisIndex(m_load, "router", m_router);
    const QStringList names = tasks();
    Coverage coverage;
    QString shares;
    for (int task = 0; task < std::max<int>(1, static_cast<int>(names.size())); ++task) {
        const auto where = positionsWhere(
            m_load->info(), {{"layer", layer}, {"router", router}, {"expert", expert}, {"task", task}});
        const Latest latest = m_load->latestOf(where, step);
        coverage.add(latest);
        const double share = measuredMean(latest.values);
        shares += QStringLiteral("\n%1: %2")
                      .arg(names.value(task, QStringLiteral("load")),
                           formatValue(share * 100, QStringLiteral("%")));
    }
    return lines + QLatin1Char('\n') + coverage.when() + shares;
}

QString RoutingModel::readingByTask(int expert, int task, std::int64_t step) const
{
    if (m_load == nullptr || expert < 0 || task < 0)
        return {};
    const auto where = overChosenLayers(expert, task);
    const Latest latest = latestAt(m_load, step);
    Coverage coverage;
    coverage.add(latest, where);
    const double load = measuredMean(latest.values, where);
    QString lines = QStringLiteral("expert %1, %2\n%3")
                        .arg(experts().value(expert), tasks().value(task), coverage.when());
    if (!std::isfinite(load))
        return lines;
    lines += QStringLiteral("\nload ") + formatValue(load * 100, QStringLiteral("%"));
    if (const QString share = coverage.share(QStringLiteral("layers")); !share.isEmpty())
        lines += QStringLiteral("\nmean of ") + share;
    return lines;
}

CsvTable RoutingModel::table(Chart chart) const
{
    CsvTable table;
    const record::Measure* measure = chartMeasure(chart);
    if (measure == nullptr)
        return table;
    table.measure = QString::fromStdString(measure->info().name);
    table.header << QStringLiteral("step");
    std::vector<std::vector<std::size_t>> positions;
    const int router = axisIndex(measure, "router", m_router);
    for (int layer = 0; layer < axisLabels(measure, "layer").size(); ++layer)
        for (const std::size_t position :
             positionsWhere(measure->info(), {{"layer", layer}, {"router", router}})) {
            table.header << columnName(QStringLiteral("layer %1").arg(layer),
                                       QString::fromStdString(measure->info().unit));
            positions.push_back({position});
        }
    addStepRows(table, *measure, positions);
    return table;
}

} // namespace rankscope::views

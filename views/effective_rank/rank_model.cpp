// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/effective_rank/rank_model.h"

#include "views/export/measure_table.h"
#include "views/plot/coverage.h"
#include "views/plot/format.h"
#include "views/plot/scale.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rankscope::views
{

namespace
{
constexpr int mostLines = 24; ///< more curves than this are drawn as a band
}

QStringList RankModel::measures(const record::RunRecord* run)
{
    QStringList names;
    if (run != nullptr)
        for (const char* name : {"rank/entropy", "rank/stable", "rank/nuclear", "rank/mixture_entropy",
                                 "rank/mixture_stable", "rank/mixture_nuclear"})
            if (run->measure(name) != nullptr)
                names << QString::fromLatin1(name);
    return names;
}

void RankModel::setRun(const record::RunRecord* run)
{
    m_run = run;
    const QStringList names = measures(run);
    if (!names.isEmpty() && !names.contains(m_measureName))
        m_measureName = names.first();
    setMeasure(m_measureName);
}

void RankModel::setMeasure(const QString& name)
{
    m_measureName = name;
    m_measure = m_run == nullptr ? nullptr : m_run->measure(name.toStdString());
    const QStringList known = modules();
    if (!known.isEmpty() && !known.contains(m_module))
        m_module = mostMeasuredModule();
    if (m_expert >= experts().size())
        m_expert = -1;
    m_range.clear();
    m_known.clear();
    m_known.update(m_measure);
    makeCurves();
}

QString RankModel::mostMeasuredModule() const
{
    const Latest latest = latestAt(m_measure, std::numeric_limits<std::int64_t>::max());
    const auto layersMeasured = [&](const QString& module) {
        int count = 0;
        for (int layer = 0; layer < axisLabels(m_measure, "layer").size(); ++layer)
            count += std::ranges::any_of(
                positionsWhere(m_measure->info(),
                               {{"layer", layer}, {"module", axisIndex(m_measure, "module", module)}}),
                [&](std::size_t at) { return std::isfinite(latest.values[at]); });
        return count;
    };
    const QStringList known = modules();
    QString best = known.contains(QStringLiteral("down_proj")) ? QStringLiteral("down_proj") : known.first();
    int most = layersMeasured(best);
    for (const QString& module : known) {
        if (const int count = layersMeasured(module); count > most) {
            best = module;
            most = count;
        }
    }
    return best;
}

void RankModel::setModule(const QString& module)
{
    m_module = module;
    makeCurves();
}

void RankModel::setExpert(int expert)
{
    m_expert = expert;
    makeCurves();
}

void RankModel::setStyle(CurveStyle style)
{
    m_style = style;
    applyBand();
}

void RankModel::setSelection(const SelectionState& selection)
{
    m_selection = selection;
    m_curves.emphasised = selection.layers;
}

const record::MeasureInfo* RankModel::info() const
{
    return m_measure == nullptr ? nullptr : &m_measure->info();
}

bool RankModel::hasData() const
{
    return m_measure != nullptr && !m_measure->empty();
}

std::vector<std::size_t> RankModel::positions(int layer, int module) const
{
    return m_known.part(
        positionsWhere(m_measure->info(), {{"layer", layer}, {"module", module}, {"expert", m_expert}}),
        m_expert >= 0);
}

QString RankModel::expertText() const
{
    if (experts().size() <= 1)
        return {};
    return m_expert < 0 ? QStringLiteral(", mean over experts") : QStringLiteral(", expert %1").arg(m_expert);
}

void RankModel::makeCurves()
{
    m_curves = CurvePlot();
    std::vector<std::vector<std::size_t>> groups;
    if (m_measure != nullptr) {
        const int module = axisIndex(m_measure, "module", m_module);
        const QStringList layers = axisLabels(m_measure, "layer");
        for (int layer = 0; layer < layers.size(); ++layer) {
            groups.push_back(positions(layer, module));
            Curve curve;
            curve.label = QStringLiteral("layer %1").arg(layer);
            curve.name = modelName(layer, m_module) + expertText();
            curve.key = layer;
            curve.place = layers[layer];
            curve.depth =
                layers.size() > 1 ? static_cast<double>(layer) / static_cast<double>(layers.size() - 1) : 0;
            m_curves.curves.push_back(std::move(curve));
        }
        m_curves.title =
            QString::fromStdString(m_measure->info().title) + QStringLiteral(": ") + m_module + expertText();
        m_curves.unit = QString::fromStdString(m_measure->info().unit);
        m_curves.yTitle = QString::fromStdString(m_measure->info().title) +
                          (m_curves.unit.isEmpty() ? QString() : QStringLiteral(" (%1)").arg(m_curves.unit));
        m_curves.curveNoun = QStringLiteral("layer");
        m_curves.legend = CurveLegend::Depth;
        m_curves.depthLow = QStringLiteral("layer 0");
        m_curves.depthHigh = QString::number(layers.size() - 1);
        const bool noExperts = std::ranges::all_of(groups, &std::vector<std::size_t>::empty);
        m_curves.emptyText =
            noExperts ? QStringLiteral("%1 has no experts; the mean shows what it has").arg(m_module)
                      : QStringLiteral("%1 has not been measured for %2 yet").arg(m_curves.yTitle, m_module);
    }
    m_feed.reset(m_measure, std::move(groups), 0, true);
    m_curves.emphasised = m_selection.layers;
    applyBand();
    append();
}

void RankModel::applyBand()
{
    m_curves.showBand = m_style == CurveStyle::Band || (m_style == CurveStyle::Automatic &&
                                                        static_cast<int>(m_curves.curves.size()) > mostLines);
}

bool RankModel::append()
{
    m_range.update(m_measure);
    if (m_known.update(m_measure)) {
        makeCurves();
        return true;
    }
    return m_feed.pull(m_curves);
}

HeatMap RankModel::map(std::int64_t step, bool automatic) const
{
    HeatMap map;
    map.emptyText = QStringLiteral("No values at or before this step");
    if (m_measure == nullptr)
        return map;
    map.measure = m_measureName;
    map.rowTitle = QStringLiteral("layer");
    map.columnTitle = QStringLiteral("module");
    map.rowLabels = axisLabels(m_measure, "layer");
    map.columnLabels = modules();
    map.title = QStringLiteral("Layers × modules at step %1%2").arg(step).arg(expertText());
    map.unit = QString::fromStdString(m_measure->info().unit);
    map.valueTitle = QString::fromStdString(m_measure->info().title);
    const Latest latest = latestAt(m_measure, step);
    Coverage coverage;
    for (int layer = 0; layer < map.rows(); ++layer)
        for (int module = 0; module < map.columns(); ++module) {
            const auto where = positions(layer, module);
            map.values.push_back(static_cast<float>(measuredMean(latest.values, where)));
            coverage.add(latest, where);
        }
    map.note = noteOf(map, coverage, step, QStringLiteral("experts"));
    setScale(map, m_range, automatic);
    map.selectedRows = m_selection.layers;
    for (const QString& module : m_selection.modules)
        map.selectedColumns.insert(static_cast<int>(map.columnLabels.indexOf(module)));
    return map;
}

QString RankModel::reading(int layer, int module, std::int64_t step) const
{
    if (m_measure == nullptr || layer < 0 || module < 0)
        return {};
    const QString name = modules().value(module);
    if (positions(layer, module).empty())
        return modelName(layer, name) + QStringLiteral("\nhas no experts");
    const auto all =
        positionsWhere(m_measure->info(), {{"layer", layer}, {"module", module}, {"expert", -1}});
    const Latest latest = m_measure->latestOf(all, step);
    Coverage coverage;
    std::vector<std::size_t> shown;
    for (std::size_t expert = 0; expert < all.size(); ++expert)
        if (m_expert < 0 || expert == static_cast<std::size_t>(m_expert))
            shown.push_back(expert);
    coverage.add(latest, shown);
    QString lines = modelName(layer, name) + QLatin1Char('\n') + coverage.when() + QLatin1Char('\n');
    const QString title = QString::fromStdString(m_measure->info().title).toLower();
    const QString unit = QString::fromStdString(m_measure->info().unit);
    const auto measured =
        std::ranges::count_if(latest.values, [](float value) { return std::isfinite(value); });
    if (m_expert >= 0)
        return lines + QStringLiteral("expert %1: %2")
                           .arg(m_expert)
                           .arg(formatValue(latest.values[static_cast<std::size_t>(m_expert)], unit));
    if (measured <= 1)
        return lines + title + QStringLiteral(": ") + formatValue(measuredMean(latest.values), unit);
    const QString share = coverage.share(QStringLiteral("experts"));
    lines += title +
             QStringLiteral(", mean%1: ").arg(share.isEmpty() ? share : QStringLiteral(" of ") + share) +
             formatValue(measuredMean(latest.values), unit);
    for (std::size_t expert = 0; expert < all.size() && expert < 16; ++expert) {
        lines += QStringLiteral("\nexpert %1: %2").arg(expert).arg(formatValue(latest.values[expert], unit));
        if (!coverage.isAt(latest.steps[expert]) && latest.steps[expert] >= 0) // not all from one step
            lines += QStringLiteral(" (step %1)").arg(latest.steps[expert]);
    }
    return lines;
}

CsvTable RankModel::curveTable() const
{
    CsvTable table;
    if (m_measure == nullptr)
        return table;
    table.measure = m_measureName;
    table.header << QStringLiteral("step");
    const int module = axisIndex(m_measure, "module", m_module);
    std::vector<std::vector<std::size_t>> groups;
    for (int layer = 0; layer < axisLabels(m_measure, "layer").size(); ++layer) {
        table.header << columnName(QStringLiteral("layer %1").arg(layer), m_curves.unit);
        groups.push_back(positions(layer, module));
    }
    addStepRows(table, *m_measure, groups);
    return table;
}

CsvTable RankModel::mapTable(std::int64_t step) const
{
    return tableOf(map(step, false));
}

} // namespace rankscope::views

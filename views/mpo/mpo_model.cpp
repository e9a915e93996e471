// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/mpo/mpo_model.h"

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
constexpr std::int64_t anyStep = std::numeric_limits<std::int64_t>::max();
} // namespace

void MpoModel::setRun(const record::RunRecord* run)
{
    m_run = run;
    const auto measure = [run](const char* name) { return run == nullptr ? nullptr : run->measure(name); };
    m_bonds = measure("mpo/bond_dimension");
    m_shapes = measure("mpo/core_shape");
    m_sizes = measure("mpo/core_size");
    m_spectrum = measure("mpo/cut_spectrum");
    m_drift = measure("mpo/core_drift");
    m_driftRange.clear();
    m_spectrumRange.clear();
    const QStringList known = modules();
    if (!known.contains(m_module))
        m_module = known.contains(QStringLiteral("down_proj")) ? QStringLiteral("down_proj") : known.value(0);
    m_layer = std::clamp(m_layer, 0, std::max(0, layers() - 1));
    m_expert = std::clamp(m_expert, 0, std::max(0, static_cast<int>(experts().size()) - 1));
    makeDrift();
    settle();
}

bool MpoModel::settle()
{
    if (m_chosen || m_drift == nullptr || m_drift->empty())
        return false;
    const std::vector<float> latest = latestAt(m_drift, anyStep).values;
    const auto measured = [&](std::size_t position) { return std::isfinite(latest[position]); };
    if (std::ranges::any_of(positions(m_drift, "core", -1), measured))
        return false;
    std::size_t first = 0;
    while (first < latest.size() && !measured(first))
        ++first;
    if (first == latest.size())
        return false;
    const auto& axes = m_drift->info().axes;
    for (std::size_t axis = axes.size(); axis-- > 0;) { // the last axis runs fastest
        const std::size_t index = first % axes[axis].labels.size();
        first /= axes[axis].labels.size();
        if (axes[axis].name == "layer")
            m_layer = static_cast<int>(index);
        else if (axes[axis].name == "module")
            m_module = QString::fromStdString(axes[axis].labels[index]);
        else if (axes[axis].name == "expert")
            m_expert = static_cast<int>(index);
    }
    makeDrift();
    return true;
}

void MpoModel::setPlace(int layer, const QString& module, int expert)
{
    if (layer == m_layer && module == m_module && expert == m_expert)
        return;
    m_chosen = true;
    m_layer = std::clamp(layer, 0, std::max(0, layers() - 1));
    m_module = module;
    m_expert = expert;
    makeDrift();
}

bool MpoModel::hasData() const
{
    return m_bonds != nullptr && !m_bonds->empty();
}

QStringList MpoModel::modules() const
{
    QStringList found;
    const QStringList all = axisLabels(m_bonds, "module");
    for (int module = 0; module < all.size(); ++module) {
        const auto where = positionsWhere(m_bonds->info(), {{"module", module}});
        const auto dimensions = m_bonds->latestOf(where, anyStep).values;
        if (std::any_of(dimensions.begin(), dimensions.end(), [](float d) { return std::isfinite(d); }))
            found << all[module];
    }
    return found;
}

QString MpoModel::placeName() const
{
    return modelName(m_layer, m_module) +
           (experts().size() > 1 ? QStringLiteral(", expert %1").arg(m_expert) : QString());
}

const record::MeasureInfo* MpoModel::info() const
{
    return m_bonds == nullptr ? nullptr : &m_bonds->info();
}

std::vector<std::size_t> MpoModel::positions(const record::Measure* measure, const char* axis,
                                             int index) const
{
    return positionsWhere(measure->info(), {{"layer", m_layer},
                                            {"module", axisIndex(measure, "module", m_module)},
                                            {"expert", m_expert},
                                            {axis, index}});
}

Latest MpoModel::latest(const record::Measure* measure, const char* axis, int index, std::int64_t step) const
{
    return measure == nullptr ? Latest() : measure->latestOf(positions(measure, axis, index), step);
}

std::vector<float> MpoModel::values(const record::Measure* measure, const char* axis, int index,
                                    std::int64_t step) const
{
    return latest(measure, axis, index, step).values;
}

TensorTrain MpoModel::train(std::int64_t step) const
{
    TensorTrain train;
    train.title = placeName() + QStringLiteral(", step %1").arg(step);
    train.largestDrift = m_driftRange.known() ? m_driftRange.maximum() : 0;
    const QStringList names = axisLabels(m_shapes, "core");
    for (int c = 0; c < names.size(); ++c) {
        // The shape does not change; it is known even before the first measured step.
        const std::vector<float> shape = values(m_shapes, "core", c, anyStep);
        if (shape.size() != 4 ||
            !std::all_of(shape.begin(), shape.end(), [](float v) { return std::isfinite(v); }))
            return {train.title, {}, 0};
        TensorTrainCore core{names[c],
                             static_cast<int>(shape[0]),
                             static_cast<int>(shape[1]),
                             static_cast<int>(shape[2]),
                             static_cast<int>(shape[3]),
                             0,
                             std::numeric_limits<float>::quiet_NaN(),
                             -1};
        const std::vector<float> size = values(m_sizes, "core", c, anyStep);
        core.elements = !size.empty() && std::isfinite(size[0])
                            ? size[0]
                            : static_cast<double>(shape[0]) * shape[1] * shape[2] * shape[3];
        if (const Latest drift = latest(m_drift, "core", c, step); !drift.values.empty()) {
            core.drift = drift.values[0];
            core.driftStep = drift.steps[0];
        }
        train.cores.push_back(core);
    }
    return train;
}

CurvePlot MpoModel::spectra(std::int64_t step, bool automatic) const
{
    CurvePlot plot;
    plot.title = QStringLiteral("Spectra at the cuts, step %1").arg(step);
    plot.xTitle = QStringLiteral("index");
    plot.yTitle = QStringLiteral("singular value");
    plot.logarithmic = true;
    plot.legend = CurveLegend::Categories;
    plot.emptyText =
        QStringLiteral("No spectrum of %1 has been measured at or before this step").arg(placeName());
    const QStringList cuts = axisLabels(m_spectrum, "cut");
    Coverage coverage;
    for (int cut = 0; cut < cuts.size(); ++cut) {
        Curve curve;
        curve.label = QStringLiteral("cut %1").arg(cuts[cut]);
        curve.category = cut;
        const Latest singular = latest(m_spectrum, "cut", cut, step);
        coverage.add(singular);
        for (std::size_t i = 0; i < singular.values.size(); ++i)
            curve.data.append(static_cast<double>(i), singular.values[i]);
        // A cut has as many singular values as its bond; only the largest are recorded.
        const std::vector<float> bond = values(m_bonds, "cut", cut, anyStep);
        const auto shown = static_cast<double>(curve.data.count());
        if (shown > 0 && !bond.empty() && shown < bond[0])
            curve.label += QStringLiteral(" (%1 of %2)").arg(shown).arg(bond[0]);
        curve.name = placeName() + QStringLiteral(", ") + curve.label;
        plot.curves.push_back(std::move(curve));
    }
    if (coverage.any() && !coverage.isAt(step))
        plot.note = coverage.when();
    setScale(plot, m_spectrumRange, automatic);
    return plot;
}

void MpoModel::makeDrift()
{
    m_driftPlot = CurvePlot();
    m_driftPlot.title = QStringLiteral("Drift of the cores");
    m_driftPlot.yTitle = QStringLiteral("drift (%)");
    m_driftPlot.yFactor = 100;
    m_driftPlot.unit = QStringLiteral("%");
    m_driftPlot.unitFactor = 100;
    m_driftPlot.fromZero = true;
    m_driftPlot.curveNoun = QStringLiteral("core");
    m_driftPlot.legend = CurveLegend::Categories;
    m_driftPlot.emptyText = QStringLiteral("No drift of %1 has been measured yet").arg(placeName());
    std::vector<std::vector<std::size_t>> groups;
    const QStringList cores = axisLabels(m_drift, "core");
    for (int core = 0; core < cores.size(); ++core) {
        groups.push_back(positions(m_drift, "core", core));
        Curve curve;
        curve.label = QStringLiteral("core %1").arg(cores[core]);
        curve.name = placeName() + QStringLiteral(", ") + curve.label;
        curve.category = core;
        m_driftPlot.curves.push_back(std::move(curve));
    }
    m_feed.reset(m_drift, std::move(groups));
    append();
}

bool MpoModel::append()
{
    m_driftRange.update(m_drift);
    m_spectrumRange.update(m_spectrum);
    return m_feed.pull(m_driftPlot);
}

CsvTable MpoModel::trainTable(std::int64_t step) const
{
    CsvTable table;
    table.measure = QStringLiteral("mpo/core_shape, mpo/core_size, mpo/core_drift");
    table.header = {QStringLiteral("core"),       QStringLiteral("left bond"),
                    QStringLiteral("row leg"),    QStringLiteral("column leg"),
                    QStringLiteral("right bond"), QStringLiteral("elements"),
                    QStringLiteral("drift"),      QStringLiteral("drift measured at step")};
    const TensorTrain shown = train(step);
    for (const TensorTrainCore& core : shown.cores) {
        table.rows.push_back({core.name, QString::number(core.leftBond), QString::number(core.rowLeg),
                              QString::number(core.columnLeg), QString::number(core.rightBond),
                              QString::number(core.elements, 'f', 0), exactNumber(core.drift),
                              core.driftStep < 0 ? QString() : QString::number(core.driftStep)});
    }
    return table;
}

CsvTable MpoModel::spectraTable(std::int64_t step) const
{
    CsvTable table;
    if (m_spectrum == nullptr)
        return table;
    table.measure = QString::fromStdString(m_spectrum->info().name);
    table.header << QStringLiteral("index");
    const QStringList cuts = axisLabels(m_spectrum, "cut");
    std::vector<std::vector<float>> columns;
    for (int cut = 0; cut < cuts.size(); ++cut) {
        table.header << columnName(QStringLiteral("cut %1").arg(cuts[cut]),
                                   QString::fromStdString(m_spectrum->info().unit));
        columns.push_back(values(m_spectrum, "cut", cut, step));
    }
    for (std::size_t i = 0; !columns.empty() && i < columns.front().size(); ++i) {
        QStringList line{QString::number(i)};
        for (const auto& column : columns)
            line << exactNumber(column[i]);
        table.rows.push_back(line);
    }
    return table;
}

CsvTable MpoModel::driftTable() const
{
    CsvTable table;
    if (m_drift == nullptr)
        return table;
    table.measure = QString::fromStdString(m_drift->info().name);
    table.header << QStringLiteral("step");
    std::vector<std::vector<std::size_t>> where;
    const QStringList cores = axisLabels(m_drift, "core");
    for (int core = 0; core < cores.size(); ++core) {
        table.header << columnName(QStringLiteral("core %1").arg(cores[core]),
                                   QString::fromStdString(m_drift->info().unit));
        where.push_back({positions(m_drift, "core", core).front()});
    }
    addStepRows(table, *m_drift, where);
    return table;
}

} // namespace rankscope::views

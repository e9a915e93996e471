// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/inside/inside_model.h"

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
constexpr int mostLines = 24;          ///< more curves than this are drawn as a band
constexpr std::size_t mostSteps = 160; ///< columns of a map over steps

struct KnownGroup {
    const char* prefix;
    const char* title;
};
/// In the order of the choice, behind the family's own.
constexpr KnownGroup knownGroups[] = {
    {"rank", "Effective rank"}, {"spectrum", "Spectra"}, {"routing", "Routing"},   {"mpo", "Tensor trains"},
    {"train", "Training"},      {"eval", "Evaluation"},  {"analysis", "Analysis"},
};

/// Axes whose labels are alike, so that a mean over them says something; places on others (an index of a
/// spectrum, a core) are different things.
bool isAveraged(const QString& axis)
{
    return QStringList{QStringLiteral("layer"),  QStringLiteral("module"), QStringLiteral("expert"),
                       QStringLiteral("task"),   QStringLiteral("router"), QStringLiteral("rank"),
                       QStringLiteral("adapter")}
        .contains(axis);
}

QString prefixOf(const std::string& name)
{
    return QString::fromStdString(name.substr(0, name.find('/')));
}
} // namespace

QString InsideModel::titleOf(const record::MeasureInfo& info)
{
    const QString title = QString::fromStdString(info.title.empty() ? info.name : info.title);
    return info.unit.empty() ? title : title + QStringLiteral(" (%1)").arg(QString::fromStdString(info.unit));
}

std::vector<MeasureGroup> InsideModel::groups(const record::RunRecord* run)
{
    std::vector<MeasureGroup> own;
    std::vector<MeasureGroup> known(std::size(knownGroups));
    if (run == nullptr)
        return own;
    for (const auto& [name, measure] : run->measures()) {
        const QString prefix = prefixOf(name);
        MeasureGroup* group = nullptr;
        for (std::size_t i = 0; i < known.size(); ++i)
            if (prefix == QLatin1String(knownGroups[i].prefix)) {
                group = &known[i];
                group->title = QString::fromLatin1(knownGroups[i].title);
            }
        if (group == nullptr) {
            const auto found = std::find_if(own.begin(), own.end(),
                                            [&](const MeasureGroup& one) { return one.title == prefix; });
            group = found == own.end() ? &own.emplace_back(MeasureGroup{prefix, {}}) : &*found;
        }
        group->names << QString::fromStdString(name);
    }
    for (MeasureGroup& group : known)
        if (!group.names.isEmpty())
            own.push_back(std::move(group));
    return own;
}

void InsideModel::setRun(const record::RunRecord* run)
{
    m_run = run;
    if (run == nullptr || run->measure(m_name.toStdString()) == nullptr) {
        const auto all = groups(run);
        m_name = all.empty() ? QString() : all.front().names.first();
    }
    setMeasure(m_name);
}

void InsideModel::setMeasure(const QString& name)
{
    // The roles of the axes go by name from one measure to the next.
    const QStringList before = m_axes;
    const QString down = before.value(m_down);
    const QString across = before.value(m_across);
    const QString curve = before.value(m_curveAxis);
    m_name = name;
    m_measure = m_run == nullptr ? nullptr : m_run->measure(name.toStdString());
    m_axes.clear();
    m_labels.clear();
    if (m_measure != nullptr)
        for (const record::Axis& axis : m_measure->info().axes) {
            m_axes << QString::fromStdString(axis.name);
            m_labels << axisLabels(m_measure, axis.name.c_str());
        }
    m_range.clear();
    m_known.clear();
    m_known.update(m_measure);
    chooseAxes();
    if (!down.isEmpty() && !across.isEmpty() && axis(down) >= 0 && axis(across) >= 0) {
        m_down = axis(down);
        m_across = axis(across);
    }
    if (!curve.isEmpty() && axis(curve) >= 0)
        m_curveAxis = axis(curve);
    makeCurves();
}

/// The first and the last axis that have something to compare.
void InsideModel::chooseAxes()
{
    m_down = -1;
    m_across = steps;
    const auto count = static_cast<int>(m_axes.size());
    for (int axis = 0; axis < count; ++axis) {
        if (labels(axis).size() < 2)
            continue;
        if (m_down < 0)
            m_down = axis;
        else
            m_across = axis;
    }
    if (m_down < 0 && count > 0)
        m_down = 0;
    m_curveAxis = m_down;
}

int InsideModel::place(int axis) const
{
    const QString name = m_axes.value(axis);
    const int index = m_places.value(name, isAveraged(name) ? mean : 0);
    return index < m_labels.value(axis).size() ? index : mean;
}

void InsideModel::setDown(int axis)
{
    if (axis == m_across)
        m_across = m_down;
    m_down = axis;
}

void InsideModel::setAcross(int axis)
{
    if (axis == m_down) {
        const int other = m_across != steps ? m_across : axis == 0 ? 1 : 0;
        if (other >= m_axes.size())
            return; // there is no second axis to take its place
        m_down = other;
    }
    m_across = axis;
}

void InsideModel::setCurveAxis(int axis)
{
    m_curveAxis = axis;
    makeCurves();
}

void InsideModel::setPlace(int axis, int index)
{
    m_places[m_axes.value(axis)] = index;
    makeCurves();
}

std::set<int> InsideModel::selectedOn(int axis) const
{
    const QString name = m_axes.value(axis);
    if (name == QLatin1String("layer"))
        return m_selection.layers;
    if (name == QLatin1String("expert"))
        return m_selection.experts;
    std::set<int> chosen;
    const QStringList known = labels(axis);
    if (name == QLatin1String("module"))
        for (const QString& module : m_selection.modules)
            chosen.insert(static_cast<int>(known.indexOf(module)));
    if (name == QLatin1String("task"))
        for (const QString& task : m_selection.tasks)
            chosen.insert(static_cast<int>(known.indexOf(task)));
    chosen.erase(-1);
    return chosen;
}

void InsideModel::setSelection(const SelectionState& selection)
{
    m_selection = selection;
    applySelection();
}

void InsideModel::applySelection()
{
    m_curves.emphasised = selectedOn(m_curveAxis);
}

bool InsideModel::hasData() const
{
    return m_measure != nullptr && !m_measure->empty();
}

std::vector<std::size_t> InsideModel::positions(int axis, int index, int otherAxis, int otherIndex) const
{
    std::vector<int> wanted;
    for (int a = 0; a < m_axes.size(); ++a)
        wanted.push_back(a == axis ? index : a == otherAxis ? otherIndex : place(a));
    const int expert = this->axis(QStringLiteral("expert"));
    return m_known.part(positionsAt(m_measure->info(), wanted),
                        expert >= 0 && wanted[static_cast<std::size_t>(expert)] >= 0);
}

QString InsideModel::placesText(int drawn, int alsoDrawn) const
{
    QString text;
    QStringList averaged;
    for (int axis = 0; axis < m_axes.size(); ++axis) {
        const QStringList known = labels(axis);
        if (axis == drawn || axis == alsoDrawn || known.size() < 2)
            continue;
        const int index = place(axis);
        if (index == mean)
            averaged << pluralOf(m_axes[axis]);
        else
            text += QStringLiteral(", ") + placeOn(m_axes[axis], known[index]);
    }
    return averaged.isEmpty() ? text
                              : text + QStringLiteral(", mean over ") + averaged.join(QStringLiteral(", "));
}

void InsideModel::makeCurves()
{
    m_curves = CurvePlot();
    std::vector<std::vector<std::size_t>> groups;
    if (m_measure != nullptr) {
        const QStringList known = m_curveAxis < 0 ? QStringList{QString()} : labels(m_curveAxis);
        const QString axisName = m_axes.value(m_curveAxis);
        const auto count = static_cast<int>(known.size());
        const bool ordered = axisName == QLatin1String("layer") || count > categoryCount;
        for (int i = 0; i < count; ++i) {
            groups.push_back(positions(m_curveAxis, i));
            Curve curve;
            curve.label = placeOn(axisName, known[i]);
            curve.name = curve.label + placesText(m_curveAxis, -1);
            if (m_curveAxis < 0)
                curve.name = titleOf(m_measure->info());
            curve.key = i;
            curve.place = known[i];
            if (ordered)
                curve.depth = count > 1 ? static_cast<double>(i) / (count - 1) : 0;
            else
                curve.category = i;
            m_curves.curves.push_back(std::move(curve));
        }
        const record::MeasureInfo& info = m_measure->info();
        m_curves.title = QString::fromStdString(info.title) + placesText(m_curveAxis, -1);
        m_curves.unit = QString::fromStdString(info.unit);
        m_curves.yTitle = titleOf(info);
        m_curves.curveNoun = axisName;
        m_curves.legend = count < 2 ? CurveLegend::None
                          : ordered ? CurveLegend::Depth
                                    : CurveLegend::Categories;
        if (count > 1) {
            m_curves.depthLow = m_curves.curves.front().label;
            m_curves.depthHigh = known.last();
        }
        m_curves.showBand = count > mostLines;
        m_curves.emptyText = QStringLiteral("%1 has not been measured here yet").arg(m_curves.yTitle);
    }
    m_feed.reset(m_measure, std::move(groups), 0, true);
    applySelection();
    append();
}

bool InsideModel::append()
{
    m_range.update(m_measure);
    if (m_known.update(m_measure)) {
        makeCurves();
        return true;
    }
    return m_feed.pull(m_curves);
}

std::vector<std::size_t> InsideModel::shownRows(std::int64_t step) const
{
    const auto known = m_measure->steps();
    const auto count =
        static_cast<std::size_t>(std::upper_bound(known.begin(), known.end(), step) - known.begin());
    const std::size_t columns = std::min(count, mostSteps);
    std::vector<std::size_t> rows;
    for (std::size_t column = 0; column < columns; ++column) // the newest is always among them
        rows.push_back((column + 1) * count / columns - 1);
    return rows;
}

QString InsideModel::averagedAxes(int drawn, int alsoDrawn) const
{
    QStringList averaged;
    for (int axis = 0; axis < m_axes.size(); ++axis)
        if (axis != drawn && axis != alsoDrawn && labels(axis).size() > 1 && place(axis) == mean)
            averaged << pluralOf(m_axes[axis]);
    return averaged.join(QStringLiteral(" × "));
}

void InsideModel::fillSteps(HeatMap& map, std::int64_t step) const
{
    std::vector<std::vector<std::size_t>> groups;
    for (int row = 0; row < map.rows(); ++row)
        groups.push_back(positions(m_down, row));
    const auto shown = shownRows(step);
    for (const std::size_t row : shown)
        map.columnLabels << QString::number(m_measure->steps()[row]);
    map.values.assign(groups.size() * shown.size(), std::numeric_limits<float>::quiet_NaN());
    // A value stands until the next one: measures that take turns leave most places of a row empty.
    std::vector<float> latest(m_measure->info().size(), std::numeric_limits<float>::quiet_NaN());
    bool stands = false;
    std::size_t next = 0;
    for (std::size_t column = 0; column < shown.size(); ++column) {
        for (; next <= shown[column]; ++next) {
            const auto values = m_measure->row(next);
            for (std::size_t i = 0; i < latest.size(); ++i)
                if (std::isfinite(values[i]))
                    latest[i] = values[i];
        }
        const auto values = m_measure->row(shown[column]);
        for (std::size_t row = 0; row < groups.size(); ++row) {
            map.values[row * shown.size() + column] = static_cast<float>(measuredMean(latest, groups[row]));
            stands = stands || std::ranges::any_of(groups[row], [&](std::size_t position) {
                         return std::isfinite(latest[position]) && !std::isfinite(values[position]);
                     });
        }
    }
    if (stands)
        map.note = QStringLiteral("a value stands until it is measured again");
}

HeatMap InsideModel::map(std::int64_t step, bool automatic) const
{
    HeatMap map;
    map.emptyText = QStringLiteral("No values at or before this step");
    if (m_measure == nullptr || m_down < 0)
        return map;
    const record::MeasureInfo& info = m_measure->info();
    const QStringList& names = m_axes;
    map.measure = m_name;
    map.rowTitle = names[m_down];
    map.rowLabels = labels(m_down);
    map.columnTitle = m_across == steps ? QStringLiteral("optimizer step") : names[m_across];
    map.valueTitle = titleOf(info);
    map.unit = QString::fromStdString(info.unit);
    map.selectedRows = selectedOn(m_down);
    if (m_across == steps) {
        map.title = QStringLiteral("%1, up to step %2").arg(QString::fromStdString(info.title)).arg(step) +
                    placesText(m_down, -1);
        fillSteps(map, step);
    } else {
        map.title = QStringLiteral("%1, step %2").arg(QString::fromStdString(info.title)).arg(step) +
                    placesText(m_down, m_across);
        map.columnLabels = labels(m_across);
        map.selectedColumns = selectedOn(m_across);
        const Latest latest = latestAt(m_measure, step);
        Coverage coverage;
        for (int row = 0; row < map.rows(); ++row)
            for (int column = 0; column < map.columns(); ++column) {
                const auto where = positions(m_down, row, m_across, column);
                map.values.push_back(static_cast<float>(measuredMean(latest.values, where)));
                coverage.add(latest, where);
            }
        map.note = noteOf(map, coverage, step, averagedAxes(m_down, m_across));
    }
    const auto any = [expert = axis(QStringLiteral("expert"))](int drawn) {
        return drawn == expert ? 0 : mean;
    };
    if (positions(m_down, any(m_down), m_across, any(m_across)).empty())
        map.emptyText = QStringLiteral("No experts here; the mean over experts shows what there is");
    setScale(map, m_range, automatic);
    return map;
}

QString InsideModel::reading(int row, int column, std::int64_t step) const
{
    if (m_measure == nullptr || m_down < 0 || row < 0 || column < 0)
        return {};
    const QStringList& names = m_axes;
    QString lines = QString::fromStdString(m_measure->info().title);
    std::int64_t at = step;
    if (m_across == steps) {
        const auto shown = shownRows(step);
        if (static_cast<std::size_t>(column) >= shown.size())
            return {};
        at = m_measure->steps()[shown[static_cast<std::size_t>(column)]];
    }
    for (int axis = 0; axis < names.size(); ++axis) {
        const int index = axis == m_down ? row : axis == m_across ? column : place(axis);
        lines += QStringLiteral("\n%1: %2")
                     .arg(names[axis], index == mean ? QStringLiteral("mean") : labels(axis).value(index));
    }
    if (m_across == steps)
        lines += QStringLiteral("\nstep: %1").arg(at);
    const auto where = m_across == steps ? positions(m_down, row) : positions(m_down, row, m_across, column);
    if (where.empty())
        return lines + QStringLiteral("\nno experts here");
    const Latest latest = m_measure->latestOf(where, at);
    Coverage coverage;
    coverage.add(latest);
    const double value = measuredMean(latest.values);
    if (!coverage.any())
        return lines + QStringLiteral("\nnot measured up to step %1").arg(at);
    const QString share = coverage.share(averagedAxes(m_down, m_across));
    return lines + (share.isEmpty() ? share : QStringLiteral("\nmean of ") + share) + QLatin1Char('\n') +
           coverage.when() + QStringLiteral("\nvalue: ") +
           (exactNumber(value) + QLatin1Char(' ') + QString::fromStdString(m_measure->info().unit)).trimmed();
}

CsvTable InsideModel::curveTable() const
{
    CsvTable table;
    if (m_measure == nullptr)
        return table;
    table.measure = m_name;
    table.header << QStringLiteral("step");
    std::vector<std::vector<std::size_t>> groups;
    for (int i = 0; i < static_cast<int>(m_curves.curves.size()); ++i) {
        const QString label = m_curves.curves[static_cast<std::size_t>(i)].label;
        table.header << columnName(label.isEmpty() ? m_name : label, m_curves.unit);
        groups.push_back(positions(m_curveAxis, i));
    }
    addStepRows(table, *m_measure, groups);
    return table;
}

CsvTable InsideModel::mapTable(std::int64_t step) const
{
    return tableOf(map(step, true));
}

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/measure_access.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rankscope::views
{

QStringList axisLabels(const record::Measure* measure, const char* axis)
{
    QStringList labels;
    if (measure == nullptr)
        return labels;
    if (const auto place = measure->info().axis(axis))
        for (const std::string& label : measure->info().axes[*place].labels)
            labels << QString::fromStdString(label);
    return labels;
}

QString definitionOf(const record::MeasureInfo* info)
{
    return info == nullptr ? QString() : QString::fromStdString(info->title + ": " + info->definition);
}

int axisIndex(const record::Measure* measure, const char* axis, const QString& label)
{
    const QStringList labels = axisLabels(measure, axis);
    if (label.isEmpty() || labels.isEmpty())
        return -1;
    const auto index = labels.indexOf(label);
    return static_cast<int>(index < 0 ? labels.size() : index);
}

std::vector<std::size_t> positionsWhere(const record::MeasureInfo& info,
                                        std::initializer_list<std::pair<const char*, int>> where)
{
    std::vector<int> wanted(info.axes.size(), -1);
    for (const auto& [name, index] : where)
        if (const auto place = info.axis(name))
            wanted[*place] = index;
    return positionsAt(info, wanted);
}

std::vector<std::size_t> positionsAt(const record::MeasureInfo& info, const std::vector<int>& wanted)
{
    // Axis by axis: each known start is continued by the chosen index, or by all of them.
    std::vector<std::size_t> positions{0};
    for (std::size_t a = 0; a < info.axes.size(); ++a) {
        const std::size_t length = info.axes[a].labels.size();
        if (wanted[a] >= 0 && static_cast<std::size_t>(wanted[a]) >= length)
            return {};
        std::vector<std::size_t> next;
        for (const std::size_t start : positions)
            for (std::size_t i = 0; i < length; ++i)
                if (wanted[a] < 0 || static_cast<std::size_t>(wanted[a]) == i)
                    next.push_back(start * length + i);
        positions = std::move(next);
    }
    return positions;
}

Latest latestAt(const record::Measure* measure, std::int64_t step)
{
    return measure == nullptr ? Latest() : measure->latestAt(step);
}

double measuredMean(const std::vector<float>& values)
{
    double sum = 0;
    std::size_t count = 0;
    for (const float value : values)
        if (std::isfinite(value)) {
            sum += value;
            ++count;
        }
    return count == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(count);
}

double measuredMean(const std::vector<float>& values, const std::vector<std::size_t>& positions)
{
    std::vector<float> chosen;
    chosen.reserve(positions.size());
    for (const std::size_t position : positions)
        chosen.push_back(values[position]);
    return measuredMean(chosen);
}

void RunningRange::update(const record::Measure* measure)
{
    const std::size_t rows = measure == nullptr ? 0 : measure->steps().size();
    if (rows < m_rows)
        clear();
    for (; m_rows < rows; ++m_rows)
        for (const float value : measure->row(m_rows))
            if (std::isfinite(value)) {
                m_minimum = m_known ? std::min<double>(m_minimum, value) : value;
                m_maximum = m_known ? std::max<double>(m_maximum, value) : value;
                if (value > 0)
                    m_smallestPositive = hasPositive() ? std::min<double>(m_smallestPositive, value) : value;
                m_known = true;
            }
}

} // namespace rankscope::views

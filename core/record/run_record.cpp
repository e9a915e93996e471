// SPDX-License-Identifier: Apache-2.0
#include "core/record/run_record.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace rankscope::record
{
namespace
{

constexpr float notMeasured = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t never = std::numeric_limits<std::size_t>::max();

} // namespace

std::size_t MeasureInfo::size() const
{
    std::size_t size = 1;
    for (const auto& axis : axes)
        size *= axis.labels.size();
    return size;
}

std::optional<std::size_t> MeasureInfo::axis(const std::string& name) const
{
    const auto found = std::ranges::find(axes, name, &Axis::name);
    if (found == axes.end())
        return std::nullopt;
    return static_cast<std::size_t>(found - axes.begin());
}

Measure::Measure(MeasureInfo info) : m_info(std::move(info)) {}

std::span<const float> Measure::row(std::size_t row) const
{
    const std::size_t size = m_info.size();
    return std::span<const float>(m_values).subspan(row * size, size);
}

std::vector<float> Measure::series(std::size_t position) const
{
    const std::size_t size = m_info.size();
    std::vector<float> values;
    values.reserve(m_steps.size());
    for (std::size_t row = 0; row < m_steps.size(); ++row)
        values.push_back(m_values[row * size + position]);
    return values;
}

std::size_t Measure::position(std::span<const std::size_t> indices) const
{
    std::size_t position = 0;
    for (std::size_t i = 0; i < m_info.axes.size() && i < indices.size(); ++i)
        position = position * m_info.axes[i].labels.size() + indices[i];
    return position;
}

std::optional<std::size_t> Measure::rowAt(std::int64_t step) const
{
    const auto after = std::ranges::upper_bound(m_steps, step);
    if (after == m_steps.begin())
        return std::nullopt;
    return static_cast<std::size_t>(after - m_steps.begin()) - 1;
}

Measure::Latest Measure::latestAt(std::int64_t step) const
{
    std::vector<std::size_t> all(m_info.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    return latestOf(all, step);
}

Measure::Latest Measure::latestOf(std::span<const std::size_t> positions, std::int64_t step) const
{
    Latest latest{std::vector<float>(positions.size(), notMeasured),
                  std::vector<std::int64_t>(positions.size(), -1)};
    const auto newest = rowAt(step);
    // What has not been measured up to there is not looked for: not in all of a long run, at every look.
    std::vector<std::size_t> missing;
    for (std::size_t i = 0; newest && i < positions.size(); ++i)
        if (m_first[positions[i]] <= *newest)
            missing.push_back(i);
    for (std::size_t next = newest ? *newest + 1 : 0; next > 0 && !missing.empty(); --next) {
        const auto source = row(next - 1);
        std::erase_if(missing, [&](std::size_t i) {
            const float value = source[positions[i]];
            if (std::isnan(value))
                return false;
            latest.values[i] = value;
            latest.steps[i] = m_steps[next - 1];
            return true;
        });
    }
    return latest;
}

float Measure::last(std::size_t position) const
{
    const std::size_t size = m_info.size();
    if (m_steps.empty() || position >= size)
        return notMeasured;
    return m_values[(m_steps.size() - 1) * size + position];
}

bool Measure::append(std::int64_t step, std::span<const float> values)
{
    if (values.size() != m_info.size() || (!m_steps.empty() && step < m_steps.back()))
        return false;
    if (!m_steps.empty() && step == m_steps.back()) {
        std::ranges::copy(values, m_values.end() - static_cast<std::ptrdiff_t>(values.size()));
    } else {
        m_steps.push_back(step);
        m_values.insert(m_values.end(), values.begin(), values.end());
    }
    const std::size_t row = m_steps.size() - 1;
    m_first.resize(values.size(), never); // only now: what a file defines need not fit the memory
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!std::isnan(values[i]))
            m_first[i] = std::min(m_first[i], row);
        else if (m_first[i] == row) // it was replaced
            m_first[i] = never;
    }
    return true;
}

void Measure::rewind(std::int64_t step)
{
    const auto kept = static_cast<std::size_t>(std::ranges::upper_bound(m_steps, step) - m_steps.begin());
    m_steps.resize(kept);
    m_values.resize(kept * m_info.size());
    std::ranges::replace_if(
        m_first, [kept](std::size_t row) { return row >= kept; }, never);
}

const Measure* RunRecord::measure(const std::string& name) const
{
    const auto found = m_measures.find(name);
    return found == m_measures.end() ? nullptr : &found->second;
}

Measure& RunRecord::define(const MeasureInfo& info)
{
    const auto found = m_measures.find(info.name);
    if (found == m_measures.end())
        return m_measures.emplace(info.name, Measure(info)).first->second;
    if (found->second.info().axes != info.axes)
        found->second = Measure(info);
    return found->second;
}

Measure* RunRecord::mutableMeasure(const std::string& name)
{
    const auto found = m_measures.find(name);
    return found == m_measures.end() ? nullptr : &found->second;
}

void RunRecord::bindId(std::uint32_t id, const std::string& name)
{
    m_ids[id] = name;
}

Measure* RunRecord::measureOfId(std::uint32_t id)
{
    const auto found = m_ids.find(id);
    return found == m_ids.end() ? nullptr : mutableMeasure(found->second);
}

std::string RunRecord::state() const
{
    return states.empty() ? std::string() : states.back().state;
}

std::int64_t RunRecord::lastStep() const
{
    std::int64_t step = 0;
    for (const auto& [name, measure] : m_measures) {
        if (!measure.empty())
            step = std::max(step, measure.steps().back());
    }
    return step;
}

void RunRecord::rewind(std::int64_t step)
{
    for (auto& [name, measure] : m_measures)
        measure.rewind(step);
    std::erase_if(checkpoints, [step](const CheckpointEntry& entry) { return entry.step > step; });
}

} // namespace rankscope::record

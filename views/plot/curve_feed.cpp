// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/curve_feed.h"

#include "views/plot/measure_access.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rankscope::views
{

namespace
{

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
constexpr std::ptrdiff_t mostCloseRows = 2048; ///< more points than this lie side by side on any screen
constexpr double forgotten = 1e-9;             ///< weight of the past that no longer counts in a mean

/// What a curve is made from, to go over a stretch of it again.
struct Source {
    const record::Measure* measure;
    std::size_t size; ///< that the group was made for
    std::vector<std::size_t> group;
    double smoothing;

    [[nodiscard]] bool measuredIn(std::size_t row) const
    {
        const auto values = measure->row(row);
        return std::ranges::any_of(group,
                                   [&](std::size_t position) { return std::isfinite(values[position]); });
    }
    /// The row so many measured ones before it, or the first.
    [[nodiscard]] std::size_t back(std::size_t row, std::size_t count) const
    {
        while (row > 0 && count > 0)
            if (measuredIn(--row))
                --count;
        return row;
    }
    [[nodiscard]] std::optional<MinMaxSeries> closeUp(double from, double to) const;
};

std::optional<MinMaxSeries> Source::closeUp(double from, double to) const
{
    if (measure->info().size() != size)
        return std::nullopt; // announced anew with other axes
    const auto steps = measure->steps();
    const auto low =
        std::ranges::lower_bound(steps, from, {}, [](std::int64_t step) { return double(step); });
    auto high = std::ranges::upper_bound(steps, to, {}, [](std::int64_t step) { return double(step); });
    if (high - low > mostCloseRows)
        return std::nullopt;
    // A point beyond each side: the lines go on to the edges.
    const std::size_t first = back(static_cast<std::size_t>(low - steps.begin()), 1);
    auto end = static_cast<std::size_t>(high - steps.begin());
    while (end < steps.size() && !measuredIn(end++)) {
    }
    const std::size_t start =
        smoothing > 0 ? back(first, static_cast<std::size_t>(std::log(forgotten) / std::log(smoothing)) + 1)
                      : first;
    std::vector<float> newest = measure->latestOf(group, start == 0 ? -1 : steps[start - 1]).values;
    MinMaxSeries points(end - first + 1);
    RunningMean mean(smoothing);
    for (std::size_t row = start; row < end; ++row) {
        if (!measuredIn(row))
            continue;
        for (std::size_t i = 0; i < group.size(); ++i)
            if (const float value = measure->row(row)[group[i]]; std::isfinite(value))
                newest[i] = value;
        const double value = mean.add(measuredMean(newest));
        if (row >= first)
            points.append(static_cast<double>(steps[row]), value);
    }
    return points;
}

} // namespace

void CurveFeed::reset(const record::Measure* measure, std::vector<std::vector<std::size_t>> groups,
                      double smoothing, bool withBand)
{
    m_measure = measure;
    m_groups = std::move(groups);
    m_smoothing = smoothing;
    m_band = withBand;
    m_rows = 0;
    m_lastStep = -1;
    m_latest.assign(measure == nullptr ? 0 : measure->info().size(), std::numeric_limits<float>::quiet_NaN());
    m_current.assign(m_groups.size(), unknown);
    m_means.assign(m_groups.size(), RunningMean(smoothing));
}

bool CurveFeed::pull(CurvePlot& plot)
{
    if (m_measure == nullptr || m_measure->info().size() != m_latest.size())
        return false; // announced anew with other axes: the model makes its plot again
    const auto steps = m_measure->steps();
    const bool rewound = m_rows > 0 && (steps.size() < m_rows || steps[m_rows - 1] != m_lastStep);
    if (rewound) {
        for (Curve& curve : plot.curves)
            curve.data.clear();
        plot.band = CurveBand();
        reset(m_measure, std::move(m_groups), m_smoothing, m_band);
    }
    const bool changed = rewound || m_rows < steps.size();
    const std::size_t count = std::min(m_groups.size(), plot.curves.size());
    for (std::size_t c = 0; c < plot.curves.size() && !m_groups.empty(); ++c)
        if (!plot.curves[c].closeUp)
            plot.curves[c].closeUp =
                [source = Source{m_measure, m_latest.size(), m_groups[c % m_groups.size()],
                                 c < m_groups.size() ? m_smoothing : 0}](double from, double to) {
                    return source.closeUp(from, to);
                };
    for (; m_rows < steps.size(); ++m_rows) {
        const auto row = m_measure->row(m_rows);
        const auto step = static_cast<double>(steps[m_rows]);
        std::size_t fresh = 0;
        for (std::size_t c = 0; c < count; ++c) {
            bool measured = false;
            double sum = 0;
            std::size_t known = 0;
            for (const std::size_t position : m_groups[c]) {
                if (std::isfinite(row[position])) {
                    m_latest[position] = row[position];
                    measured = true;
                }
                if (std::isfinite(m_latest[position])) {
                    sum += m_latest[position];
                    ++known;
                }
            }
            if (!measured)
                continue;
            ++fresh;
            const double value = sum / static_cast<double>(known);
            m_current[c] = value;
            plot.curves[c].data.append(step, m_means[c].add(value));
            if (m_smoothing > 0 && m_groups.size() + c < plot.curves.size())
                plot.curves[m_groups.size() + c].data.append(step, value);
        }
        if (m_band && fresh > 0) {
            plot.band.append(step, m_current);
            const auto known =
                std::ranges::count_if(m_current, [](double value) { return std::isfinite(value); });
            plot.band.standing = plot.band.standing || static_cast<std::size_t>(known) > fresh;
        }
        m_lastStep = steps[m_rows];
    }
    return changed;
}

} // namespace rankscope::views

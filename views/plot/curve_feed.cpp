// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/curve_feed.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rankscope::views
{

namespace
{
constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
}

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
    m_mean.assign(m_groups.size(), 0);
    m_weight.assign(m_groups.size(), 0);
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
    for (; m_rows < steps.size(); ++m_rows) {
        const auto row = m_measure->row(m_rows);
        const auto step = static_cast<double>(steps[m_rows]);
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
            const double value = sum / static_cast<double>(known);
            m_current[c] = value;
            if (m_smoothing > 0) {
                m_mean[c] = m_smoothing * m_mean[c] + (1 - m_smoothing) * value;
                m_weight[c] = m_smoothing * m_weight[c] + (1 - m_smoothing);
                plot.curves[c].data.append(step, m_mean[c] / m_weight[c]);
                if (m_groups.size() + c < plot.curves.size())
                    plot.curves[m_groups.size() + c].data.append(step, value);
            } else {
                plot.curves[c].data.append(step, value);
            }
        }
        if (m_band)
            appendBand(plot, step);
        m_lastStep = steps[m_rows];
    }
    return changed;
}

void CurveFeed::appendBand(CurvePlot& plot, double step)
{
    std::vector<double> values;
    values.reserve(m_current.size());
    std::copy_if(m_current.begin(), m_current.end(), std::back_inserter(values),
                 [](double value) { return std::isfinite(value); });
    if (values.empty())
        return;
    std::sort(values.begin(), values.end());
    const auto quantile = [&values](double q) {
        const double place = q * static_cast<double>(values.size() - 1);
        const auto low = static_cast<std::size_t>(place);
        const std::size_t high = std::min(low + 1, values.size() - 1);
        return values[low] + (values[high] - values[low]) * (place - static_cast<double>(low));
    };
    plot.band.low.append(step, quantile(0.1));
    plot.band.median.append(step, quantile(0.5));
    plot.band.high.append(step, quantile(0.9));
}

} // namespace rankscope::views

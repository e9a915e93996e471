// SPDX-License-Identifier: GPL-3.0-or-later
// Appends a measure's new rows to the curves of a plot; never goes over old rows twice.
#pragma once

#include "core/record/run_record.h"
#include "views/plot/curve_plot.h"

#include <cstdint>
#include <vector>

namespace rankscope::views
{

/// Exponential mean, without the bias towards its start. With a smoothing of zero it is the last value.
class RunningMean
{
public:
    explicit RunningMean(double smoothing) : m_smoothing(smoothing) {}
    double add(double value)
    {
        m_sum = m_smoothing * m_sum + (1 - m_smoothing) * value;
        m_weight = m_smoothing * m_weight + (1 - m_smoothing);
        return m_sum / m_weight;
    }

private:
    double m_smoothing;
    double m_sum = 0;
    double m_weight = 0;
};

class CurveFeed
{
public:
    /// Curve c of the plot shows the mean of the measured values at groups[c]. With `smoothing` above zero
    /// the curves come in pairs: the raw one (groups.size() + c) and the exponential mean (c).
    void reset(const record::Measure* measure, std::vector<std::vector<std::size_t>> groups,
               double smoothing = 0, bool withBand = false);
    /// Appends what is new. A record that was rewound is read again from its start. True if anything changed.
    bool pull(CurvePlot& plot);
    [[nodiscard]] const record::Measure* measure() const { return m_measure; }

private:
    const record::Measure* m_measure = nullptr;
    std::vector<std::vector<std::size_t>> m_groups;
    double m_smoothing = 0;
    bool m_band = false;
    std::size_t m_rows = 0;
    std::int64_t m_lastStep = -1;
    std::vector<float> m_latest;   ///< newest value of each position in use
    std::vector<double> m_current; ///< newest value of each curve
    std::vector<RunningMean> m_means;
};

} // namespace rankscope::views

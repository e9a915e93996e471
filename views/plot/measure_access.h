// SPDX-License-Identifier: GPL-3.0-or-later
// Reading a measure by the names of its axes, whatever their order and whether they exist.
#pragma once

#include "core/record/run_record.h"

#include <QString>
#include <QStringList>

#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

namespace rankscope::views
{

/// Labels of an axis; empty where the measure has no such axis.
QStringList axisLabels(const record::Measure* measure, const char* axis);
/// "Title: definition."; empty for none.
QString definitionOf(const record::MeasureInfo* info);
/// Index of a label on an axis; -1, which stands for any, only for an empty label or an axis that the measure
/// does not have. A label that the axis does not have gets an index beyond it: there are no positions there.
int axisIndex(const record::Measure* measure, const char* axis, const QString& label);

/// The positions where each named axis has the given index (or any, for -1), other axes at any index. Names
/// that the measure does not have are ignored.
std::vector<std::size_t> positionsWhere(const record::MeasureInfo& info,
                                        std::initializer_list<std::pair<const char*, int>> where);

/// The same with an index (or -1) for every axis, in their order.
std::vector<std::size_t> positionsAt(const record::MeasureInfo& info, const std::vector<int>& wanted);

using Latest = record::Measure::Latest;
/// Of every position. None where there is no measure.
Latest latestAt(const record::Measure* measure, std::int64_t step);

/// Mean of the measured values; NaN if there is none.
double measuredMean(const std::vector<float>& values);
double measuredMean(const std::vector<float>& values, const std::vector<std::size_t>& positions);

/// Smallest and largest measured value over all rows, kept up to date as rows arrive.
class RunningRange
{
public:
    void update(const record::Measure* measure);
    [[nodiscard]] bool known() const { return m_known; }
    [[nodiscard]] double minimum() const { return m_minimum; }
    [[nodiscard]] double maximum() const { return m_maximum; }
    /// For logarithmic axes.
    [[nodiscard]] bool hasPositive() const { return m_smallestPositive > 0; }
    [[nodiscard]] double smallestPositive() const { return m_smallestPositive; }
    void clear() { *this = {}; }

private:
    std::size_t m_rows = 0;
    bool m_known = false;
    double m_minimum = 0;
    double m_maximum = 0;
    double m_smallestPositive = 0; ///< 0: none
};

} // namespace rankscope::views

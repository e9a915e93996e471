// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/coverage.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace rankscope::views
{

namespace
{

/// "4 of 30 layers measured"; empty where every cell is.
QString subsetOf(const HeatMap& map)
{
    std::vector<bool> rows(static_cast<std::size_t>(map.rows()));
    std::vector<bool> columns(static_cast<std::size_t>(map.columns()));
    std::ptrdiff_t cells = 0;
    for (int row = 0; row < map.rows(); ++row)
        for (int column = 0; column < map.columns(); ++column)
            if (std::isfinite(map.value(row, column))) {
                rows[static_cast<std::size_t>(row)] = columns[static_cast<std::size_t>(column)] = true;
                ++cells;
            }
    const auto text = [](std::ptrdiff_t measured, std::size_t all, const QString& noun) {
        return QStringLiteral("%1 of %2 %3 measured").arg(measured).arg(all).arg(pluralOf(noun));
    };
    const auto knownRows = std::ranges::count(rows, true);
    const auto knownColumns = std::ranges::count(columns, true);
    QStringList parts;
    if (knownRows < map.rows())
        parts << text(knownRows, rows.size(), map.rowTitle);
    if (knownColumns < map.columns())
        parts << text(knownColumns, columns.size(), map.columnTitle);
    if (cells < knownRows * knownColumns)
        parts << text(cells, map.values.size(), QStringLiteral("cell"));
    return parts.join(QStringLiteral(", "));
}

} // namespace

QString pluralOf(const QString& noun)
{
    return noun == QLatin1String("index") ? QStringLiteral("indices") : noun + QLatin1Char('s');
}

void Coverage::add(const Latest& latest, const std::vector<std::size_t>& positions)
{
    std::size_t measured = 0;
    for (const std::size_t position : positions) {
        const std::int64_t step = latest.steps[position];
        if (step < 0)
            continue;
        ++measured;
        m_oldest = m_oldest < 0 ? step : std::min(m_oldest, step);
        m_newest = std::max(m_newest, step);
    }
    if (measured == 0)
        return;
    // What is whole of fewer positions (a module without experts) says nothing of a mean over more.
    if (measured == positions.size() && measured < m_positions)
        return;
    if (positions.size() > m_positions && m_fewest == m_positions)
        m_fewest = m_most = 0;
    m_fewest = m_fewest == 0 ? measured : std::min(m_fewest, measured);
    m_most = std::max(m_most, measured);
    m_positions = std::max(m_positions, positions.size());
}

void Coverage::add(const Latest& latest)
{
    std::vector<std::size_t> all(latest.steps.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    add(latest, all);
}

QString Coverage::when() const
{
    if (!any())
        return QStringLiteral("not measured");
    return m_oldest == m_newest ? QStringLiteral("measured at step %1").arg(m_newest)
                                : QStringLiteral("measured at steps %1 to %2").arg(m_oldest).arg(m_newest);
}

QString Coverage::share(const QString& noun) const
{
    if (m_fewest == m_positions)
        return {};
    const QString count =
        m_fewest == m_most ? QString::number(m_most) : QStringLiteral("%1 to %2").arg(m_fewest).arg(m_most);
    return QStringLiteral("%1 of %2 %3").arg(count).arg(m_positions).arg(noun);
}

QString noteOf(const HeatMap& map, const Coverage& coverage, std::int64_t step, const QString& averaged)
{
    if (!coverage.any())
        return {};
    QStringList parts;
    if (!coverage.isAt(step))
        parts << coverage.when();
    if (const QString subset = subsetOf(map); !subset.isEmpty())
        parts << subset;
    if (const QString share = averaged.isEmpty() ? QString() : coverage.share(averaged); !share.isEmpty())
        parts << QStringLiteral("mean of ") + share;
    return parts.join(QStringLiteral(", "));
}

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
// What the values shown stand on: measures that take turns are known for some places and from several steps.
#pragma once

#include "views/plot/heat_map.h"
#include "views/plot/measure_access.h"

#include <QString>

#include <cstdint>
#include <vector>

namespace rankscope::views
{

/// "indices"
QString pluralOf(const QString& noun);

class Coverage
{
public:
    /// One value shown: the mean over these positions.
    void add(const Latest& latest, const std::vector<std::size_t>& positions);
    /// One value shown: the mean over all of them.
    void add(const Latest& latest);

    [[nodiscard]] bool any() const { return m_newest >= 0; }
    /// Whether everything shown was measured at that very step.
    [[nodiscard]] bool isAt(std::int64_t step) const { return m_oldest == step && m_newest == step; }
    /// "measured at step 18", "measured at steps 4 to 18", "not measured".
    [[nodiscard]] QString when() const;
    /// "3 of 8 experts" that each mean is over, "1 to 3 of 8 experts"; empty where all are.
    [[nodiscard]] QString share(const QString& noun) const;

private:
    std::int64_t m_oldest = -1;
    std::int64_t m_newest = -1;
    std::size_t m_fewest = 0; ///< measured positions of one value
    std::size_t m_most = 0;
    std::size_t m_positions = 0;
};

/// The map's note: when its values were measured where that is not `step`, in how many of its rows (or
/// columns, or cells) where not in all, and over how many of what (`averaged`) its means are.
QString noteOf(const HeatMap& map, const Coverage& coverage, std::int64_t step, const QString& averaged = {});

} // namespace rankscope::views

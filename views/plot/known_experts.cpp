// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/known_experts.h"

#include <cmath>

namespace rankscope::views
{

bool KnownExperts::update(const record::Measure* measure)
{
    const std::size_t rows = measure == nullptr ? 0 : measure->steps().size();
    const bool rewound = rows < m_rows;
    if (rewound)
        clear();
    if (measure == nullptr)
        return rewound;
    const record::MeasureInfo& info = measure->info();
    const auto expert = info.axis("expert");
    const auto module = info.axis("module");
    if (!expert || !module || info.axes[*expert].labels.size() < 2)
        return rewound;
    if (m_places.empty()) {
        m_places.assign(info.size(), {});
        const auto layer = info.axis("layer");
        std::size_t sites = 1;
        std::size_t stride = info.size();
        for (std::size_t axis = 0; axis < info.axes.size(); ++axis) {
            const std::size_t length = info.axes[axis].labels.size();
            stride /= length;
            const bool ofSite = axis == *module || axis == layer;
            sites *= ofSite ? length : 1;
            for (std::size_t position = 0; position < m_places.size(); ++position) {
                Place& place = m_places[position];
                const std::size_t index = position / stride % length;
                if (axis == *expert)
                    place.expert = index;
                else if (ofSite)
                    place.site = place.site * length + index;
            }
        }
        m_seen.assign(sites, {});
    }
    bool changed = rewound;
    for (; m_rows < rows; ++m_rows) {
        const auto row = measure->row(m_rows);
        for (std::size_t position = 0; position < row.size(); ++position) {
            if (!std::isfinite(row[position]))
                continue;
            const Place& place = m_places[position];
            Seen& seen = m_seen[place.site];
            bool& known = place.expert == 0 ? seen.first : seen.others;
            changed = changed || !known;
            known = true;
        }
    }
    return changed;
}

std::vector<std::size_t> KnownExperts::part(std::vector<std::size_t> positions, bool one) const
{
    std::erase_if(positions, [&](std::size_t position) {
        if (m_places.empty())
            return false;
        const auto& [site, expert] = m_places[position];
        const bool single = m_seen[site].first && !m_seen[site].others;
        return single && (one || expert > 0);
    });
    return positions;
}

} // namespace rankscope::views

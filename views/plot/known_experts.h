// SPDX-License-Identifier: GPL-3.0-or-later
// Which modules have experts: a module with a single adapter fills expert 0 of a measure alone. It is no
// expert 0: it belongs to the mean over experts and to none of them.
#pragma once

#include "core/record/run_record.h"

#include <cstddef>
#include <vector>

namespace rankscope::views
{

class KnownExperts
{
public:
    /// Takes the rows that came since the last call. True if part() gives something else from now on.
    bool update(const record::Measure* measure);
    void clear() { *this = {}; }

    /// Of positions at one expert (`one`) or at all of them: those that the modules have. Nothing where a
    /// single expert of a module without experts is asked for.
    [[nodiscard]] std::vector<std::size_t> part(std::vector<std::size_t> positions, bool one) const;

private:
    /// A module of a layer, and the expert, that a position of the measure belongs to.
    struct Place {
        std::size_t site = 0;
        std::size_t expert = 0;
    };
    /// What of a site has been measured.
    struct Seen {
        bool first = false;  ///< expert 0
        bool others = false; ///< another one
    };

    std::vector<Place> m_places; ///< by position; none where the measure has no modules or no experts
    std::vector<Seen> m_seen;    ///< by site
    std::size_t m_rows = 0;
};

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
// A control that gives way to the selection, and comes back to its own choice.
#pragma once

#include <optional>
#include <utility>

namespace rankscope::views
{

template <typename T>
class FollowingChoice
{
public:
    /// What the control shows next: `selected`, which is set where the selection names exactly one; else what
    /// it showed before it followed.
    T next(const T& shown, const std::optional<T>& selected)
    {
        if (selected) {
            if (!m_own)
                m_own = shown;
            return *selected;
        }
        return m_own ? *std::exchange(m_own, std::nullopt) : shown;
    }
    /// The user has chosen with the control: what it shows is its own choice.
    void forget() { m_own.reset(); }

private:
    std::optional<T> m_own; ///< while it follows
};

} // namespace rankscope::views

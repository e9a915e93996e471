// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <csignal>
#include <optional>

namespace rankscope::engine
{

/// What the signals that a program in the foreground gets ask of its job. A terminal that closes and
/// timeout(1) send one signal twice, to the process and to its group: only a person's second ^C means to
/// kill.
class StopSignals
{
public:
    using Time = std::chrono::steady_clock::time_point;
    enum class Asks { Nothing, Stop, Kill };
    static constexpr std::chrono::seconds apart{1};

    [[nodiscard]] Asks take(int signal, Time now)
    {
        const bool first = !m_asked;
        m_asked = true;
        if (signal == SIGINT && m_firstInterrupt && now - *m_firstInterrupt >= apart)
            return Asks::Kill;
        if (signal == SIGINT && !m_firstInterrupt)
            m_firstInterrupt = now;
        return first ? Asks::Stop : Asks::Nothing;
    }

private:
    bool m_asked = false;
    std::optional<Time> m_firstInterrupt;
};

} // namespace rankscope::engine

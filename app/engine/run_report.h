// SPDX-License-Identifier: Apache-2.0
// A run in a terminal: its progress as one line, its result as a small table or a JSON object.
#pragma once

#include "core/base/json.h"
#include "core/record/run_record.h"

#include <chrono>
#include <string>

namespace rankscope::engine
{

/// "step 140/200  loss 1.83  412 tok/s  3.1 GB  1:12 left", or what goes on before the first step.
std::string progressLine(const record::RunRecord& run);

/// Accuracy and loss of each task before and after, and the figures of the training.
std::string resultTable(const record::RunRecord& run);

/// The same for programs. Not measured is null.
base::OrderedJson resultJson(const record::RunRecord& run, const std::string& name, const std::string& path);

/// "1:12", "2:03:45".
std::string formatDuration(double seconds);
/// "3.1 GB".
std::string formatBytes(double bytes);

/// Draws progress on standard error: one line that is overwritten on a terminal, now and then a line
/// elsewhere.
class ProgressDisplay
{
public:
    explicit ProgressDisplay(bool quiet);
    ~ProgressDisplay();
    ProgressDisplay(const ProgressDisplay&) = delete;
    ProgressDisplay& operator=(const ProgressDisplay&) = delete;

    /// Shows the run as it is now, and warnings and errors that came since the last call.
    void show(const record::RunRecord& run);
    /// A line of its own above the progress.
    void say(const std::string& line);
    /// Ends the overwritten line.
    void finish();

private:
    void clear();

    bool m_quiet;
    bool m_terminal;
    bool m_drawn = false;
    std::size_t m_notices = 0;
    std::string m_last;
    std::chrono::steady_clock::time_point m_lastTime{};
};

} // namespace rankscope::engine

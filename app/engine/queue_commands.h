// SPDX-License-Identifier: Apache-2.0
// Commands that talk to a supervisor.
#pragma once

#include "app/engine/exit_code.h"

#include <filesystem>
#include <string>

namespace rankscope::engine
{

struct QueueOptions {
    std::filesystem::path socket; ///< empty: the default
    std::filesystem::path runs;   ///< of a supervisor that submit has to start
    std::filesystem::path job;    ///< submit
    std::string run;              ///< watch, stop, resume
    bool now = false;             ///< stop: kill the job
    bool json = false;
};

/// Starts a supervisor in the background if none answers.
ExitCode submitCommand(const QueueOptions& options);
ExitCode listCommand(const QueueOptions& options);
/// Follows a run until it ends; the exit status is that of the run.
ExitCode watchCommand(const QueueOptions& options);
ExitCode stopCommand(const QueueOptions& options);
ExitCode resumeCommand(const QueueOptions& options);

} // namespace rankscope::engine

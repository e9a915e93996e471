// SPDX-License-Identifier: Apache-2.0
// `rankscope-engine run`: one job in the foreground.
#pragma once

#include "app/engine/exit_code.h"

#include <filesystem>
#include <string>

namespace rankscope::engine
{

struct RunOptions {
    std::filesystem::path job;          ///< a job file; with `resume` also a run directory, or nothing
    std::filesystem::path runs;         ///< where the run directory is made
    std::filesystem::path runDirectory; ///< or this very folder
    bool resume = false;
    bool json = false;
};

ExitCode runCommand(const RunOptions& options);

} // namespace rankscope::engine

// SPDX-License-Identifier: GPL-3.0-or-later
// How long a training will take, from one that has been: what a step takes cannot be counted from shapes.
#pragma once

#include "core/protocol/job.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace rankscope::workbench
{

struct TimeEstimate {
    double seconds = 0;        ///< of all optimizer steps, without evaluation, analysis and checkpoints
    double secondsPerStep = 0; ///< of that other run
    std::string run;           ///< its name
};

/// By the first of these runs that trained the same family on the same model and data, in the same number
/// format, with the same greatest length, on the same device and threads: its time for a row. Nothing where
/// there is none. Reads the runs' files, so not on the window's thread; paths in the job are absolute.
std::optional<TimeEstimate> estimateTime(const protocol::Job& job,
                                         const std::vector<std::filesystem::path>& runs);

} // namespace rankscope::workbench

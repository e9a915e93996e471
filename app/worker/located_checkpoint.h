// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/protocol/job.h"

#include <filesystem>

namespace rankscope::worker
{

/// A checkpoint and the job of the run it belongs to.
struct LocatedCheckpoint {
    protocol::Job job;
    std::filesystem::path folder;

    /// The checkpoint meant by a path: itself, or the last complete one of a run directory.
    static Result<LocatedCheckpoint> find(const std::filesystem::path& runOrCheckpoint);
};

} // namespace rankscope::worker

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/protocol/job.h"

#include <filesystem>
#include <span>

namespace rankscope::worker
{

/// A checkpoint and the job of the run it belongs to.
struct LocatedCheckpoint {
    protocol::Job job;
    std::filesystem::path folder;
    std::string baseSha256; ///< of the base model it was trained on; empty where the run does not say

    /// An error if the base model, whose hash is that of `identityFiles`, is not the one it was trained on.
    [[nodiscard]] Status checkBase(std::span<const std::filesystem::path> identityFiles) const;
    /// The checkpoint meant by a path: itself, or the last complete one of a run directory.
    static Result<LocatedCheckpoint> find(const std::filesystem::path& runOrCheckpoint);
};

} // namespace rankscope::worker

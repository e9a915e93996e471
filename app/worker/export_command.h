// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace rankscope::worker
{

struct ExportRequest {
    std::filesystem::path runOrCheckpoint;
    std::string format = "merged"; ///< "merged", "peft"
    std::string dtype = "auto";    ///< of a merged model: "auto", "f32", "bf16", "f16"
    std::filesystem::path folder;
};

/// Writes a run's last checkpoint (or a checkpoint folder inside a run) as a Hugging Face model with the
/// adapter merged into it, or as a PEFT adapter.
int exportCommand(const ExportRequest& request);

} // namespace rankscope::worker

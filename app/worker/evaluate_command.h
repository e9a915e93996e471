// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace rankscope::worker
{

/// Per-task accuracy of a run's last checkpoint (or of a checkpoint folder inside a run) on these files.
int evaluateCommand(const std::filesystem::path& runOrCheckpoint, const std::vector<std::string>& data,
                    bool json);

} // namespace rankscope::worker

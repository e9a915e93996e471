// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace rankscope::worker
{

/// Trains the job in <runDir>/job.json. SIGINT and SIGTERM finish the step, write a checkpoint and end with
/// 0. 0 done or stopped, 1 the work failed, 2 the job is wrong.
int trainCommand(const std::filesystem::path& runDir, bool resume);

} // namespace rankscope::worker

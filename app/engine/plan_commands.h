// SPDX-License-Identifier: Apache-2.0
// Commands that only ask: what a job would cost, which families there are.
#pragma once

#include "app/engine/exit_code.h"

#include <filesystem>

namespace rankscope::engine
{

ExitCode planCommand(const std::filesystem::path& job, bool json);
ExitCode familiesCommand(bool json);

} // namespace rankscope::engine

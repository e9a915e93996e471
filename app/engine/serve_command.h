// SPDX-License-Identifier: Apache-2.0
// `rankscope-engine serve`: the supervisor on its socket.
#pragma once

#include "app/engine/exit_code.h"

#include <filesystem>

namespace rankscope::engine
{

struct ServeOptions {
    std::filesystem::path socket; ///< empty: the default
    std::filesystem::path runs;   ///< empty: the default
    int jobs = 1;
};

ExitCode serveCommand(const ServeOptions& options);

} // namespace rankscope::engine

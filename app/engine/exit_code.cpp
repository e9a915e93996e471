// SPDX-License-Identifier: Apache-2.0
#include "app/engine/exit_code.h"

#include <algorithm>
#include <cstdio>

namespace rankscope::engine
{

ExitCode report(ExitCode code, const Error& error)
{
    std::string line = error.message;
    std::ranges::replace(line, '\n', ' ');
    std::fprintf(stderr, "rankscope-engine: %s\n", line.c_str());
    return code;
}

} // namespace rankscope::engine

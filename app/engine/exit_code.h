// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/base/result.h"

#include <string>

namespace rankscope::engine
{

/// Exit status of every command.
enum class ExitCode {
    Done = 0,
    Failed = 1,       ///< the work failed
    WrongRequest = 2, ///< the request was wrong; nothing was written
};

/// Prints the one line of an error and gives its exit status.
ExitCode report(ExitCode code, const Error& error);

} // namespace rankscope::engine

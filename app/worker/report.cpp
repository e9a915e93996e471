// SPDX-License-Identifier: Apache-2.0
#include "app/worker/report.h"

#include <cerrno>
#include <iostream>

namespace rankscope::worker
{

int report(const std::string& message, int status)
{
    std::cerr << program_invocation_short_name << ": " << message << '\n';
    return status;
}

} // namespace rankscope::worker

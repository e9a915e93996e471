// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace rankscope::worker
{

/// Says on stderr what went wrong, after the program's name as shells do; gives `status` for the caller to
/// return.
int report(const std::string& message, int status);

} // namespace rankscope::worker

// SPDX-License-Identifier: Apache-2.0
// Texts from outside: whether they are any, and how a message shows them.
#pragma once

#include <string>
#include <string_view>

namespace rankscope::base
{

/// JSON, journals and the protocol hold nothing else.
bool isUtf8(std::string_view text);

/// A name or text of a file as a message may show it: damage makes them long and illegible.
std::string shown(std::string_view text);

} // namespace rankscope::base

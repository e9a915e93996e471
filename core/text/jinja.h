// SPDX-License-Identifier: Apache-2.0
// As much of Jinja as chat templates need to be asked what they write.
#pragma once

#include "core/base/json.h"

#include <optional>
#include <string>
#include <string_view>

namespace rankscope::text
{

/// What a template writes with these variables, under the settings of transformers (trim_blocks and
/// lstrip_blocks). Nullopt if it raises an exception, uses what is not known here (macros, say), or takes
/// longer than any honest template: it comes with a downloaded model. What a branch that is not taken holds
/// is not looked at.
std::optional<std::string> renderJinja(std::string_view jinja, const base::Json& variables);

} // namespace rankscope::text

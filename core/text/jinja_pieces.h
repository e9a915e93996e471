// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace rankscope::text
{

/// The template is beyond what is known here; caught in renderJinja().
struct JinjaUnknown : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct JinjaToken {
    enum class Kind { Name, Number, String, Sign, End };
    Kind kind = Kind::End;
    std::string text;
};

/// Text, {{ an expression }} or {% a statement %}.
struct JinjaPiece {
    enum class Kind { Text, Output, Statement };
    Kind kind = Kind::Text;
    std::string text;               ///< of a Text, as it is written
    std::vector<JinjaToken> tokens; ///< of the others; the last is an End
};

/// The template in its pieces, white space around the tags removed as they ask for; comments are gone.
std::vector<JinjaPiece> cutJinja(std::string_view jinja);

} // namespace rankscope::text

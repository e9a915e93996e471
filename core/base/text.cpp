// SPDX-License-Identifier: Apache-2.0
#include "core/base/text.h"

#include <utf8proc.h>

namespace rankscope::base
{

bool isUtf8(std::string_view text)
{
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    auto left = static_cast<utf8proc_ssize_t>(text.size());
    while (left > 0) {
        utf8proc_int32_t point = 0;
        const auto count = utf8proc_iterate(bytes, left, &point);
        if (count <= 0)
            return false;
        bytes += count;
        left -= count;
    }
    return true;
}

std::string shown(std::string_view text)
{
    constexpr std::size_t longest = 100;
    std::string legible(text.substr(0, longest));
    for (char& c : legible) {
        if (c < ' ' || c > '~')
            c = '?';
    }
    return text.size() > longest ? legible + "..." : legible;
}

} // namespace rankscope::base

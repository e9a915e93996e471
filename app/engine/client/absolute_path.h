// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/base/result.h"

#include <filesystem>

namespace rankscope::client
{

/// Relative paths start at the working folder, which may be gone: the library's own function throws then.
inline Result<std::filesystem::path> absolutePath(const std::filesystem::path& path)
{
    std::error_code code;
    auto absolute = std::filesystem::absolute(path, code);
    if (code)
        return fail("there is no working folder that '" + path.string() + "' could start at (" +
                    code.message() + "); change into a folder that exists");
    return absolute.lexically_normal();
}

} // namespace rankscope::client

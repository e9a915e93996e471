// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/base/result.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace rankscope::base
{

/// SHA-256 as 64 hexadecimal digits.
std::string sha256(std::string_view bytes);
/// SHA-256 of a file's content, read in pieces.
Result<std::string> sha256File(const std::filesystem::path& path);

} // namespace rankscope::base

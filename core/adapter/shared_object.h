// SPDX-License-Identifier: Apache-2.0
// Is a shared library whole? The dynamic loader maps what a file's header promises without a look at the
// file's size: in a library that was copied or downloaded only in part it touches pages that are not there
// and kills the process.
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <filesystem>
#include <span>

namespace rankscope::adapter
{

/// Checks the bytes of a shared library (64-bit little-endian ELF): the header, every segment, the place of
/// the dynamic section among them, and the section header table with its sections lie within the file. The
/// table stands last in what linkers write, so that a library cut anywhere is found out.
///
/// No protection against hostile code: whoever may put a library there may do what this program may. Damage
/// within the segments is not seen either.
Status checkSharedObject(std::span<const std::byte> bytes);

/// The same of a file; errors name it.
Status checkSharedObject(const std::filesystem::path& file);

} // namespace rankscope::adapter

// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum of journal frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rankscope::base
{

/// The checksum of `bytes`; pass an earlier result to go on where it ended.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t previous = 0);

/// The same without the processor's own instruction: what crc32c() uses where there is none.
std::uint32_t crc32cPortable(std::string_view bytes, std::uint32_t previous = 0);

/// As TFRecord stores it: rotated and offset, because the checksum of data that holds its own checksum is
/// weak.
std::uint32_t maskedCrc32c(std::string_view bytes);

} // namespace rankscope::base

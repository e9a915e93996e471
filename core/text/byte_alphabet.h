// SPDX-License-Identifier: Apache-2.0
// GPT-2's alphabet: every byte as one printable character, so that a vocabulary of texts can hold any bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rankscope::text
{

/// The character of a byte as UTF-8: itself where printable in Latin-1, else one from U+0100 on.
const std::string& byteToCharacter(std::uint8_t byte);

/// The bytes that a token's text stands for. A text with a character outside the alphabet stands for its own
/// bytes.
std::string charactersToBytes(std::string_view text);

} // namespace rankscope::text

// SPDX-License-Identifier: Apache-2.0
#include "core/text/byte_alphabet.h"

#include <array>

namespace rankscope::text
{
namespace
{

constexpr std::size_t alphabetEnd = 0x100 + 68; ///< 68 bytes are not printable

struct Alphabet {
    std::array<std::string, 256> characters;
    std::array<int, alphabetEnd> bytes{}; ///< by code point; -1: outside

    Alphabet()
    {
        bytes.fill(-1);
        std::uint32_t next = 0x100;
        for (std::uint32_t byte = 0; byte < 256; ++byte) {
            const bool printable =
                (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
            const std::uint32_t point = printable ? byte : next++;
            bytes[point] = static_cast<int>(byte);
            if (point < 0x80)
                characters[byte] = std::string(1, static_cast<char>(point));
            else
                characters[byte] = {static_cast<char>(0xC0U | (point >> 6)),
                                    static_cast<char>(0x80U | (point & 0x3FU))};
        }
    }
};

const Alphabet& alphabet()
{
    static const Alphabet instance;
    return instance;
}

} // namespace

const std::string& byteToCharacter(std::uint8_t byte)
{
    return alphabet().characters[byte];
}

std::string charactersToBytes(std::string_view text)
{
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto first = static_cast<std::uint8_t>(text[i]);
        std::size_t point = first;
        if (first >= 0x80) { // all of the alphabet lies below U+0800: two bytes at most
            const auto second =
                i + 1 < text.size() ? static_cast<std::uint8_t>(text[i + 1]) : std::uint8_t{0};
            if ((first & 0xE0U) != 0xC0U || (second & 0xC0U) != 0x80U)
                return std::string(text);
            point = ((first & 0x1FU) << 6) | (second & 0x3FU);
            ++i;
        }
        if (point >= alphabetEnd || alphabet().bytes[point] < 0)
            return std::string(text);
        bytes += static_cast<char>(alphabet().bytes[point]);
    }
    return bytes;
}

} // namespace rankscope::text

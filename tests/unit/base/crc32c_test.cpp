// SPDX-License-Identifier: Apache-2.0
// Against the vectors of RFC 3720, appendix B.4.
#include "core/base/crc32c.h"

#include <gtest/gtest.h>
#include <string>

namespace rankscope::base
{
namespace
{

std::string counting(int first, int increment)
{
    std::string bytes;
    for (int i = 0; i < 32; ++i)
        bytes += static_cast<char>(first + i * increment);
    return bytes;
}

const std::pair<std::string, std::uint32_t> vectors[] = {
    {std::string(32, '\0'), 0x8A9136AAU}, {std::string(32, '\xFF'), 0x62A8AB43U},
    {counting(0, 1), 0x46DD794EU},        {counting(31, -1), 0x113FDB5CU},
    {"123456789", 0xE3069283U},           {"", 0U},
};

TEST(Crc32c, AgreesWithTheStandard)
{
    for (const auto& [bytes, expected] : vectors) {
        EXPECT_EQ(crc32c(bytes), expected);
        EXPECT_EQ(crc32cPortable(bytes), expected);
    }
}

TEST(Crc32c, GoesOnWhereItEnded)
{
    const std::string bytes = counting(0, 1);
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        EXPECT_EQ(crc32c(bytes.substr(cut), crc32c(bytes.substr(0, cut))), 0x46DD794EU);
        EXPECT_EQ(crc32cPortable(bytes.substr(cut), crc32cPortable(bytes.substr(0, cut))), 0x46DD794EU);
    }
}

} // namespace
} // namespace rankscope::base

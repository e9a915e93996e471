// SPDX-License-Identifier: Apache-2.0
// Oracles: the well-formed and ill-formed byte sequences of the Unicode Standard, table 3-7.
#include "core/base/text.h"

#include <gtest/gtest.h>

namespace
{

using namespace rankscope;

TEST(Text, KnowsUtf8ByItsTable)
{
    using namespace std::string_view_literals;
    for (const auto good :
         {""sv, "plain\n"sv, "\0"sv, "\x7F"sv, "\xC2\x80"sv, "\xDF\xBF"sv, "\xE0\xA0\x80"sv, "\xED\x9F\xBF"sv,
          "\xEE\x80\x80"sv, "\xEF\xBF\xBF"sv, "\xF0\x90\x80\x80"sv, "\xF4\x8F\xBF\xBF"sv, "a\xC3\xA9z"sv})
        EXPECT_TRUE(base::isUtf8(good)) << base::shown(good);
    for (const auto bad :
         {"\x80"sv, "\xBF"sv, "\xC0\xAF"sv, "\xC1\xBF"sv, "\xC3"sv, "\xC3("sv, "\xE0\x9F\xBF"sv, "\xE2\x82"sv,
          "\xED\xA0\x80"sv, "\xED\xBF\xBF"sv, "\xF0\x8F\xBF\xBF"sv, "\xF0\x9F\x98"sv, "\xF4\x90\x80\x80"sv,
          "\xF5\x80\x80\x80"sv, "\xFE"sv, "ok\xFF"sv})
        EXPECT_FALSE(base::isUtf8(bad)) << base::shown(bad);
}

TEST(Text, ShowsDamageLegiblyAndShort)
{
    EXPECT_EQ(base::shown("blk.0.attn_q"), "blk.0.attn_q");
    EXPECT_EQ(base::shown("a\n\xFF"), "a??");
    EXPECT_EQ(base::shown(std::string(100, 'x')), std::string(100, 'x'));
    EXPECT_EQ(base::shown(std::string(101, 'x')), std::string(100, 'x') + "...");
}

} // namespace

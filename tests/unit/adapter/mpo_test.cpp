// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/delta.h"
#include "core/adapter/mpo.h"

#include <gtest/gtest.h>

namespace rankscope::adapter
{
namespace
{

using Legs = std::vector<std::int64_t>;

std::string refusal(const std::string& text, std::int64_t size)
{
    const auto legs = parseLegs(text, size, "rowLegs");
    EXPECT_FALSE(legs) << text;
    return legs ? "" : legs.error().message;
}

TEST(MpoLegs, AreRead)
{
    EXPECT_EQ(parseLegs("2:6:32:2:2", 1536, "rowLegs").value(), (Legs{2, 6, 32, 2, 2}));
    EXPECT_EQ(parseLegs("1:5:1", 5, "rowLegs").value(), (Legs{1, 5, 1}));
}

TEST(MpoLegs, ThatAreNoneAreRefusedWithTheirName)
{
    for (const char* text : {"", "2:6:", ":2:3", "2::3", "a", "2:6:x", "2 : 3 : 4", "2,3,4", "-2:3:-4",
                             "0:3:4", "2.0:3:4", "99999999999999999999:1:1", "2:3:4 "})
        EXPECT_NE(refusal(text, 24).find("rowLegs"), std::string::npos) << text;
}

TEST(MpoLegs, NeedACentreAndTheRightProduct)
{
    EXPECT_NE(refusal("4:6", 24).find("odd"), std::string::npos);
    EXPECT_NE(refusal("24", 24).find("odd"), std::string::npos);
    EXPECT_NE(refusal("2:3:2:2", 24).find("odd"), std::string::npos);
    EXPECT_NE(refusal("2:3:5", 24).find("24"), std::string::npos);
    // The product must not be believed once it has wrapped around: 2^21 three times is 2^63, four times 0.
    EXPECT_NE(refusal("2097152:2097152:2097152:2097152:1", std::int64_t{1} << 32).find("multiply"),
              std::string::npos);
}

struct Published {
    const char* model;
    Legs columns;
    Legs rows;
    Legs bonds; ///< d_0 .. d_5
    std::int64_t side;
};

/// The table of the REMoE legs: bonds and elements of the trained cores of one projection.
TEST(MpoLegs, HaveThePublishedBondsAndSizes)
{
    const Published table[] = {
        {"Llama3-8B", {2, 8, 32, 4, 2}, {4, 7, 32, 4, 4}, {1, 8, 448, 128, 8, 1}, 217216},
        {"Llama3.2-3B", {2, 8, 12, 8, 2}, {2, 8, 32, 8, 2}, {1, 4, 256, 256, 4, 1}, 131104},
        {"Qwen2.5-3B", {2, 8, 16, 4, 2}, {2, 8, 43, 8, 2}, {1, 4, 256, 128, 4, 1}, 81952},
        {"Qwen2.5-7B", {2, 8, 28, 4, 2}, {4, 8, 37, 8, 2}, {1, 8, 512, 128, 4, 1}, 278608},
        {"Phi4-14B", {2, 8, 40, 4, 2}, {4, 8, 35, 4, 4}, {1, 8, 512, 128, 8, 1}, 278656},
        {"Phi4-14B, fused", {2, 8, 40, 4, 2}, {4, 8, 70, 4, 4}, {1, 8, 512, 128, 8, 1}, 278656},
    };
    for (const auto& row : table) {
        const MpoLegs legs{row.rows, row.columns};
        EXPECT_EQ(legs.bonds(), row.bonds) << row.model;
        EXPECT_EQ(legs.sideElements(), row.side) << row.model;
        EXPECT_EQ(legs.centre(), 2U);
        std::int64_t all = 0;
        for (std::size_t core = 0; core < legs.cores(); ++core)
            all += legs.coreElements(core);
        EXPECT_EQ(all - legs.coreElements(2), row.side) << row.model;
    }
}

TEST(MpoLegs, AreChosenForCommonShapes)
{
    for (const auto& [rows, columns] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {1536, 576}, {14336, 4096}, {8192, 3072}, {11008, 2048}, {18944, 3584}, {17920, 5120}}) {
        const auto legs = chooseLegs(rows, columns, 4.5);
        ASSERT_TRUE(legs) << legs.error().message;
        std::int64_t product = 1;
        for (const auto leg : legs->rows)
            product *= leg;
        EXPECT_EQ(product, rows);
        product = 1;
        for (const auto leg : legs->columns)
            product *= leg;
        EXPECT_EQ(product, columns);
        EXPECT_EQ(legs->cores(), 5U);
        const double equivalent =
            static_cast<double>(legs->sideElements()) / static_cast<double>(rows + columns);
        EXPECT_GT(equivalent, 4.5 / 2) << rows;
        EXPECT_LT(equivalent, 4.5 * 2) << rows;
    }
    const auto prime = chooseLegs(1531, 577, 4.5);
    ASSERT_FALSE(prime);
    EXPECT_NE(prime.error().message.find("1531"), std::string::npos);
}

} // namespace
} // namespace rankscope::adapter

// SPDX-License-Identifier: Apache-2.0
// Parameter counts of the single and cross-layer families as printed by MoG, from shapes alone.
#include "tests/unit/plan/published_row.h"

#include <gtest/gtest.h>

namespace rankscope::plans
{
namespace
{

class SharingShares : public testing::TestWithParam<Share>
{
};

TEST_P(SharingShares, AreReproduced)
{
    check(GetParam());
}

Json mog(const std::vector<std::string>& targets, int rank, int groups, const char* form = "plain")
{
    return on(targets, rank, {{"groups", groups}, {"form", form}});
}

Json rasa(const std::vector<std::string>& targets)
{
    return on(targets, 32, {{"sharedRank", 4}});
}

INSTANTIATE_TEST_SUITE_P(
    MoGCommonsense, SharingShares,
    testing::Values(
        Share{"MoG T3", "lora", "llama3-8b", on(queryKeyValueUpDown, 32), "0.700", "0.70"},
        Share{"MoG T3", "dora", "llama3-8b", on(queryKeyValueUpDown, 32), "0.710", "0.71"},
        Share{"MoG T3", "rasa", "llama3-8b", rasa(queryKeyValueUpDown), "0.700", "0.70"},
        Share{"MoG T3", "denselora", "llama3-8b", on(queryKeyValueUpDown, 456), "0.723", ""},
        Share{"MoG T3", "mog", "llama3-8b", mog(queryKeyValueUpDown, 220, 4), "0.698", "0.70"},
        Share{"MoG T3", "mog", "llama3-8b", mog(queryKeyValueUpDown, 220, 4, "dora"), "0.707", "0.71"},
        Share{"MoG T3", "mog", "llama3-8b", mog(queryKeyValueUpDown, 256, 4, "pissa"), "0.700", "0.70"},
        Share{"MoG T11", "mog", "llama3-8b", mog(queryKeyValueUpDown, 118, 4), "0.352", "0.35"},
        Share{"MoG T11", "mog", "llama3-8b", mog(queryKeyValueUpDown, 64, 4), "0.184", "0.18"},
        Share{"MoG T11", "mog", "llama3-8b", mog(queryKeyValueUpDown, 32, 4), "0.090", "0.09"},
        Share{"MoG T11", "mog", "llama3-8b", mog(queryKeyValueUpDown, 16, 4), "0.045", "0.04"},
        // Without the fusion matrices, as the PiSSA form is.
        Share{"MoG T10", "mog", "llama3-8b", mog(queryKeyValueUpDown, 220, 4, "pissa"), "0.602", ""}));

INSTANTIATE_TEST_SUITE_P(
    MoGMathAndCode, SharingShares,
    testing::Values(Share{"MoG T4/T5", "lora", "llama2-7b", on(allLinear, 32), "1.173", "1.17"},
                    Share{"MoG T4/T5", "rasa", "llama2-7b", rasa(allLinear), "1.173", "1.17"},
                    Share{"MoG T4/T5", "dora", "llama2-7b", on(allLinear, 32), "1.192", "1.19"},
                    Share{"MoG T4/T5", "lora", "llama3-8b", on(allLinear, 32), "1.034", "1.03"},
                    Share{"MoG T4/T5", "rasa", "llama3-8b", rasa(allLinear), "1.034", "1.03"},
                    Share{"MoG T4/T5", "dora", "llama3-8b", on(allLinear, 32), "1.051", "1.05"}));

INSTANTIATE_TEST_SUITE_P(
    MoGDeberta, SharingShares,
    testing::Values(Share{"MoG T6", "lora", "deberta-v3-base", on(allLinear, 8), "0.714", "0.71"},
                    Share{"MoG T6", "denselora", "deberta-v3-base", on(allLinear, 70), "0.711", "0.71"},
                    Share{"MoG T6", "vblora", "deberta-v3-base",
                          on(allLinear, 8, {{"vectors", 244}, {"vectorLength", 256}}), "0.715", "0.71"},
                    Share{"MoG T6", "mog", "deberta-v3-base", mog(allLinear, 30, 3), "0.705", ""},
                    Share{"MoG T6", "dora", "deberta-v3-base", on(allLinear, 8), "0.759", ""}));

// VB-LoRA's vectors are as long as the widths let them be, up to 256: of SmolLM2 the widths are 576, 192 and
// 1536.
TEST(SharingTotals, VbLorasOwnVectorLength)
{
    const auto of = [](const char* model, int length) {
        return trainable("vblora", model, on(allLinear, 4, {{"vectorLength", length}}));
    };
    EXPECT_EQ(of("smollm2-135m", 0), of("smollm2-135m", 192));
    // Bank and logits of 30 layers: q and o 576 x 576, k and v 192 x 576, gate, up and down 576 x 1536.
    const std::int64_t widths = 2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536);
    EXPECT_EQ(of("smollm2-135m", 0), 256 * 192 + 30 * 4 * 256 * widths / 192);
    EXPECT_EQ(of("deberta-v3-base", 0), of("deberta-v3-base", 256));
}

// MoG's own worked example (its T2 and appendix G): one square module of width 1024 in 32 layers, r 8, n 4.
// The paper prints 67,712, which counts one score vector a layer where its definition has two.
TEST(SharingTotals, MoGsExample)
{
    EXPECT_EQ(trainable("lora", "mog-example", on({"q_proj"}, 8)), 524288);
    EXPECT_EQ(trainable("mog", "mog-example", mog({"q_proj"}, 8, 4)), 67840);
}

} // namespace
} // namespace rankscope::plans

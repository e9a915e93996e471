// SPDX-License-Identifier: Apache-2.0
// Parameter counts of the routed families as printed by CoMoL, MoR, MixLoRA and SMoRA, from shapes alone.
#include "tests/unit/plan/published_row.h"

#include <gtest/gtest.h>

namespace rankscope::plans
{
namespace
{

class Totals : public testing::TestWithParam<Total>
{
};

TEST_P(Totals, AreReproduced)
{
    check(GetParam());
}

class Shares : public testing::TestWithParam<Share>
{
};

TEST_P(Shares, AreReproduced)
{
    check(GetParam());
}

Json experts(int count, int rank, const Json& more = Json::object())
{
    Json settings = on(attentionAndDown, rank, {{"experts", count}});
    settings.update(more);
    return settings;
}

/// A flat number of experts: only that reproduces the baselines, a schedule by depth does not.
Json mola()
{
    return on(attentionAndDown, 8, {{"schedule", "8"}});
}

const Json withoutCoreRouting{{"coreRouting", false}};

constexpr double half = 0.005; ///< of the last of two printed decimals
constexpr double unit = 0.01;

INSTANTIATE_TEST_SUITE_P(
    CoMoLQwen3Of8B, Totals,
    testing::Values(Total{"CoMoL T2/T4", "lora", "qwen3-8b", on(attentionAndDown, 16), 3, "24.773", 24.77,
                          half},
                    Total{"CoMoL T2/T4", "molora", "qwen3-8b", experts(8, 8), 3, "107.348", 107.35, half},
                    Total{"CoMoL T2/T4", "mola", "qwen3-8b", mola(), 3, "107.348", 107.35, half},
                    Total{"CoMoL T2/T4", "moelora", "qwen3-8b", experts(8, 8), 3, "107.348", 107.35, half},
                    Total{"CoMoL T2/T4", "hydralora", "qwen3-8b", experts(8, 8), 3, "49.545", 49.55, half},
                    Total{"CoMoL T2/T4", "adamole", "qwen3-8b", experts(8, 8), 3, "108.380", 108.38, half},
                    Total{"CoMoL T2/T4", "sparsemoa", "qwen3-8b", Json::object(), 3, "24.485", 24.49, half},
                    // The paper counts FlyLoRA's frozen projection, and for DenseLoRA a pair on the up
                    // projection that nothing uses.
                    Total{"CoMoL T2/T4", "flylora", "qwen3-8b", on(attentionAndDown, 32), 3, "16.515", 0, 0},
                    Total{"CoMoL T4", "denselora", "qwen3-8b", on(attentionAndDown, 256), 3, "22.807", 0, 0},
                    Total{"CoMoL T2/T4", "comol", "qwen3-8b", experts(8, 16, withoutCoreRouting), 3, "33.399",
                          33.39, unit},
                    Total{"CoMoL T2", "comol", "qwen3-8b", experts(8, 16), 3, "25.164", 25.16, half},
                    Total{"CoMoL T4", "comol", "qwen3-8b", experts(4, 16), 3, "24.968", 24.97, half}));

INSTANTIATE_TEST_SUITE_P(
    CoMoLQwen3Of14B, Totals,
    testing::Values(
        Total{"CoMoL T3", "lora", "qwen3-14b", on(attentionAndDown, 16), 3, "35.389", 35.39, half},
        Total{"CoMoL T3", "molora", "qwen3-14b", experts(4, 8), 3, "76.841", 76.84, half},
        Total{"CoMoL T3", "mola", "qwen3-14b", mola(), 3, "153.682", 153.68, half},
        Total{"CoMoL T3", "hydralora", "qwen3-14b", experts(4, 8), 3, "40.468", 40.47, half},
        Total{"CoMoL T3", "adamole", "qwen3-14b", experts(4, 8), 3, "78.357", 78.36, half},
        Total{"CoMoL T3", "sparsemoa", "qwen3-14b", Json::object(), 3, "34.497", 34.50, half},
        Total{"CoMoL T3", "flylora", "qwen3-14b", on(attentionAndDown, 32), 3, "22.282", 0, 0},
        Total{"CoMoL T3", "comol", "qwen3-14b", experts(8, 16, withoutCoreRouting), 3, "47.923", 0, 0},
        Total{"CoMoL T3", "comol", "qwen3-14b", experts(8, 16), 3, "35.825", 35.82, half + 1e-3}));

INSTANTIATE_TEST_SUITE_P(
    CoMoLLlama31Of8B, Totals,
    testing::Values(Total{"CoMoL T4", "lora", "llama3-8b", on(attentionAndDown, 16), 3, "23.069", 23.06,
                          unit},
                    Total{"CoMoL T4", "molora", "llama3-8b", experts(8, 8), 3, "100.139", 100.14, half},
                    Total{"CoMoL T4", "mola", "llama3-8b", mola(), 3, "100.139", 100.14, half},
                    Total{"CoMoL T4", "hydralora", "llama3-8b", experts(8, 8), 3, "45.089", 45.09, half},
                    Total{"CoMoL T4", "adamole", "llama3-8b", experts(8, 8), 3, "101.122", 101.12, half},
                    Total{"CoMoL T4", "denselora", "llama3-8b", on(attentionAndDown, 256), 3, "22.020", 0, 0},
                    Total{"CoMoL T4", "flylora", "llama3-8b", on(attentionAndDown, 32), 3, "14.680", 0, 0},
                    Total{"CoMoL T4", "comol", "llama3-8b", experts(4, 16, withoutCoreRouting), 3, "27.165",
                          27.16, half + 1e-3},
                    Total{"CoMoL T4", "comol", "llama3-8b", experts(4, 16), 3, "23.243", 23.24, half}));

INSTANTIATE_TEST_SUITE_P(
    CoMoLNumberOfExperts, Totals,
    testing::Values(
        Total{"CoMoL T5", "comol", "qwen3-8b", experts(16, 16, withoutCoreRouting), 3, "42.025", 42.02,
              half + 1e-3},
        Total{"CoMoL T5", "comol", "qwen3-8b", experts(32, 16, withoutCoreRouting), 3, "59.277", 59.28, half},
        Total{"CoMoL T5", "comol", "qwen3-8b", experts(64, 16, withoutCoreRouting), 3, "93.782", 93.78, half},
        Total{"CoMoL T5", "comol", "qwen3-8b", experts(16, 16), 3, "25.556", 25.56, half},
        Total{"CoMoL T5", "comol", "qwen3-8b", experts(32, 16), 3, "26.339", 26.34, half},
        Total{"CoMoL T5", "comol", "qwen3-8b", experts(64, 16), 3, "27.906", 27.91, half},
        Total{"CoMoL T5", "comol", "qwen3-14b", experts(16, 16, withoutCoreRouting), 3, "60.457", 60.46,
              half},
        Total{"CoMoL T5", "comol", "qwen3-14b", experts(32, 16, withoutCoreRouting), 3, "85.524", 85.52,
              half},
        Total{"CoMoL T5", "comol", "qwen3-14b", experts(64, 16, withoutCoreRouting), 3, "135.660", 135.66,
              half},
        Total{"CoMoL T5", "comol", "qwen3-14b", experts(16, 16), 3, "36.260", 36.26, half},
        Total{"CoMoL T5", "comol", "qwen3-14b", experts(32, 16), 3, "37.130", 37.13, half},
        Total{"CoMoL T5", "comol", "qwen3-14b", experts(64, 16), 3, "38.871", 38.87, half}));

Json mor(int rank, int count, const Json& more = Json::object())
{
    Json settings = on(mlp, rank, {{"experts", count}});
    settings.update(more);
    return settings;
}

INSTANTIATE_TEST_SUITE_P(
    MoR, Totals,
    testing::Values(Total{"MoR T1", "lora", "llama2-7b", on(mlp, 8), 3, "11.600", 11.6, 0.05},
                    Total{"MoR T1", "lora", "llama2-7b", on(mlp, 16), 3, "23.200", 23.2, 0.05},
                    Total{"MoR T1", "dora", "llama2-7b", on(mlp, 8), 3, "12.435", 0, 0},
                    Total{"MoR T1", "dora", "llama2-7b", on(mlp, 16), 3, "24.035", 0, 0},
                    Total{"MoR T1", "moelora", "llama2-7b", on(mlp, 8, {{"experts", 2}}), 3, "24.429", 0, 0},
                    Total{"MoR T1", "mor", "llama2-7b", mor(8, 1), 3, "13.051", 0, 0},
                    Total{"MoR T1", "mor", "llama2-7b", mor(8, 2), 3, "14.501", 0, 0},
                    Total{"MoR T1", "mor", "llama2-7b", mor(8, 4), 3, "17.403", 0, 0},
                    Total{"MoR T1", "mor", "llama2-7b", mor(8, 8), 3, "23.206", 23.2, 0.05},
                    Total{"MoR T4", "mor", "llama2-7b", mor(8, 8, {{"router", "mean"}}), 3, "18.291", 0, 0}));

INSTANTIATE_TEST_SUITE_P(MoR, Shares,
                         testing::Values(Share{"MoR T3", "mor", "llama2-7b", mor(8, 1), "0.193", "0.19"},
                                         Share{"MoR T3", "mor", "llama2-7b", mor(8, 2), "0.215", "0.21"},
                                         Share{"MoR T3", "mor", "llama2-7b", mor(8, 4), "0.258", "0.26"},
                                         Share{"MoR T3", "mor", "llama2-7b", mor(8, 8), "0.343", "0.34"},
                                         Share{"MoR T3", "mor", "llama2-7b", mor(8, 12), "0.429", "0.43"},
                                         Share{"MoR T3", "mor", "llama2-7b", mor(4, 8), "0.258", "0.26"},
                                         Share{"MoR T3", "mor", "llama2-7b", mor(16, 8), "0.514", "0.51"},
                                         Share{"MoR T3", "mor", "llama2-7b", mor(32, 8), "0.854", "0.85"},
                                         Share{"MoR T3", "mor", "llama2-7b", mor(64, 8), "1.526", "1.53"}));

INSTANTIATE_TEST_SUITE_P(MixLora, Shares,
                         testing::Values(Share{
                             "MixLoRA", "mixlora", "llama2-7b", {{"rank", 16}}, "2.930", "2.9"}));

// Its Fig. 9 is a plot without numbers: LoRA's 159.9 M and a router of 72.9 M.
INSTANTIATE_TEST_SUITE_P(Smora, Totals,
                         testing::Values(Total{"SMoRA Fig. 9", "lora", "llama2-7b", on(allLinear, 64), 1,
                                               "159.9", 0, 0},
                                         Total{"SMoRA Fig. 9", "smora", "llama2-7b",
                                               on(allLinear, 64, {{"topK", 8}}), 1, "232.8", 0, 0}));

TEST(Activated, IsWhatOneTokenUses)
{
    const auto smora = on(allLinear, 64, {{"topK", 8}});
    EXPECT_EQ(printed(activated("smora", "llama2-7b", smora) / 1e6, 1), "92.9"); // k (i + o) + r i
    // Two of eight experts of rank 16 are two experts of rank 16, beside a router of eight.
    const auto of = [](int experts, int k) { return Json{{"rank", 16}, {"experts", experts}, {"topK", k}}; };
    constexpr double routerRow = 32.0 * 4096; // of one expert in all layers
    EXPECT_EQ(activated("mixlora", "llama2-7b", of(8, 2)),
              trainable("mixlora", "llama2-7b", of(2, 2)) + 6 * routerRow);
    EXPECT_EQ(activated("mixlora", "llama2-7b", of(8, 8)), trainable("mixlora", "llama2-7b", of(8, 8)));
    EXPECT_EQ(activated("lora", "llama2-7b", on(allLinear, 64)),
              trainable("lora", "llama2-7b", on(allLinear, 64)));
}

} // namespace
} // namespace rankscope::plans

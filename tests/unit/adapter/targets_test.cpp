// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/targets.h"

#include <gtest/gtest.h>

namespace rankscope::adapter
{
namespace
{

checkpoint::ModelConfig config(bool fused)
{
    checkpoint::ModelConfig model;
    model.architecture = fused ? "phi3" : "llama";
    model.vocabulary = 10;
    model.hidden = 8;
    model.feedForward = 12;
    model.layers = 2;
    model.heads = 4;
    model.kvHeads = 2;
    model.headDim = 2;
    model.fusedProjections = fused;
    return model;
}

std::vector<std::string> chosen(bool fused, const std::vector<std::string>& names)
{
    return modulesOf(resolveTargets(config(fused), names).value());
}

using Names = std::vector<std::string>;

TEST(Targets, NamesAreTakenInTheOrderOfTheForwardPass)
{
    EXPECT_EQ(chosen(false, {"down_proj", "q_proj"}), (Names{"q_proj", "down_proj"}));
    const auto linears = resolveTargets(config(false), {"down_proj", "q_proj"}).value();
    ASSERT_EQ(linears.size(), 4U);
    EXPECT_EQ(linears[0].path, "model.layers.0.self_attn.q_proj");
    EXPECT_EQ(linears[1].path, "model.layers.0.mlp.down_proj");
    EXPECT_EQ(linears[3].layer, 1);
    EXPECT_EQ(linears[3].in, 12);
    EXPECT_EQ(linears[3].out, 8);
}

TEST(Targets, PresetsStandForTheirModules)
{
    EXPECT_EQ(chosen(false, {"attention"}), (Names{"q_proj", "k_proj", "v_proj", "o_proj"}));
    EXPECT_EQ(chosen(false, {"mlp"}), (Names{"gate_proj", "up_proj", "down_proj"}));
    EXPECT_EQ(chosen(false, {"all-linear"}).size(), 7U);
    EXPECT_EQ(chosen(false, {"mlp", "mlp", "up_proj"}).size(), 3U) << "nothing counts twice";
}

TEST(Targets, FusedModelsTakeTheNamesOfTheirParts)
{
    EXPECT_EQ(chosen(true, {"q_proj", "v_proj"}), (Names{"qkv_proj"}));
    EXPECT_EQ(chosen(true, {"up_proj"}), (Names{"gate_up_proj"}));
    EXPECT_EQ(chosen(true, {"qkv_proj", "down_proj"}), (Names{"qkv_proj", "down_proj"}));
    EXPECT_EQ(chosen(true, {"all-linear"}), (Names{"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}));
}

TEST(Targets, AnUnknownNameIsToldWithTheKnownOnes)
{
    const auto unknown = resolveTargets(config(false), {"q_proj", "query"});
    ASSERT_FALSE(unknown);
    EXPECT_NE(unknown.error().message.find("'query'"), std::string::npos);
    EXPECT_NE(unknown.error().message.find("gate_proj"), std::string::npos);
    EXPECT_NE(unknown.error().message.find("attention, mlp, all-linear and paper"), std::string::npos);
    EXPECT_FALSE(resolveTargets(config(false), {"qkv_proj"})) << "only fused models have it";
    EXPECT_FALSE(resolveTargets(config(false), {}));
}

TEST(Targets, TensorsAreNamedAsPeftNamesThem)
{
    EXPECT_EQ(tensorName("model.layers.3.mlp.up_proj", "lora_A.weight"),
              "base_model.model.model.layers.3.mlp.up_proj.lora_A.weight");
    EXPECT_EQ(mlpPath(7), "model.layers.7.mlp");
}

} // namespace
} // namespace rankscope::adapter

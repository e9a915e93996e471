// SPDX-License-Identifier: Apache-2.0
// Shapes and parameter counts against the totals of the published models (the same as transformers counts).
#include "core/base/json.h"
#include "core/checkpoint/model_config.h"

#include <cstdlib>
#include <gtest/gtest.h>

using namespace rankscope;
using checkpoint::ModelConfig;

namespace
{

base::Json configJson(const std::string& model)
{
    const char* source = std::getenv("RANKSCOPE_SOURCE");
    const auto json = base::readJsonFile(std::filesystem::path(source ? source : ".") / "tests/data/configs" /
                                         model / "config.json");
    EXPECT_TRUE(json) << json.error().message;
    return json.value_or(base::Json());
}

ModelConfig load(const std::string& model)
{
    auto config = ModelConfig::fromHuggingFace(configJson(model));
    EXPECT_TRUE(config) << model << ": " << config.error().message;
    return config.value_or(ModelConfig());
}

} // namespace

TEST(ModelConfig, CountsThePublishedModels)
{
    const std::pair<const char*, std::int64_t> models[] = {
        {"smollm2-135m", 134'515'008},   {"llama2-7b", 6'738'415'616},  {"llama3-8b", 8'030'261'248},
        {"llama3.2-3b", 3'212'749'824},  {"qwen2.5-3b", 3'085'938'688}, {"qwen2.5-7b", 7'615'616'512},
        {"qwen3-8b", 8'190'735'360},     {"qwen3-14b", 14'768'307'200}, {"phi4-14b", 14'659'507'200},
        {"deberta-v3-base", 184'423'682}};
    for (const auto& [model, parameters] : models)
        EXPECT_EQ(load(model).parameters(), parameters) << model;
}

TEST(ModelConfig, ListsLinearsInTheOrderOfTheForwardPass)
{
    const auto linears = load("llama3.2-3b").linears();
    ASSERT_EQ(linears.size(), 28U * 7U);
    const std::vector<std::string> order{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                         "gate_proj", "up_proj", "down_proj"};
    for (std::size_t i = 0; i < 7; ++i)
        EXPECT_EQ(linears[7 + i].module, order[i]);
    const auto& k = linears[7 + 1];
    EXPECT_EQ(k.path, "model.layers.1.self_attn.k_proj");
    EXPECT_EQ(k.layer, 1);
    EXPECT_EQ(k.in, 3072);
    EXPECT_EQ(k.out, 1024);
    EXPECT_FALSE(k.bias);
    EXPECT_EQ(linears.back().path, "model.layers.27.mlp.down_proj");
    EXPECT_EQ(linears.back().in, 8192);
}

TEST(ModelConfig, KnowsThePeculiaritiesOfEachArchitecture)
{
    const auto qwen2 = load("qwen2.5-7b");
    EXPECT_TRUE(qwen2.qkvBias);
    EXPECT_TRUE(qwen2.linears()[0].bias);
    EXPECT_FALSE(qwen2.linears()[3].bias);
    const auto qwen3 = load("qwen3-14b");
    EXPECT_TRUE(qwen3.qkNorm);
    EXPECT_EQ(qwen3.linears()[0].out, 5120);
    const auto phi = load("phi4-14b");
    EXPECT_TRUE(phi.fusedProjections);
    ASSERT_EQ(phi.linears().size(), 40U * 4U);
    EXPECT_EQ(phi.linears()[0].module, "qkv_proj");
    EXPECT_EQ(phi.linears()[0].out, 7680);
    EXPECT_EQ(phi.linears()[2].module, "gate_up_proj");
    EXPECT_EQ(phi.linears()[2].out, 35840);
    const auto llama = load("llama3.2-3b");
    ASSERT_TRUE(llama.ropeScaling);
    EXPECT_EQ(llama.ropeScaling->factor, 32);
    EXPECT_EQ(llama.ropeScaling->originalMaxPosition, 8192);
    EXPECT_EQ(llama.eosTokens, (std::vector<std::int64_t>{128001, 128008, 128009}));
    EXPECT_EQ(llama.ropeTheta, 500000);
    EXPECT_TRUE(llama.tiedEmbeddings);
    EXPECT_FALSE(load("llama3-8b").ropeScaling);
    const auto deberta = load("deberta-v3-base");
    ASSERT_EQ(deberta.linears().size(), 12U * 6U);
    EXPECT_EQ(deberta.linears()[1].path, "deberta.encoder.layer.0.attention.self.key_proj");
    EXPECT_EQ(deberta.linears()[3].module, "attention.output.dense");
    EXPECT_EQ(deberta.linears()[5].path, "deberta.encoder.layer.0.output.dense");
    EXPECT_EQ(deberta.linears()[5].in, 3072);
    EXPECT_TRUE(deberta.linears()[0].bias);
}

TEST(ModelConfig, ReadsRopeParametersOfNewerFiles)
{
    base::Json json = configJson("llama3.2-3b");
    json["rope_parameters"] = json["rope_scaling"];
    json["rope_parameters"]["rope_theta"] = 1234.0;
    json.erase("rope_scaling");
    json.erase("rope_theta");
    const auto config = ModelConfig::fromHuggingFace(json);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->ropeTheta, 1234);
    ASSERT_TRUE(config->ropeScaling);
    EXPECT_EQ(config->ropeScaling->factor, 32);
}

/// None of them follows from the others, so none is guessed.
TEST(ModelConfig, RequiresEveryNumberOfLlama3Scaling)
{
    const base::Json whole = configJson("llama3.2-3b");
    for (const char* key :
         {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
        base::Json json = whole;
        json["rope_scaling"].erase(key);
        const auto config = ModelConfig::fromHuggingFace(json);
        ASSERT_FALSE(config) << key;
        EXPECT_EQ(config.error().message, std::string("rope_scaling.") + key + " is missing");
    }
}

TEST(ModelConfig, RefusesImpossibleNumbersByName)
{
    const auto errorOf = [](const std::string& model, const std::string& key, const base::Json& value) {
        base::Json json = configJson(model);
        json[key] = value;
        const auto config = ModelConfig::fromHuggingFace(json);
        return config ? std::string("no error") : config.error().message;
    };
    EXPECT_NE(errorOf("llama3-8b", "model_type", "mamba").find("mamba"), std::string::npos);
    for (const char* key : {"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
                            "vocab_size", "intermediate_size", "max_position_embeddings"}) {
        EXPECT_NE(errorOf("llama3-8b", key, 0U).find(key), std::string::npos) << key;
        EXPECT_NE(errorOf("llama3-8b", key, -5).find(key), std::string::npos) << key;
        EXPECT_NE(errorOf("llama3-8b", key, 1e18).find(key), std::string::npos) << key;
        EXPECT_NE(errorOf("llama3-8b", key, "many").find(key), std::string::npos) << key;
    }
    EXPECT_NE(errorOf("llama3-8b", "hidden_size", nullptr).find("hidden_size"), std::string::npos);
    EXPECT_NE(errorOf("llama3-8b", "num_key_value_heads", 5U).find("evenly"), std::string::npos);
    EXPECT_NE(errorOf("llama3-8b", "hidden_act", "relu").find("relu"), std::string::npos);
    EXPECT_NE(errorOf("llama3-8b", "attention_bias", true).find("attention_bias"), std::string::npos);
    EXPECT_NE(errorOf("llama3-8b", "eos_token_id", 999'999U).find("999999"), std::string::npos);
    EXPECT_NE(errorOf("llama3-8b", "rope_scaling", base::Json{{"rope_type", "yarn"}}).find("yarn"),
              std::string::npos);
    EXPECT_NE(errorOf("phi4-14b", "partial_rotary_factor", 0.75).find("partial_rotary_factor"),
              std::string::npos);
    EXPECT_NE(errorOf("phi4-14b", "sliding_window", 2047U).find("2047"), std::string::npos);
    EXPECT_NE(errorOf("deberta-v3-base", "position_biased_input", true).find("DeBERTa-V3"),
              std::string::npos);
    EXPECT_FALSE(ModelConfig::fromHuggingFace(base::Json::array()));
}

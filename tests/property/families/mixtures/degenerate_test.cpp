// SPDX-License-Identifier: Apache-2.0
// The settings at which one mixture becomes another family.
#include "tests/property/families/mixtures/oracle.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

namespace rankscope::conformance
{
namespace
{

const base::Json sizes{{"rank", 4}, {"alpha", 12}, {"targets", {"all-linear"}}};

base::Json with(base::Json settings, const base::Json& more)
{
    settings.update(more);
    return settings;
}

/// Copies the pairs of a mixture with one expert into LoRA's.
void copyPairs(const Subject& from, const Subject& to)
{
    const at::NoGradGuard guard;
    for (const auto& parameter : to.adapter->parameters().all()) {
        for (const char* prefix : {"lora_", "experts.lora_"}) {
            std::string name = parameter.name;
            name.replace(name.rfind("lora_"), 5, prefix);
            if (const auto* source = from.adapter->parameters().find(name)) {
                at::Tensor tensor = parameter.tensor;
                tensor.copy_(source->tensor.reshape(tensor.sizes()));
            }
        }
    }
}

TEST(OneExpert, IsLora)
{
    const at::NoGradGuard guard;
    const std::vector<std::pair<std::string, base::Json>> ones{
        {"moelora", {{"experts", 1}}},
        {"moelora", {{"experts", 1}, {"router", "topk_renorm"}, {"topK", 1}}},
        {"moelora", {{"experts", 1}, {"router", "gumbel_top1"}}},
        {"moelora", {{"experts", 1}, {"router", "task"}}},
        {"moelora", {{"experts", 1}, {"splitRank", true}}},
        {"molora", {{"experts", 1}}},
        {"hydralora", {{"experts", 1}}},
        {"mola", {{"schedule", "1"}, {"topK", 1}}},
        {"adamole", {{"experts", 1}}},
        {"smear", {{"experts", 1}}},
        {"smear", {{"experts", 1}, {"level", "token"}}},
        {"smear", {{"experts", 1}, {"normaliseRouter", true}}},
    };
    for (const auto& [family, settings] : ones) {
        const Subject mixture = attach(variant(family, with(sizes, settings)));
        disturb(*mixture.adapter, 100);
        const Subject lora = attach(variant("lora", sizes));
        copyPairs(mixture, lora);
        EXPECT_LT(distance(mixture.run(someRows()), lora.run(someRows())), rounding)
            << family << settings.dump();
    }
}

TEST(AllRanks, OfFlyLoraAreLoraWithAFrozenA)
{
    const at::NoGradGuard guard;
    const Subject fly = attach(variant("flylora", with(sizes, {{"k", 4}})));
    disturb(*fly.adapter, 100);
    const Subject lora = attach(variant("lora", sizes));
    copySameNames(fly, lora);
    EXPECT_LT(distance(fly.run(someRows()), lora.run(someRows())), rounding);
}

/// Two families, the same tensors, the same output.
void same(const std::string& left, const base::Json& leftSettings, const std::string& right,
          const base::Json& rightSettings)
{
    const at::NoGradGuard guard;
    const Subject one = attach(variant(left, with(sizes, leftSettings)));
    disturb(*one.adapter, 100);
    const Subject other = attach(variant(right, with(sizes, rightSettings)), 9);
    copySameNames(one, other);
    for (const bool training : {false, true})
        EXPECT_LT(distance(one.run(someRows(), training), other.run(someRows(), training)), rounding)
            << left << leftSettings.dump() << ' ' << right << rightSettings.dump();
}

TEST(Mixtures, BecomeEachOther)
{
    same("moelora", {{"experts", 5}}, "molora", {{"experts", 5}});
    same("moelora", {{"experts", 3}, {"router", "topk_renorm"}, {"topK", 3}}, "molora", {{"experts", 3}});
    same("moelora", {{"experts", 6}, {"router", "topk_renorm"}, {"topK", 2}}, "mola",
         {{"schedule", "6"}, {"topK", 2}});
    same("mola", {{"schedule", "4-4"}, {"topK", 4}}, "molora", {{"experts", 4}});
}

TEST(HydraLora, IsAMoLoraWhoseExpertsHaveOneA)
{
    const at::NoGradGuard guard;
    const Subject hydra = attach(variant("hydralora", with(sizes, {{"experts", 3}})));
    disturb(*hydra.adapter, 100);
    const Subject mixture = attach(variant("molora", with(sizes, {{"experts", 3}})));
    copySameNames(hydra, mixture); // routers
    for (const auto& parameter : mixture.adapter->parameters().all()) {
        std::string name = parameter.name;
        const auto at = name.find("experts.lora_");
        if (at == std::string::npos)
            continue;
        at::Tensor tensor = parameter.tensor;
        tensor.copy_(hydra.adapter->parameters().find(name.erase(at, 8))->tensor); // A for every expert
    }
    EXPECT_LT(distance(hydra.run(someRows()), mixture.run(someRows())), rounding);
}

TEST(Smear, OfRowsOfOneTokenMergesByToken)
{
    same("smear", {{"experts", 3}}, "smear", {{"experts", 3}, {"pool", "sequence"}});
    const at::NoGradGuard guard;
    const Subject rows = attach(variant("smear", with(sizes, {{"experts", 3}})));
    disturb(*rows.adapter, 100);
    const Subject tokens = attach(variant("smear", with(sizes, {{"experts", 3}, {"level", "token"}})), 9);
    copySameNames(rows, tokens);
    const Rows single{{5}, {9}, {31}, {2}};
    EXPECT_LT(distance(rows.run(single), tokens.run(single)), rounding);
    EXPECT_GT(distance(rows.run(someRows()), tokens.run(someRows())), 1e-4);
}

/// Each layer's number of experts.
std::vector<std::int64_t> schedule(const std::string& text, std::int64_t layers)
{
    checkpoint::ModelConfig config = smallModel("llama");
    config.layers = layers;
    const auto& mola = plugin("mola");
    const auto model = model::Decoder::random(config, 1, {});
    const auto settings =
        mola.manifest.complete({{"schedule", text}, {"topK", 1}, {"targets", {"q_proj"}}, {"rank", 1}})
            .value();
    auto adapter = mola.family->attach(*model, adapter::Settings(settings), {}).value();
    std::vector<std::int64_t> experts;
    for (const auto& site : adapter->deltaSites())
        experts.push_back(site.experts);
    EXPECT_EQ(mola.family->plan(config, adapter::Settings(settings))->trainable,
              adapter->parameters().trainableElements());
    return experts;
}

TEST(MoLa, TakesItsExpertsFromTheDepth)
{
    using List = std::vector<std::int64_t>;
    EXPECT_EQ(schedule("2-4-6-8", 8), (List{2, 2, 4, 4, 6, 6, 8, 8}));
    EXPECT_EQ(schedule("8-6-4-2", 4), (List{8, 6, 4, 2}));
    EXPECT_EQ(schedule("5-5-5-5", 3), (List{5, 5, 5}));
    EXPECT_EQ(schedule("8-2-2-8", 8), (List{8, 8, 2, 2, 2, 2, 8, 8}));
    EXPECT_EQ(schedule("8", 3), (List{8, 8, 8}));
    EXPECT_EQ(schedule("1-2-3-4-5", 5), (List{1, 2, 3, 4, 5}));
}

TEST(MoLa, RefusesAScheduleThatIsNone)
{
    const auto& mola = plugin("mola");
    for (const char* text : {"", "2-", "-2", "2-x", "0", "300", "2.5", "2 4"}) {
        const auto plan = mola.family->plan(
            smallModel("llama"), adapter::Settings(mola.manifest.complete({{"schedule", text}}).value()));
        ASSERT_FALSE(plan) << text;
        EXPECT_NE(plan.error().message.find("schedule is '"), std::string::npos) << plan.error().message;
    }
    const auto plan = mola.family->plan(
        smallModel("llama"), adapter::Settings(mola.manifest.complete({{"schedule", "1-8"}}).value()));
    ASSERT_FALSE(plan);
    EXPECT_NE(plan.error().message.find("topK is 2"), std::string::npos) << plan.error().message;
}

TEST(Settings, ThatDoNotGoTogetherAreRefused)
{
    const auto refused = [](const std::string& family, const base::Json& settings, const std::string& words) {
        const auto& one = plugin(family);
        const auto plan =
            one.family->plan(smallModel("llama"), adapter::Settings(one.manifest.complete(settings).value()));
        ASSERT_FALSE(plan) << settings.dump();
        EXPECT_NE(plan.error().message.find(words), std::string::npos) << plan.error().message;
    };
    refused("moelora", {{"router", "topk_renorm"}, {"topK", 3}}, "topK is 3");
    refused("moelora", {{"splitRank", true}, {"rank", 9}}, "rank is 9");
    refused("flylora", {{"rank", 4}, {"k", 5}}, "k is 5");
    refused("flylora", {{"rank", 64}, {"k", 1}}, "rank is 64");
}

} // namespace
} // namespace rankscope::conformance

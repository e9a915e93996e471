// SPDX-License-Identifier: Apache-2.0
// Mixtures over whole MLP blocks: the block against its formula, written with each expert alone; balance
// losses; and the settings at which one family becomes another.
#include "tests/property/conformance/described.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

namespace rankscope::conformance
{
namespace
{

class Blocks : public Conformance
{
};

TEST_P(Blocks, AreTheWeightedSumOfTheirExperts)
{
    if (plugin(GetParam().family).manifest.scope != "mlp-block")
        GTEST_SKIP() << "not a mixture over MLP blocks";
    const at::NoGradGuard guard;
    const Subject subject = attach(GetParam());
    disturb(*subject.adapter, 100);
    const bool fused = GetParam().settings.value("fused", true);
    const auto pass = model::makePass(someRows(), false);
    const at::Tensor x = blockInput(subject, pass, 77);
    for (const auto& layer : subject.model->layers()) {
        const auto [actual, weights] = runBlock(subject, layer.mlp, x, pass);
        EXPECT_LT(distance(actual, blockByFormula(subject, layer.mlp, weights, x, fused)), rounding);
    }
}

INSTANTIATE_TEST_SUITE_P(Every, Blocks, testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name(); });

/// families.md of every top-k mixture: coefficient * N sum_j f_j P_j over the tokens of all layers together,
/// f_j the share of tokens that use j.
TEST(Mixtures, BalanceLossIsOneForAllLayers)
{
    for (const auto& plugin : plugins()) {
        if (plugin.manifest.scope != "mlp-block" || !plugin.manifest.setting("balanceCoefficient"))
            continue;
        const Subject subject =
            attach(variant(plugin.manifest.name, {{"balanceCoefficient", 0.5}, {"zLossCoefficient", 0}}));
        disturb(*subject.adapter, 100);
        subject.run(someRows(), true);
        at::Tensor used;
        at::Tensor probability;
        double tokens = 0;
        for (const auto& trace : subject.adapter->routing()) {
            const at::Tensor u = (trace.routing.dense() > 0).to(at::kDouble).sum(0);
            const at::Tensor p = trace.routing.probabilities.sum(0);
            used = used.defined() ? used + u : u;
            probability = probability.defined() ? probability + p : p;
            tokens += static_cast<double>(trace.routing.probabilities.size(0));
        }
        const double expected = 0.5 * static_cast<double>(used.numel()) *
                                (used / tokens * probability / tokens).sum().item<double>();
        EXPECT_NEAR(subject.adapter->auxiliaryLoss().item<double>(), expected, rounding)
            << plugin.manifest.name;
    }
}

/// Switch's f counts the choices, not what an expert's capacity lets through: a collapse onto one expert must
/// cost N times what balance does, however small the capacity.
TEST(Mixtures, SwitchsBalanceLossCountsTokensBeyondTheCapacity)
{
    for (const char* family : {"mixlora", "sharedlora", "opera"}) {
        const Subject subject = attach(variant(family, {{"router", "switch"},
                                                        {"capacity", 1},
                                                        {"balanceCoefficient", 1},
                                                        {"zLossCoefficient", 0},
                                                        {"jitter", 0}}));
        disturb(*subject.adapter, 100);
        subject.run(someRows(), true);
        std::vector<at::Tensor> all;
        for (const auto& trace : subject.adapter->routing())
            all.push_back(trace.routing.probabilities);
        const at::Tensor p = at::cat(all);
        const std::int64_t experts = p.size(1);
        double expected = 0;
        for (std::int64_t j = 0; j < experts; ++j) {
            const double f = (p.argmax(-1) == j).to(at::kDouble).mean().item<double>();
            expected += static_cast<double>(experts) * f * p.select(1, j).mean().item<double>();
        }
        EXPECT_NEAR(subject.adapter->auxiliaryLoss().item<double>(), expected, rounding) << family;
    }
}

/// families.md, OperA unfused: each projection gives W x / 2 + sum_j G_j E_j x / 2; with Switch the G of a
/// token do not sum to 1.
TEST(Mixtures, UnfusedSwitchWeighsTheExpertsHalfAlone)
{
    const at::NoGradGuard guard;
    const Subject subject =
        attach(variant("opera", {{"router", "switch"}, {"fused", false}, {"capacity", 1}}));
    disturb(*subject.adapter, 100);
    for (const auto& layer : subject.model->layers()) {
        const auto pass = model::makePass(someRows(), false);
        const at::Tensor x = blockInput(subject, pass, 79);
        subject.adapter->beginPass(pass);
        const at::Tensor actual = layer.mlp.forward(x, pass);
        const at::Tensor g = subject.adapter->routing().front().routing.dense();
        EXPECT_GT((g.sum(-1) == 0).sum().item<std::int64_t>(), 0) << "no token was dropped";
        auto mixed = [&](const model::FrozenLinear& linear, const at::Tensor& input) {
            const at::Tensor half = 0.5 * linear.forward(input);
            at::Tensor sum = half;
            for (std::int64_t j = 0; j < g.size(1); ++j)
                sum = sum + g.select(1, j).unsqueeze(1) *
                                (projected(subject, layer.index, linear.shape.module, j, input) - half);
            return sum;
        };
        std::vector<at::Tensor> in;
        for (const auto& site : layer.mlp.inputs)
            in.push_back(mixed(site.base, x));
        EXPECT_LT(distance(actual, mixed(layer.mlp.down.base, activated(in))), rounding);
    }
}

/// Copies values from one adapter's tensors to another's: `from` is a part of the name, `to` what stands
/// there instead.
void copyTensors(const Subject& source, const Subject& target,
                 const std::vector<std::pair<std::string, std::string>>& names)
{
    const at::NoGradGuard guard;
    for (const auto& parameter : source.adapter->parameters().all()) {
        for (const auto& [from, to] : names) {
            const auto at = parameter.name.find(from);
            if (at == std::string::npos)
                continue;
            std::string name = parameter.name;
            const auto* twin = target.adapter->parameters().find(name.replace(at, from.size(), to));
            if (!twin)
                continue;
            at::Tensor tensor = twin->tensor;
            tensor.copy_(parameter.tensor.reshape(tensor.sizes()));
            break;
        }
    }
}

TEST(Mixtures, OneMixLoraExpertIsLora)
{
    const at::NoGradGuard guard;
    const Subject mixture =
        attach(variant("mixlora", {{"experts", 1}, {"topK", 1}, {"rank", 4}, {"alpha", 12}}));
    const Subject plain = attach(variant("lora", {{"rank", 4}, {"alpha", 12}, {"targets", {"all-linear"}}}));
    disturb(*mixture.adapter, 100);
    copyTensors(mixture, plain, {{"experts.lora", "lora"}, {"lora", "lora"}});
    EXPECT_LT(distance(mixture.run(someRows()), plain.run(someRows())), rounding);
}

TEST(Mixtures, SharedLoraWithoutItsGroupsIsMixLora)
{
    const at::NoGradGuard guard;
    for (const int groups : {1, 2, 4}) {
        const base::Json routing{{"experts", 4}, {"topK", 2}, {"rank", 3}, {"alpha", 6}};
        base::Json tiers = routing;
        tiers["groups"] = groups;
        const Subject mixture = attach(variant("mixlora", routing));
        const Subject shared = attach(variant("sharedlora", tiers));
        disturb(*mixture.adapter, 100);
        // The groups' B stay at zero; everything else is MixLoRA's.
        copyTensors(mixture, shared,
                    {{"experts.lora", "experts.lora"}, {"router", "router"}, {"lora", "lora"}});
        EXPECT_LT(distance(mixture.run(someRows()), shared.run(someRows())), rounding) << groups;
    }
}

TEST(Mixtures, SharedLoraWithAGroupForEachExpertIsMixLoraOfTwiceTheRank)
{
    const at::NoGradGuard guard;
    const base::Json tiers{{"experts", 3}, {"groups", 3}, {"topK", 2}, {"rank", 2}, {"alpha", 4}};
    const Subject shared = attach(variant("sharedlora", tiers));
    disturb(*shared.adapter, 100);
    // Scale alpha / r is kept: twice the rank, twice the alpha. Attention is compared through its own delta.
    const Subject mixture =
        attach(variant("mixlora", {{"experts", 3}, {"topK", 2}, {"rank", 4}, {"alpha", 8}}));
    for (const auto& site : shared.adapter->deltaSites()) {
        if (site.experts == 1)
            continue;
        for (std::int64_t expert = 0; expert < site.experts; ++expert) {
            const auto delta =
                std::get<adapter::LowRankDelta>(shared.adapter->delta(site.layer, site.module, expert));
            auto target =
                std::get<adapter::LowRankDelta>(mixture.adapter->delta(site.layer, site.module, expert));
            ASSERT_EQ(delta.a.sizes(), target.a.sizes());
            target.a.copy_(delta.a);
            target.b.copy_(delta.b);
        }
    }
    copyTensors(shared, mixture, {{"router", "router"}});
    const auto pass = model::makePass(someRows(), false);
    for (std::size_t layer = 0; layer < 2; ++layer) {
        const at::Tensor x = blockInput(shared, pass, 78);
        EXPECT_LT(distance(shared.model->layers()[layer].mlp.forward(x, pass),
                           mixture.model->layers()[layer].mlp.forward(x, pass)),
                  rounding);
    }
}

TEST(Mixtures, AllExpertsOfTopKAreASoftMixture)
{
    const at::NoGradGuard guard;
    for (const auto& plugin : plugins()) {
        if (!plugin.manifest.setting("topK") || !plugin.manifest.setting("experts"))
            continue;
        base::Json settings = shown(plugin.manifest, "topK");
        settings.update({{"experts", 4}, {"topK", 4}});
        const Subject subject = attach(variant(plugin.manifest.name, settings));
        disturb(*subject.adapter, 100);
        subject.run(someRows());
        for (const auto& trace : subject.adapter->routing())
            EXPECT_LT(distance(trace.routing.dense(), trace.routing.probabilities), rounding)
                << plugin.manifest.name;
    }
}

TEST(Mixtures, MoreChoicesThanExpertsAreRefused)
{
    for (const auto& plugin : plugins()) {
        if (!plugin.manifest.setting("topK") || !plugin.manifest.setting("experts"))
            continue;
        base::Json settings = shown(plugin.manifest, "topK");
        settings.update({{"experts", 2}, {"topK", 3}});
        const auto plan = plugin.family->plan(smallModel("llama"),
                                              adapter::Settings(plugin.manifest.complete(settings).value()));
        ASSERT_FALSE(plan) << plugin.manifest.name;
        EXPECT_NE(plan.error().message.find("topK"), std::string::npos);
    }
}

} // namespace
} // namespace rankscope::conformance

// SPDX-License-Identifier: Apache-2.0
// What every adapter promises whatever it computes: counts, initial output, save and load, its own
// description of its updates, independence of rows, the same bits from the same seed.
#include "tests/property/conformance/described.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>
#include <algorithm>
#include <c10/core/GradMode.h>
#include <cmath>
#include <set>

namespace rankscope::conformance
{
namespace
{

TEST(Plugins, EveryOneLoads)
{
    ASSERT_FALSE(plugins().empty()) << "no plugins in $RANKSCOPE_PLUGINS";
    for (const auto& plugin : plugins())
        EXPECT_EQ(plugin.state, adapter::PluginState::Loaded) << plugin.manifest.name << ": " << plugin.error;
}

TEST_P(Conformance, PlanCountsWhatIsAttached)
{
    const Subject subject = attach(GetParam());
    const auto plan =
        plugin(GetParam().family).family->plan(GetParam().model, adapter::Settings(GetParam().settings));
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->trainable, subject.adapter->parameters().trainableElements());
    std::int64_t buffers = 0;
    for (const auto& parameter : subject.adapter->parameters().all()) {
        if (!parameter.trainable)
            buffers += parameter.tensor.numel();
        EXPECT_EQ(parameter.tensor.requires_grad(), parameter.trainable && parameter.reached)
            << parameter.name;
        EXPECT_EQ(parameter.tensor.scalar_type(), at::kDouble) << parameter.name;
        EXPECT_TRUE(parameter.name.starts_with("base_model.model.")) << parameter.name;
    }
    EXPECT_EQ(plan->buffers, buffers);
}

TEST_P(Conformance, KeepsTheOutputAtInitialisation)
{
    const at::NoGradGuard guard;
    const auto& manifest = plugin(GetParam().family).manifest;
    const Subject base{makeModel(GetParam().model), nullptr};
    const at::Tensor expected = base.run(someRows());
    Subject subject = attach(GetParam());
    const at::Tensor actual = subject.run(someRows());
    if (manifest.initialOutputOf(*manifest.complete(GetParam().settings)) != "changed") {
        EXPECT_LT(distance(actual, expected), rounding);
    }
    // And once it is gone, nothing of it is left.
    subject.adapter.reset();
    EXPECT_EQ(distance(subject.run(someRows()), expected), 0);
}

TEST_P(Conformance, ABarePassIsTheBaseModels)
{
    const at::NoGradGuard guard;
    const auto& manifest = plugin(GetParam().family).manifest;
    if (manifest.initialOutputOf(*manifest.complete(GetParam().settings)) == "rounding")
        GTEST_SKIP() << "may have replaced a weight";
    const Subject base{makeModel(GetParam().model), nullptr};
    const Subject subject = attach(GetParam());
    disturb(*subject.adapter, 100);
    auto pass = model::makePass(someRows(), false);
    pass.bare = true;
    subject.adapter->beginPass(pass);
    EXPECT_EQ(distance(subject.model->forward(pass), base.run(someRows())), 0);
}

TEST_P(Conformance, ChangesTheOutputOnceTrained)
{
    const at::NoGradGuard guard;
    const Subject subject = attach(GetParam());
    const at::Tensor before = subject.run(someRows());
    disturb(*subject.adapter, 100);
    EXPECT_GT(distance(subject.run(someRows()), before), 1e-3);
}

TEST_P(Conformance, ComputesTheSameWhetherOrNotGradientsAreAsked)
{
    const Subject subject = attach(GetParam());
    // Twice: what the first round kept to evaluate faster must not outlive the tensors it came from.
    for (const std::uint64_t seed : {100, 200}) {
        disturb(*subject.adapter, seed);
        at::Tensor without;
        {
            const at::NoGradGuard guard;
            without = subject.run(someRows());
        }
        const at::Tensor with = subject.run(someRows());
        ASSERT_TRUE(with.requires_grad());
        EXPECT_LT(distance(without, with), rounding);
    }
}

TEST_P(Conformance, IsTheSameAfterSavingAndLoading)
{
    const at::NoGradGuard guard;
    const Subject first = attach(GetParam(), 7);
    disturb(*first.adapter, 100);
    const Subject second = attach(GetParam(), 8);
    const auto saved = first.tensors();
    ASSERT_TRUE(second.adapter->parameters().load(saved));
    EXPECT_EQ(distance(second.run(someRows()), first.run(someRows())), 0);

    auto incomplete = saved;
    incomplete.erase(incomplete.begin());
    EXPECT_FALSE(second.adapter->parameters().load(incomplete));
    auto foreign = saved;
    foreign["base_model.model.somewhere.else"] = saved.begin()->second;
    EXPECT_FALSE(second.adapter->parameters().load(foreign));
    auto reshaped = saved;
    reshaped.begin()->second = reshaped.begin()->second.unsqueeze(0);
    EXPECT_FALSE(second.adapter->parameters().load(reshaped));
}

TEST_P(Conformance, DescribesWhatEachExpertChanges)
{
    const at::NoGradGuard guard;
    const Subject subject = attach(GetParam());
    disturb(*subject.adapter, 100);
    const auto sites = subject.adapter->deltaSites();
    ASSERT_FALSE(sites.empty());
    for (const auto& site : sites) {
        const auto* linear = subject.model->linear(site.layer, site.module);
        ASSERT_NE(linear, nullptr) << site.module;
        ASSERT_GE(site.experts, 1);
        for (std::int64_t expert = 0; expert < site.experts; ++expert) {
            EXPECT_LT(deltaError(subject, site, expert), deltaTolerance(site))
                << site.layer << ' ' << site.module << ' ' << expert;
            if (site.linear)
                continue;
            const at::Tensor far = at::eye(linear->base.shape.in, at::TensorOptions(at::kDouble));
            const at::Tensor delta =
                adapter::denseDelta(subject.adapter->delta(site.layer, site.module, expert));
            EXPECT_GT(distance(subject.adapter->expertForward(site.layer, site.module, expert, far),
                               linear->base.forward(far) + at::matmul(far, delta.t())),
                      1e-4)
                << "this update is said to be curved";
        }
    }
}

TEST_P(Conformance, MeasuresItselfOnTheAxesItNames)
{
    const Subject subject = attach(GetParam());
    disturb(*subject.adapter, 100);
    subject.run(someRows(), true);
    std::set<std::string> names;
    for (auto& measure : subject.adapter->inside()) {
        for (std::size_t i = 0; i < measure.pieces; ++i)
            measure.measure(i);
        EXPECT_TRUE(names.insert(measure.name).second) << measure.name << " is there twice";
        EXPECT_FALSE(measure.title.empty()) << measure.name;
        EXPECT_FALSE(measure.definition.empty()) << measure.name;
        std::size_t cells = 1;
        for (const auto& [name, labels] : measure.axes) {
            EXPECT_FALSE(name.empty()) << measure.name;
            cells *= labels.size();
        }
        EXPECT_EQ(measure.values.size(), cells) << measure.name;
        EXPECT_TRUE(std::ranges::any_of(measure.values, [](float value) { return std::isfinite(value); }))
            << measure.name << " measures nothing";
    }
}

TEST_P(Conformance, MixesItsExpertsAsTheirWeightedSum)
{
    if (plugin(GetParam().family).manifest.mergesExperts.holds(GetParam().settings))
        GTEST_SKIP() << "merges parameters by definition";
    const at::NoGradGuard guard;
    const Subject subject = attach(GetParam());
    disturb(*subject.adapter, 100);
    for (const auto& site : subject.adapter->deltaSites())
        EXPECT_LT(meanDeltaError(subject, site), rounding) << site.layer << ' ' << site.module;
}

TEST_P(Conformance, TrainsAndEvaluatesAlikeWithoutNoise)
{
    if (plugin(GetParam().family).manifest.hardEvaluation.holds(GetParam().settings))
        GTEST_SKIP() << "defined to differ";
    const at::NoGradGuard guard;
    const Subject subject = attach(GetParam());
    disturb(*subject.adapter, 100);
    const at::Tensor training = subject.run(someRows(), true);
    EXPECT_LT(distance(training, subject.run(someRows(), false)), rounding);
}

TEST(Plugins, AreRandomInTrainingOnly)
{
    const at::NoGradGuard guard;
    for (const auto& plugin : plugins()) {
        for (const auto& name : noiseSettings(plugin.manifest)) {
            base::Json settings = shown(plugin.manifest, name);
            const Subject still = attach(variant(plugin.manifest.name, settings));
            settings[name] = 0.5;
            const Subject noisy = attach(variant(plugin.manifest.name, settings));
            disturb(*still.adapter, 100);
            disturb(*noisy.adapter, 100);
            EXPECT_EQ(distance(noisy.run(someRows()), still.run(someRows())), 0)
                << plugin.manifest.name << ' ' << name;
            EXPECT_GT(distance(noisy.run(someRows(), true), still.run(someRows(), true)), 1e-3)
                << plugin.manifest.name << ' ' << name;
        }
    }
}

TEST_P(Conformance, ARowDoesNotSeeItsNeighbours)
{
    const at::NoGradGuard guard;
    const Subject subject = attach(GetParam());
    disturb(*subject.adapter, 100);
    const Rows rows = someRows();
    const at::Tensor together = subject.run(rows);
    std::int64_t start = 0;
    for (const auto& row : rows) {
        const auto length = static_cast<std::int64_t>(row.size());
        EXPECT_LT(distance(subject.run({row}), together.narrow(0, start, length)), rounding);
        start += length;
    }
}

TEST_P(Conformance, GivesTheSameBitsFromTheSameSeed)
{
    const at::NoGradGuard guard;
    const Subject first = attach(GetParam(), 7);
    const Subject second = attach(GetParam(), 7);
    const Subject other = attach(GetParam(), 8);
    const auto left = first.tensors();
    const auto right = second.tensors();
    bool differs = false;
    for (const auto& [name, tensor] : left) {
        EXPECT_TRUE(tensor.equal(right.at(name))) << name;
        differs = differs || !tensor.equal(other.tensors().at(name));
    }
    // A choice may leave nothing to chance (an exact decomposition of the weight); the defaults never do.
    EXPECT_TRUE(differs || GetParam().changed != "defaults") << "the seed changes nothing";
    disturb(*first.adapter, 100);
    disturb(*second.adapter, 100);
    EXPECT_TRUE(first.run(someRows()).equal(second.run(someRows())));
}

TEST_P(Conformance, DecodesWithACacheAsWithout)
{
    if (plugin(GetParam().family).manifest.nonCausal.holds(GetParam().settings))
        GTEST_SKIP() << "sees the whole row by definition";
    const at::NoGradGuard guard;
    const Subject subject = attach(GetParam());
    disturb(*subject.adapter, 100);
    const auto& config = subject.model->config();
    const Rows rows{{5, 9, 2, 31, 7, 12}, {11, 3, 28, 39, 1, 6}};
    auto together = model::makePass(rows, false);
    together.promptLengths = {3, 2};
    subject.adapter->beginPass(together);
    const at::Tensor whole = subject.model->forward(together);
    model::KvCache cache(config.layers, 2, 16, config.kvHeads, config.headDim, at::kDouble, at::kCPU);
    // Prompts of different length, then two tokens at once, then one by one.
    std::vector<std::size_t> held{0, 0};
    for (const std::vector<std::size_t>& next :
         std::vector<std::vector<std::size_t>>{{3, 2}, {2, 2}, {1, 1}, {0, 1}}) {
        Rows pieces;
        for (std::size_t row = 0; row < 2; ++row)
            pieces.emplace_back(rows[row].begin() + static_cast<std::ptrdiff_t>(held[row]),
                                rows[row].begin() + static_cast<std::ptrdiff_t>(held[row] + next[row]));
        auto pass = model::makePass(pieces, false);
        pass.cache = &cache;
        subject.adapter->beginPass(pass);
        const at::Tensor hidden = subject.model->forward(pass);
        for (std::size_t row = 0; row < 2; ++row) {
            const auto count = static_cast<std::int64_t>(next[row]);
            const auto start = static_cast<std::int64_t>(row * rows[0].size() + held[row]);
            EXPECT_LT(distance(hidden.narrow(0, pass.starts[row], count), whole.narrow(0, start, count)),
                      rounding)
                << "row " << row << " after " << held[row];
            held[row] += next[row];
        }
    }
}

TEST_P(Conformance, WorksOnABaseInBfloat16)
{
    const Subject base{makeModel(GetParam().model, at::kBFloat16), nullptr};
    const Subject subject = attach(GetParam(), 7, at::kBFloat16);
    const at::Tensor hidden = subject.run(someRows(), true);
    EXPECT_EQ(hidden.scalar_type(), at::kBFloat16);
    EXPECT_TRUE(hidden.isfinite().all().item<bool>());
    hidden.sum().backward();
    for (const auto& parameter : subject.adapter->parameters().trainable()) {
        EXPECT_EQ(parameter.tensor.scalar_type(), at::kFloat) << parameter.name;
        ASSERT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
        EXPECT_TRUE(parameter.tensor.grad().isfinite().all().item<bool>()) << parameter.name;
    }
    const auto& manifest = plugin(GetParam().family).manifest;
    if (manifest.initialOutputOf(*manifest.complete(GetParam().settings)) != "changed") {
        EXPECT_LT(distance(hidden, base.run(someRows())), 0.15);
    }
}

INSTANTIATE_TEST_SUITE_P(Every, Conformance, testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name(); });

} // namespace
} // namespace rankscope::conformance

// SPDX-License-Identifier: Apache-2.0
// What the mixtures do beside their output: balance losses, masks and draws, decoding, balance terms, mean
// updates, measures.
#include "tests/property/families/mixtures/oracle.h"

#include "core/model/kv_cache.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <set>

namespace rankscope::conformance
{
namespace
{

void seed(std::uint64_t value)
{
    at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
    generator.set_current_seed(value);
}

at::Tensor tensorOf(const Subject& subject, std::int64_t layer, const std::string& module,
                    const std::string& name)
{
    const auto path = subject.model->linear(layer, module)->base.shape.path;
    return subject.adapter->parameters().find("base_model.model." + path + "." + name)->tensor;
}

/// Runs these linears on inputs of their own; returns copies of their tensors with the inputs under "x".
std::vector<Parts> runLinears(const Subject& subject,
                              const std::vector<std::pair<std::int64_t, std::string>>& linears)
{
    const auto pass = model::makePass(someRows(), true);
    subject.adapter->beginPass(pass);
    std::vector<Parts> all;
    std::uint64_t next = 50;
    for (const auto& [layer, module] : linears) {
        all.push_back(partsOf(subject, layer, module, pass));
        all.back().tensors["x"] = inputOf(subject, module, pass, next++);
        adapted(subject, layer, module, all.back()["x"], pass);
    }
    return all;
}

void sameGradients(const Subject& subject, const std::vector<Parts>& all,
                   const std::vector<std::pair<std::int64_t, std::string>>& linears,
                   const std::vector<std::string>& names)
{
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (const auto& name : names) {
            const at::Tensor own = tensorOf(subject, linears[i].first, linears[i].second, name);
            ASSERT_TRUE(own.grad().defined()) << name;
            EXPECT_LT(distance(own.grad(), all[i][name].grad()), rounding) << name;
        }
    }
}

/// Share of the tokens that keep each expert.
at::Tensor keptShare(const at::Tensor& mask)
{
    return mask.to(at::kDouble).mean(0);
}

TEST(AdaMole, SumsABalanceLossOverItsLinears)
{
    const std::vector<std::pair<std::int64_t, std::string>> linears{
        {0, "q_proj"}, {0, "o_proj"}, {1, "v_proj"}};
    const Subject subject = attach(variant("adamole", {{"experts", 5}, {"balanceCoefficient", 0.25}}));
    disturb(*subject.adapter, 100);
    const auto all = runLinears(subject, linears);
    at::Tensor expected;
    for (const auto& parts : all) {
        const at::Tensor p = at::softmax(at::matmul(parts["x"], parts["router.weight"].t()), -1);
        const at::Tensor tau =
            at::sigmoid(at::matmul(parts["x"], parts["threshold.weight"].t()) + parts["threshold.bias"]) / 5;
        const at::Tensor one = 5 * (keptShare(p.detach() >= tau.detach()) * (p - tau).mean(0)).sum();
        expected = expected.defined() ? expected + one : one;
    }
    const at::Tensor actual = subject.adapter->auxiliaryLoss();
    EXPECT_NEAR(actual.item<double>(), 0.25 * expected.item<double>(), rounding);
    actual.backward();
    (0.25 * expected).backward();
    sameGradients(subject, all, linears, {"router.weight", "threshold.weight", "threshold.bias"});
}

TEST(MoLa, HasOneBalanceLossForEachLayer)
{
    const std::vector<std::pair<std::int64_t, std::string>> linears{
        {0, "q_proj"}, {0, "down_proj"}, {1, "v_proj"}};
    const Subject subject =
        attach(variant("mola", {{"schedule", "3-5"}, {"balanceLoss", true}, {"balanceCoefficient", 0.5}}));
    disturb(*subject.adapter, 100);
    const auto all = runLinears(subject, linears);
    auto probability = [](const Parts& parts) {
        return at::softmax(at::matmul(parts["x"], parts["router.weight"].t()), -1);
    };
    auto layerLoss = [](const at::Tensor& p) {
        const at::Tensor chosen = std::get<1>(at::topk(p.detach(), 2, -1));
        const at::Tensor f = at::bincount(chosen.reshape({-1}), {}, p.size(1)).to(at::kDouble) /
                             static_cast<double>(2 * p.size(0)); // divided by k: balance is 1
        return static_cast<double>(p.size(1)) * (f * p.mean(0)).sum();
    };
    const at::Tensor expected = 0.5 * (layerLoss(at::cat({probability(all[0]), probability(all[1])})) +
                                       layerLoss(probability(all[2])));
    const at::Tensor actual = subject.adapter->auxiliaryLoss();
    EXPECT_NEAR(actual.item<double>(), expected.item<double>(), rounding);
    actual.backward();
    expected.backward();
    sameGradients(subject, all, linears, {"router.weight"});
    EXPECT_FALSE(attach(variant("mola", base::Json::object())).adapter->auxiliaryLoss().defined())
        << "off by default";
}

/// A mixture of two equal experts that are the identity, so that the update shows the masks of dropout: every
/// element of update / x, with p = 1/2.
std::set<int> maskValues(const std::string& family, base::Json settings)
{
    settings.update({{"experts", 2}, {"rank", 32}, {"alpha", 32}, {"targets", {"q_proj"}}, {"dropout", 0.5}});
    const at::NoGradGuard guard;
    const Subject subject = attach(variant(family, settings));
    for (const auto& parameter : subject.adapter->parameters().all()) {
        at::Tensor tensor = parameter.tensor;
        if (parameter.name.find("lora_") == std::string::npos)
            tensor.zero_(); // routers: both experts alike
        else
            tensor.copy_(at::eye(32, tensor.options()).expand(tensor.sizes()));
    }
    const auto pass = model::makePass(someRows(), true);
    const at::Tensor x = inputOf(subject, "q_proj", pass, 8);
    subject.adapter->beginPass(pass);
    const at::Tensor y = adapted(subject, 0, "q_proj", x, pass);
    const auto& base = subject.model->linear(0, "q_proj")->base;
    const at::Tensor ratio = ((y - base.forward(x)) / x).contiguous();
    std::set<int> values;
    for (std::int64_t i = 0; i < ratio.numel(); ++i) {
        const double value = ratio.const_data_ptr<double>()[i];
        EXPECT_NEAR(value, std::round(value), 1e-6);
        values.insert(static_cast<int>(std::lround(value)));
    }
    return values;
}

TEST(Dropout, IsOneMaskForAllExperts)
{
    const std::set<int> one{0, 2};
    EXPECT_EQ(maskValues("moelora", {}), one);
    EXPECT_EQ(maskValues("moelora", {{"router", "topk_renorm"}}), one);
    EXPECT_EQ(maskValues("molora", {}), one);
    EXPECT_EQ(maskValues("hydralora", {}), one);
    EXPECT_EQ(maskValues("smear", {}), one);
}

TEST(Dropout, IsEachExpertsOwnInAdaMole)
{
    EXPECT_EQ(maskValues("adamole", {}), (std::set<int>{0, 1, 2}));
}

TEST(Dropout, IsOfNoConcernToRouters)
{
    const at::NoGradGuard guard;
    for (const char* family : {"moelora", "molora", "hydralora", "mola", "adamole", "smear"}) {
        const Subject subject = attach(variant(family, {{"dropout", 0.5}, {"targets", {"q_proj"}}}));
        disturb(*subject.adapter, 100);
        at::Tensor seen[2];
        for (const bool training : {false, true}) {
            const auto pass = model::makePass(someRows(), training);
            subject.adapter->beginPass(pass);
            adapted(subject, 0, "q_proj", inputOf(subject, "q_proj", pass, 8), pass);
            seen[training] = subject.adapter->routing().front().routing.dense();
        }
        EXPECT_EQ(distance(seen[0], seen[1]), 0) << family;
    }
}

TEST(Gumbel, FollowsTheProbabilities)
{
    // At a low temperature the noisy softmax is a draw from the softmax (Gumbel-max).
    const at::Tensor z = at::tensor({0.0, 1.0, -0.5}, at::kDouble);
    seed(4);
    const auto routing = adapter::routeGumbel(z.expand({40000, 3}), 1e-4, 1, true);
    EXPECT_LT(distance(routing.weights.mean(0), at::softmax(z, -1)), 0.01);
    EXPECT_LT(distance(routing.weights.sum(-1), at::ones({40000}, at::kDouble)), rounding);
}

TEST(Draws, ComeFromTheSeedAndOnlyInTraining)
{
    const at::NoGradGuard guard;
    const std::vector<std::pair<std::string, base::Json>> random{
        {"moelora", {{"router", "gumbel_top1"}, {"gumbelNoise", 1}}},
        {"smear", {{"expertDropout", 0.4}}},
        {"smear", {{"expertDropout", 0.4}, {"level", "token"}}},
        {"adamole", {{"dropout", 0.4}}},
    };
    for (const auto& [family, settings] : random) {
        const Subject subject = attach(variant(family, settings));
        disturb(*subject.adapter, 100);
        seed(1);
        const at::Tensor first = subject.run(someRows(), true);
        EXPECT_GT(distance(first, subject.run(someRows(), true)), 1e-6) << family;
        seed(1);
        EXPECT_TRUE(first.equal(subject.run(someRows(), true))) << family;
        EXPECT_TRUE(subject.run(someRows()).equal(subject.run(someRows()))) << family;
    }
}

/// The released router: only the norm over the expert vectors starts small.
TEST(Smear, StartsItsNormsAsReleased)
{
    const Subject subject = attach(variant("smear", {{"normaliseRouter", true}}));
    const auto values = [&](const char* name) { return tensorOf(subject, 0, "q_proj", name); };
    EXPECT_TRUE((values("router.input_norm.weight") == 1).all().item<bool>());
    EXPECT_TRUE(((values("router.expert_norm.weight") - 0.01).abs() < 1e-12).all().item<bool>());
    for (const char* zero : {"router.input_norm.bias", "router.expert_norm.bias", "router.bias"})
        EXPECT_TRUE((values(zero) == 0).all().item<bool>()) << zero;
}

TEST(Smear, DropsExpertsAndRenormalises)
{
    const at::NoGradGuard guard;
    for (const char* level : {"sequence", "token"}) {
        const Subject subject = attach(variant(
            "smear", {{"expertDropout", 0.9}, {"experts", 3}, {"level", level}, {"targets", {"q_proj"}}}));
        disturb(*subject.adapter, 100);
        seed(2);
        bool zero = false;
        for (int repeat = 0; repeat < 20; ++repeat) {
            subject.run(someRows(), true);
            for (const auto& trace : subject.adapter->routing()) {
                const at::Tensor g = trace.routing.dense();
                EXPECT_LT(distance(g.sum(-1), at::ones({g.size(0)}, at::kDouble)), rounding);
                zero = zero || (g == 0).any().item<bool>();
                if (std::string(level) == "sequence")
                    continue;
                // What is kept keeps its proportions.
                const at::Tensor ratio = g / trace.routing.probabilities;
                const at::Tensor off = (ratio - ratio.amax(-1, true)).abs() * (g > 0).to(at::kDouble);
                EXPECT_LT(off.max().item<double>(), 1e-9);
            }
        }
        EXPECT_TRUE(zero) << level;
    }
}

TEST(Smear, RemembersEachRowsPromptWhenRowsLeave)
{
    const at::NoGradGuard guard;
    const Subject subject = attach(variant("smear", {{"pool", "prompt_only"}}));
    disturb(*subject.adapter, 100);
    const auto& config = subject.model->config();
    auto decode = [&](const Rows& prompts, const std::vector<std::int64_t>& kept, const Rows& next) {
        model::KvCache cache(config.layers, static_cast<std::int64_t>(prompts.size()), 16, config.kvHeads,
                             config.headDim, at::kDouble, at::kCPU);
        auto pass = model::makePass(prompts, false);
        pass.cache = &cache;
        static_cast<void>(subject.model->forward(pass));
        cache.select(kept);
        auto step = model::makePass(next, false);
        step.cache = &cache;
        return subject.model->forward(step);
    };
    const at::Tensor together = decode({{5, 9, 2}, {11, 3}, {7, 8, 1, 30}}, {2, 0, 0}, {{4, 6}, {1}, {2}});
    EXPECT_LT(distance(together.narrow(0, 0, 2), decode({{7, 8, 1, 30}}, {0}, {{4, 6}})), rounding);
    EXPECT_LT(distance(together.narrow(0, 2, 1), decode({{5, 9, 2}}, {0}, {{1}})), rounding);
    EXPECT_LT(distance(together.narrow(0, 3, 1), decode({{5, 9, 2}}, {0}, {{2}})), rounding);
}

TEST(Smear, PoolsAllTokensSoFarWhileDecoding)
{
    const at::NoGradGuard guard;
    const Subject subject = attach(variant("smear", {{"targets", {"q_proj"}}, {"experts", 3}}));
    disturb(*subject.adapter, 100);
    const auto& config = subject.model->config();
    model::KvCache cache(config.layers, 2, 16, config.kvHeads, config.headDim, at::kDouble, at::kCPU);
    const auto whole = model::makePass({{5, 9, 2, 7}, {11, 3, 4}}, false);
    const at::Tensor x = inputOf(subject, "q_proj", whole, 8);
    auto first = model::makePass({{5, 9, 2}, {11, 3}}, false);
    auto second = model::makePass({{7}, {4}}, false);
    first.cache = second.cache = &cache;
    const at::Tensor firstTokens = at::tensor({0, 1, 2, 4, 5}, at::kLong);
    const at::Tensor secondTokens = at::tensor({3, 6}, at::kLong);
    const at::Tensor expected = adapted(subject, 0, "q_proj", x, whole);
    adapted(subject, 0, "q_proj", x.index_select(0, firstTokens), first);
    EXPECT_LT(distance(adapted(subject, 0, "q_proj", x.index_select(0, secondTokens), second),
                       expected.index_select(0, secondTokens)),
              rounding);
}

/// What an expert takes of a row does not depend on how many passes the row comes in.
TEST(Switch, CountsTheCapacityOfAWholeRowWhileDecoding)
{
    const at::NoGradGuard guard;
    for (const char* family : {"mixlora", "sharedlora", "opera"}) {
        const Subject subject =
            attach(variant(family, {{"router", "switch"}, {"experts", 2}, {"capacity", 1}, {"jitter", 0}}));
        disturb(*subject.adapter, 100);
        const auto& config = subject.model->config();
        const Rows rows{{5, 9, 2, 31, 7}, {11, 3, 28, 39, 1}};
        const std::size_t length = rows[0].size();
        const at::Tensor whole = subject.model->forward(model::makePass(rows, false));
        // Five tokens and two experts that take one each: some of every row's tokens are turned away.
        const auto dropped = (subject.adapter->routing().front().routing.dense().sum(-1) == 0).sum();
        EXPECT_GE(dropped.item<std::int64_t>(), 6) << family;
        // The first row held twice and the second once, as the candidates of a choice are.
        model::KvCache cache(config.layers, 2, 16, config.kvHeads, config.headDim, at::kDouble, at::kCPU);
        auto prompt = model::makePass({{rows[0][0]}, {rows[1][0], rows[1][1]}}, false);
        prompt.cache = &cache;
        static_cast<void>(subject.model->forward(prompt));
        const std::vector<std::size_t> rowOf{0, 1, 0};
        cache.select({0, 1, 0});
        std::vector<std::size_t> held{1, 2, 1};
        while (held[0] < length) {
            Rows next;
            for (std::size_t i = 0; i < held.size(); ++i) {
                next.emplace_back();
                if (held[i] < length)
                    next.back().push_back(rows[rowOf[i]][held[i]]);
            }
            auto step = model::makePass(next, false);
            step.cache = &cache;
            const at::Tensor hidden = subject.model->forward(step);
            for (std::size_t i = 0; i < held.size(); ++i) {
                if (next[i].empty())
                    continue;
                const auto at = static_cast<std::int64_t>(rowOf[i] * length + held[i]++);
                EXPECT_LT(distance(hidden[step.starts[i]], whole[at]), rounding)
                    << family << ", row " << i << ", token " << held[i];
            }
        }
    }
}

TEST(FlyLora, ProjectsSparselyAndNeverTrainsIt)
{
    const Subject subject = attach(variant("flylora", {{"rank", 5}, {"k", 2}}));
    std::vector<double> drawn;
    for (const auto& parameter : subject.adapter->parameters().all()) {
        if (!parameter.name.ends_with("lora_A.weight"))
            continue;
        EXPECT_FALSE(parameter.trainable);
        const std::int64_t in = parameter.tensor.size(1);
        EXPECT_TRUE(((parameter.tensor != 0).sum(1) == in * 2 / 5).all().item<bool>());
        const at::Tensor values = parameter.tensor.masked_select(parameter.tensor != 0);
        drawn.insert(drawn.end(), values.const_data_ptr<double>(),
                     values.const_data_ptr<double>() + values.numel());
    }
    const at::Tensor all = at::tensor(drawn, at::kDouble);
    EXPECT_NEAR(all.mean().item<double>(), 0, 0.03);
    EXPECT_NEAR(all.std().item<double>(), 0.2, 0.02); // 1 / r
    // Not the same places in every row.
    const at::Tensor a = tensorOf(subject, 0, "q_proj", "lora_A.weight");
    EXPECT_FALSE((a[0] != 0).equal(a[1] != 0));
}

TEST(FlyLora, MovesItsBalanceTermAfterEachTrainingPass)
{
    const Subject subject = attach(variant("flylora", {{"rank", 6}, {"k", 2}, {"balanceRate", 0.5}}));
    disturb(*subject.adapter, 100);
    const at::Tensor d = tensorOf(subject, 1, "o_proj", "balance_bias");
    const auto traceOf = [&] {
        for (const auto& trace : subject.adapter->routing()) {
            if (trace.layer == 1 && trace.router == "o_proj")
                return trace.routing.load();
        }
        return at::Tensor();
    };
    at::Tensor expected = at::zeros({6}, at::kDouble);
    for (int step = 0; step < 3; ++step) {
        for (const Rows& rows : {someRows(), Rows{{1, 2, 3}, {30}}}) { // two passes, one step
            subject.run(rows, true);
            EXPECT_LT(distance(d, expected), rounding);
            const at::Tensor counts = traceOf();
            subject.adapter->afterPass();
            expected = expected + 0.5 * at::where(counts < counts.mean(), 1.0,
                                                  at::where(counts > counts.mean(), -1.0, 0.0));
            EXPECT_LT(distance(d, expected), rounding);
        }
        subject.run({{9, 9, 9, 9}}); // evaluation does not count
        subject.adapter->afterStep();
        EXPECT_LT(distance(d, expected), rounding);
    }
    EXPECT_GT(d.abs().max().item<double>(), 0);
}

/// The update as one matrix against the weighted sum of the experts'.
TEST(MeanDelta, IsTheExpertsTogether)
{
    const at::NoGradGuard guard;
    for (const char* family : {"moelora", "molora", "hydralora", "mola", "adamole", "flylora"}) {
        const Subject subject = attach(variant(family, base::Json::object()));
        disturb(*subject.adapter, 100);
        for (const auto& site : subject.adapter->deltaSites()) {
            const at::Tensor weights = at::softmax(randomLike(at::zeros({site.experts}, at::kDouble), 3), -1);
            at::Tensor sum;
            for (std::int64_t j = 0; j < site.experts; ++j) {
                const at::Tensor one =
                    weights[j] * adapter::denseDelta(subject.adapter->delta(site.layer, site.module, j));
                sum = sum.defined() ? sum + one : one;
            }
            EXPECT_LT(distance(adapter::denseDelta(subject.adapter->meanDelta(site, weights)), sum), rounding)
                << family;
        }
    }
}

TEST(MeanDelta, OfSmearIsTheMergedPair)
{
    const at::NoGradGuard guard;
    const Subject subject = attach(variant("smear", {{"targets", {"q_proj"}}, {"pool", "sequence"}}));
    disturb(*subject.adapter, 100);
    // One row: every token has the same weights, so its mean update is the update itself.
    const auto pass = model::makePass({{5, 9, 2, 7}}, false);
    subject.adapter->beginPass(pass);
    const at::Tensor x = inputOf(subject, "q_proj", pass, 8);
    const at::Tensor y = adapted(subject, 0, "q_proj", x, pass);
    const at::Tensor weights = subject.adapter->routing().front().routing.dense().mean(0);
    const auto site = subject.adapter->deltaSites().front();
    const at::Tensor update = adapter::denseDelta(subject.adapter->meanDelta(site, weights));
    EXPECT_LT(distance(y, subject.model->linear(0, "q_proj")->base.forward(x) + at::matmul(x, update.t())),
              rounding);
}

TEST(Inside, EveryMeasureHasAValueForEachCell)
{
    const at::NoGradGuard guard;
    const std::vector<std::pair<std::string, std::vector<std::string>>> named{
        {"hydralora", {"hydralora/head_use"}},
        {"adamole", {"adamole/threshold", "adamole/active_experts"}},
        {"smear", {"smear/pooled_weights", "smear/weight_spread"}},
        {"flylora", {"flylora/selections", "flylora/balance_bias"}}};
    for (const auto& [family, names] : named) {
        const Subject subject = attach(variant(family, base::Json::object()));
        disturb(*subject.adapter, 100);
        EXPECT_TRUE(subject.adapter->inside().empty()) << "nothing has run yet";
        subject.run(someRows());
        const auto measures = subject.adapter->inside();
        ASSERT_EQ(measures.size(), names.size());
        for (std::size_t i = 0; i < names.size(); ++i) {
            EXPECT_EQ(measures[i].name, names[i]);
            std::size_t cells = 1;
            for (const auto& axis : measures[i].axes)
                cells *= axis.second.size();
            EXPECT_EQ(measures[i].values.size(), cells);
            for (const float value : measures[i].values)
                EXPECT_TRUE(std::isfinite(value));
        }
    }
    // The numbers themselves, of one that can be seen from outside.
    const Subject subject = attach(variant("adamole", {{"targets", {"q_proj"}}}));
    disturb(*subject.adapter, 100);
    subject.run(someRows());
    const auto active = subject.adapter->inside()[1];
    const auto traces = subject.adapter->routing();
    for (std::size_t layer = 0; layer < 2; ++layer)
        EXPECT_NEAR(active.values[layer],
                    (traces[layer].routing.dense() > 0).to(at::kDouble).sum(1).mean().item<double>(), 1e-5);
}

} // namespace
} // namespace rankscope::conformance

// SPDX-License-Identifier: Apache-2.0
// SMoRA against its formula, token by token and rank by rank; and what it becomes when every rank is chosen.
#include "tests/property/families/inner/site.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace rankscope::conformance
{
namespace
{

const std::string up = "model.layers.1.mlp.up_proj";

/// The chosen ranks, best first, lower index first on ties, and their weights.
std::vector<std::pair<std::int64_t, double>> chosen(const Subject& subject, const base::Json& settings,
                                                    const at::Tensor& x)
{
    const auto rank = settings.at("rank").get<std::int64_t>();
    const auto k = settings.at("topK").get<std::int64_t>();
    const bool released = settings.at("gate") == "released";
    const at::Tensor router = tensorOf(subject, up, "router.weight");
    const at::Tensor bias = tensorOf(subject, up, "balance_bias");
    const std::int64_t share = rank / router.size(0);
    std::vector<double> score;
    for (std::int64_t j = 0; j < rank; ++j) {
        const double z = at::dot(router[j / share], x).item<double>();
        score.push_back((released ? 1 / (1 + std::exp(-z)) : z) + bias[j].item<double>());
    }
    std::vector<std::int64_t> order(static_cast<std::size_t>(rank));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int64_t a, std::int64_t b) { return score[a] > score[b]; });
    order.resize(static_cast<std::size_t>(k));
    double total = 0;
    for (const std::int64_t j : order)
        total += released ? score[j] : std::exp(score[j]);
    std::vector<std::pair<std::int64_t, double>> result;
    for (const std::int64_t j : order)
        result.emplace_back(j, released ? score[j] / total * static_cast<double>(k)
                                        : std::exp(score[j]) / total);
    return result;
}

at::Tensor smoraChange(const Subject& subject, const base::Json& settings, const at::Tensor& x)
{
    const double divisor = settings.at(settings.at("gate") == "released" ? "topK" : "rank").get<double>();
    const double scale = settings.at("alpha").get<double>() / divisor;
    const at::Tensor a = tensorOf(subject, up, "lora_A.weight");
    const at::Tensor b = tensorOf(subject, up, "lora_B.weight");
    at::Tensor sum = at::zeros({b.size(0)}, b.options());
    for (const auto& [j, weight] : chosen(subject, settings, x))
        sum = sum + scale * weight * at::dot(a[j], x) * b.select(1, j);
    return sum;
}

void setBias(const Subject& subject, std::uint64_t seed)
{
    for (const auto& parameter : subject.adapter->parameters().all()) {
        if (parameter.name.ends_with("balance_bias"))
            at::Tensor(parameter.tensor).copy_(randomLike(parameter.tensor, seed) * 0.1);
    }
}

TEST(Smora, IsItsFormula)
{
    const at::NoGradGuard guard;
    EXPECT_TRUE(rc::check("y = W x + s sum of the k chosen ranks", [] {
        const int scores = *rc::gen::inRange(1, 7);
        const int share = *rc::gen::inRange(1, 4);
        const Variant own = variant("smora", {{"rank", scores * share},
                                              {"rankPartition", share},
                                              {"topK", *rc::gen::inRange(1, scores * share + 1)},
                                              {"gate", *rc::gen::element<std::string>("paper", "released")}});
        const Subject subject = attach(own, *rc::gen::inRange<std::uint64_t>(1, 1000));
        disturb(*subject.adapter, 60);
        if (*rc::gen::arbitrary<bool>()) // without it, the ranks of one score tie
            setBias(subject, 3);
        const at::Tensor x = tokens(*rc::gen::inRange(1, 6), 32, 4);
        const at::Tensor expected = byToken(subject, 1, "up_proj", x, [&](const at::Tensor& token) {
            return smoraChange(subject, own.settings, token);
        });
        RC_ASSERT(distance(adapted(subject, 1, "up_proj", x), expected) < rounding);
        const auto traces = subject.adapter->routing();
        RC_ASSERT(traces.size() == 1U);
        RC_ASSERT(traces[0].routing.experts() == scores * share);
    }));
}

TEST(Smora, ReleasedWithAllRanksAndEqualScoresIsLora)
{
    const at::NoGradGuard guard;
    const Subject smora =
        attach(variant("smora", {{"rank", 6}, {"topK", 6}, {"alpha", 12}, {"gate", "released"}}));
    const Subject lora = attach(variant("lora", {{"rank", 6}, {"alpha", 12}}));
    for (const auto& parameter : smora.adapter->parameters().all()) {
        if (parameter.name.ends_with("router.weight"))
            at::Tensor(parameter.tensor).zero_();
    }
    for (const auto& parameter : lora.adapter->parameters().all()) {
        at::Tensor theirs = parameter.tensor;
        theirs.add_(randomLike(theirs, 8), 0.2);
        at::Tensor ours = smora.adapter->parameters().find(parameter.name)->tensor;
        ours.copy_(theirs);
    }
    EXPECT_LT(distance(smora.run(someRows()), lora.run(someRows())), rounding);
}

TEST(Smora, MovesItsBiasAgainstTheLoadOfTrainingPasses)
{
    const Subject subject = attach(variant("smora", {{"rank", 5}, {"topK", 2}, {"balanceRate", 0.5}}));
    at::Tensor expected = at::zeros({5}, at::kDouble);
    for (int pass = 0; pass < 2;
         ++pass) { // two passes of one step: each moves the bias, the second routes by it
        subject.run(pass == 0 ? someRows() : Rows{{4, 8, 15, 16}, {23}}, true);
        EXPECT_EQ(distance(tensorOf(subject, up, "balance_bias"), expected), 0) << "not within the pass";
        for (const auto& trace : subject.adapter->routing()) {
            if (trace.layer != 1 || trace.router != "up_proj")
                continue;
            const at::Tensor load = (trace.routing.dense() > 0).to(at::kDouble).sum(0);
            expected = expected + 0.5 * (load.mean() - load).sign();
        }
        subject.adapter->afterPass();
        EXPECT_EQ(distance(tensorOf(subject, up, "balance_bias"), expected), 0);
    }
    subject.run(someRows(), false);
    subject.adapter->afterStep();
    EXPECT_EQ(distance(tensorOf(subject, up, "balance_bias"), expected), 0) << "evaluation moves nothing";
    const auto inside = subject.adapter->inside();
    ASSERT_EQ(inside.size(), 1U);
    EXPECT_EQ(inside[0].name, "smora/balance_bias");
    ASSERT_EQ(inside[0].values.size(), 2U * 7U * 5U);
    EXPECT_EQ(inside[0].values[(1 * 7 + 5) * 5 + 3],
              expected[3].item<float>()); // up_proj is the sixth module
}

TEST(Smora, SaysWhatCannotBe)
{
    auto told = [](const base::Json& settings) {
        const auto plan = plugin("smora").family->plan(
            smallModel("llama"), adapter::Settings(variant("smora", settings).settings));
        return plan ? std::string() : plan.error().message;
    };
    EXPECT_NE(told({{"rank", 4}, {"topK", 5}}).find("topK is 5, but there are only 4 ranks"),
              std::string::npos);
    EXPECT_NE(told({{"rank", 10}, {"topK", 2}, {"rankPartition", 4}})
                  .find("rankPartition is 4, but must divide the rank 10"),
              std::string::npos);
    EXPECT_EQ(told({{"rank", 10}, {"topK", 2}, {"rankPartition", 5}}), "");
}

} // namespace
} // namespace rankscope::conformance

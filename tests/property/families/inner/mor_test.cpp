// SPDX-License-Identifier: Apache-2.0
// MoR against its formula, token by token and expert by expert.
#include "tests/property/families/inner/site.h"

#include <cmath>
#include <set>

namespace rankscope::conformance
{
namespace
{

/// s sum_j G_j * lb_j * (B (la_j * (A x))) for one token.
at::Tensor morChange(const Subject& subject, const std::string& path, const base::Json& settings,
                     const at::Tensor& x)
{
    const auto experts = settings.at("experts").get<std::int64_t>();
    const double scale = settings.at("alpha").get<double>() / settings.at("rank").get<double>();
    const at::Tensor la = tensorOf(subject, path, "lambda_a");
    const at::Tensor lb = tensorOf(subject, path, "lambda_b");
    at::Tensor gate = at::zeros({experts}, x.options()).fill_(1.0 / static_cast<double>(experts));
    if (settings.at("router") != "mean")
        gate = at::softmax(at::mv(tensorOf(subject, path, "router.weight"), x), 0);
    at::Tensor sum;
    for (std::int64_t j = 0; j < experts; ++j) {
        const at::Tensor inner = la[j] * at::mv(tensorOf(subject, path, "lora_A.weight"), x);
        const at::Tensor one = gate[j] * lb[j] * at::mv(tensorOf(subject, path, "lora_B.weight"), inner);
        sum = sum.defined() ? sum + one : one;
    }
    return scale * sum;
}

TEST(Mor, IsItsFormula)
{
    const at::NoGradGuard guard;
    EXPECT_TRUE(rc::check("y = W x + s sum_j G_j lb_j (B (la_j (A x)))", [] {
        const Variant own =
            variant("mor", {{"rank", *rc::gen::inRange(1, 6)},
                            {"experts", *rc::gen::inRange(1, 7)},
                            {"alpha", *rc::gen::inRange(1, 20)},
                            {"router", *rc::gen::element<std::string>("soft", "mean", "balanced")}});
        const Subject subject = attach(own, *rc::gen::inRange<std::uint64_t>(1, 1000));
        disturb(*subject.adapter, 50);
        const at::Tensor x = tokens(*rc::gen::inRange(1, 6), 32, 4);
        const at::Tensor expected = byToken(subject, 1, "up_proj", x, [&](const at::Tensor& token) {
            return morChange(subject, "model.layers.1.mlp.up_proj", own.settings, token);
        });
        RC_ASSERT(distance(adapted(subject, 1, "up_proj", x), expected) < rounding);
    }));
}

TEST(Mor, StartsWithVectorsOfOnes)
{
    const Subject subject = attach(variant("mor", base::Json::object()));
    EXPECT_TRUE((tensorOf(subject, "model.layers.0.mlp.gate_proj", "lambda_a") == 1).all().item<bool>());
    EXPECT_TRUE((tensorOf(subject, "model.layers.0.mlp.gate_proj", "lambda_b") == 1).all().item<bool>());
    const Subject spread = attach(variant("mor", {{"vectorInitStd", 0.1}}));
    const at::Tensor lb = tensorOf(spread, "model.layers.0.mlp.gate_proj", "lambda_b");
    EXPECT_NEAR(lb.mean().item<double>(), 1, 0.03);
    EXPECT_NEAR(lb.std().item<double>(), 0.1, 0.02);
}

TEST(Mor, WithVectorsOfOnesIsLoraWhateverItsRouterDoes)
{
    const at::NoGradGuard guard;
    for (const char* router : {"soft", "mean"}) {
        const Subject mor = attach(variant("mor", {{"router", router}, {"rank", 3}, {"alpha", 6}}));
        const Subject lora = attach(variant("lora", {{"targets", {"mlp"}}, {"rank", 3}, {"alpha", 6}}));
        for (const auto& parameter : lora.adapter->parameters().all()) {
            at::Tensor theirs = parameter.tensor;
            theirs.add_(randomLike(theirs, 8), 0.2);
            at::Tensor ours = mor.adapter->parameters().find(parameter.name)->tensor;
            ours.copy_(theirs);
        }
        EXPECT_LT(distance(mor.run(someRows()), lora.run(someRows())), rounding) << router;
    }
}

TEST(Mor, BalancesAsSwitchDoes)
{
    const Variant own =
        variant("mor", {{"router", "balanced"}, {"experts", 3}, {"balanceCoefficient", 0.25}});
    const Subject subject = attach(own);
    disturb(*subject.adapter, 20);
    subject.run(someRows(), true);
    double expected = 0;
    for (const auto& trace : subject.adapter->routing()) {
        const at::Tensor& p = trace.routing.probabilities;
        for (std::int64_t j = 0; j < 3; ++j) {
            double first = 0;
            for (std::int64_t t = 0; t < p.size(0); ++t)
                first += p[t].argmax().item<std::int64_t>() == j ? 1 : 0;
            expected +=
                0.25 * 3 * first / static_cast<double>(p.size(0)) * p.select(1, j).mean().item<double>();
        }
    }
    EXPECT_NEAR(subject.adapter->auxiliaryLoss().item<double>(), expected, rounding);
    EXPECT_FALSE(attach(variant("mor", base::Json::object())).adapter->auxiliaryLoss().defined());
}

TEST(Mor, ShowsItsVectors)
{
    const Subject subject = attach(variant("mor", {{"rank", 4}, {"experts", 3}}));
    disturb(*subject.adapter, 5);
    const at::Tensor la = tensorOf(subject, "model.layers.1.mlp.up_proj", "lambda_a");
    const at::Tensor lb = tensorOf(subject, "model.layers.1.mlp.up_proj", "lambda_b");
    const auto dot = [](const at::Tensor& a, const at::Tensor& b) { return (a * b).sum().item<double>(); };
    std::set<std::string> names;
    for (const auto& measure : subject.adapter->inside()) {
        names.insert(measure.name);
        ASSERT_GE(measure.axes.size(), 3U);
        EXPECT_EQ(measure.axes[1].second, (std::vector<std::string>{"gate_proj", "up_proj", "down_proj"}));
        const std::size_t last = measure.axes.size() > 3 ? measure.axes[3].second.size() : 1;
        ASSERT_EQ(measure.values.size(), 2U * 3U * 3U * last);
        // Expert 2 of layer 1's up projection; of a fourth axis, its element 1.
        const float value = measure.values[((1 * 3 + 1) * 3 + 2) * last + (last > 1 ? 1 : 0)];
        if (measure.name == "mor/la_norm")
            EXPECT_NEAR(value, std::sqrt(dot(la[2], la[2])), 1e-4);
        else if (measure.name == "mor/lb_norm")
            EXPECT_NEAR(value, std::sqrt(dot(lb[2], lb[2])), 1e-4);
        else if (measure.name == "mor/lb_cosine")
            EXPECT_NEAR(value, dot(lb[2], lb[1]) / std::sqrt(dot(lb[2], lb[2]) * dot(lb[1], lb[1])), 1e-5);
        else
            EXPECT_NEAR(value, la[2][1].item<double>(), 1e-5);
    }
    EXPECT_EQ(names, (std::set<std::string>{"mor/la", "mor/la_norm", "mor/lb_cosine", "mor/lb_norm"}));
    // Of many ranks only the norms.
    const Subject wide = attach(variant("mor", {{"rank", 65}, {"experts", 3}}));
    EXPECT_EQ(wide.adapter->inside().size(), 3U);
}

} // namespace
} // namespace rankscope::conformance

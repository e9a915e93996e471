// SPDX-License-Identifier: Apache-2.0
// SparseMoA against its formula: one router for a layer's pairs and its bottleneck, token by token.
#include "tests/property/families/inner/site.h"

#include <cmath>

namespace rankscope::conformance
{
namespace
{

at::Tensor swish(const at::Tensor& x)
{
    return x * at::sigmoid(x);
}

/// The weights of the layer's adapters for one token of the attention norm's output.
at::Tensor gates(const Subject& subject, const base::Json& settings, std::int64_t layer, const at::Tensor& x)
{
    const std::string path = "model.layers." + std::to_string(layer);
    auto linear = [&](const std::string& name, const at::Tensor& input) {
        return at::mv(tensorOf(subject, path, "router." + name + ".weight"), input) +
               tensorOf(subject, path, "router." + name + ".bias");
    };
    const at::Tensor q = at::sigmoid(linear("w2", swish(linear("w1", x)) * linear("w3", x)));
    if (settings.at("selection") == "soft")
        return q;
    const double threshold =
        settings.at("thresholdMaximum").get<double>() * at::sigmoid(linear("threshold", x)).item<double>();
    return q * (q >= threshold).to(at::kDouble);
}

/// Router weights away from the start, so that the thresholds decide.
void spread(const Subject& subject)
{
    const at::NoGradGuard guard;
    disturb(*subject.adapter, 60);
    for (const auto& parameter : subject.adapter->parameters().all()) {
        if (parameter.name.find("router.") != std::string::npos)
            at::Tensor(parameter.tensor).mul_(4).add_(randomLike(parameter.tensor, 9), 0.5);
    }
}

TEST(SparseMoa, IsItsFormula)
{
    const at::NoGradGuard guard;
    double kept = 0;
    double all = 0;
    EXPECT_TRUE(rc::check("every adapter adds its weighted change", [&] {
        const base::Json targets = *rc::gen::elementOf(std::vector<base::Json>{
            base::Json::array({"q_proj", "k_proj", "v_proj", "o_proj", "down_proj"}),
            base::Json::array({"o_proj"}), base::Json::array({"q_proj", "gate_proj"})});
        const Variant own =
            variant("sparsemoa", {{"rank", *rc::gen::inRange(1, 5)},
                                  {"bottleneck", *rc::gen::inRange(1, 9)},
                                  {"targets", targets},
                                  {"selection", *rc::gen::element<std::string>("sparse", "soft")}});
        const Subject subject = attach(own, *rc::gen::inRange<std::uint64_t>(1, 1000));
        spread(subject);
        const std::int64_t count = *rc::gen::inRange(1, 7);
        const at::Tensor normed = tokens(count, 32, 4);
        const auto pass = passOf(count);
        subject.adapter->beginPass(pass);
        auto& layer = subject.model->layers()[1];
        layer.adapter->enter(normed, pass);
        std::vector<at::Tensor> gate;
        for (std::int64_t t = 0; t < count; ++t) {
            gate.push_back(gates(subject, own.settings, 1, normed[t]));
            kept += (gate.back() > 0).sum().item<double>();
            all += static_cast<double>(gate.back().numel());
        }
        const double scale = own.settings.at("alpha").get<double>() / own.settings.at("rank").get<double>();
        std::int64_t index = 0;
        for (const auto& site : subject.adapter->deltaSites()) {
            if (site.layer != 1)
                continue;
            auto* linear = subject.model->linear(1, site.module);
            const std::string path = linear->base.shape.path;
            const at::Tensor x = tokens(count, linear->base.shape.in, 14);
            std::int64_t t = 0;
            const at::Tensor expected = byToken(subject, 1, site.module, x, [&](const at::Tensor& token) {
                const at::Tensor h = at::mv(tensorOf(subject, path, "lora_A.weight"), token);
                return gate[static_cast<std::size_t>(t++)][index] * scale *
                       at::mv(tensorOf(subject, path, "lora_B.weight"), h);
            });
            RC_ASSERT(distance(linear->forward(x, pass), expected) < rounding);
            ++index;
        }
        // The bottleneck is the last adapter and stands beside the block with its own linears.
        const std::string mlp = "model.layers.1.mlp";
        const at::Tensor x = tokens(count, 32, 24);
        const at::Tensor block = layer.mlp.forwardLinears(x, pass);
        std::vector<at::Tensor> rows;
        for (std::int64_t t = 0; t < count; ++t) {
            const at::Tensor inner = swish(at::mv(tensorOf(subject, mlp, "bottleneck.down.weight"), x[t]) +
                                           tensorOf(subject, mlp, "bottleneck.down.bias"));
            rows.push_back(block[t] + gate[static_cast<std::size_t>(t)][index] *
                                          (at::mv(tensorOf(subject, mlp, "bottleneck.up.weight"), inner) +
                                           tensorOf(subject, mlp, "bottleneck.up.bias")));
        }
        RC_ASSERT(distance(layer.mlp.forward(x, pass), at::stack(rows)) < rounding);
        const auto traces = subject.adapter->routing();
        RC_ASSERT(traces.size() == 1U);
        RC_ASSERT(traces[0].router == "layer");
        RC_ASSERT(distance(traces[0].routing.dense(), at::stack(gate)) < rounding);
    }));
    EXPECT_GT(kept / all, 0.2) << "some are kept";
    EXPECT_LT(kept / all, 0.95) << "and some are not";
}

TEST(SparseMoa, StartsWithASmallBottleneckAndLetsNoGradientReachItsThreshold)
{
    const Subject subject = attach(variant("sparsemoa", base::Json::object()));
    const at::Tensor down = tensorOf(subject, "model.layers.0.mlp", "bottleneck.down.weight");
    const double bound = 1e-4 * std::sqrt(6.0 / (32 + 16));
    EXPECT_LE(down.abs().max().item<double>(), bound);
    EXPECT_GT(down.abs().max().item<double>(), 0.9 * bound);
    subject.run(someRows(), true).sum().backward();
    for (const auto& parameter : subject.adapter->parameters().all())
        EXPECT_EQ(parameter.tensor.grad().defined(), parameter.name.find("threshold") == std::string::npos)
            << parameter.name;
    const Subject soft = attach(variant("sparsemoa", {{"selection", "soft"}}));
    EXPECT_EQ(soft.adapter->parameters().trainableElements() + 2 * 33,
              subject.adapter->parameters().trainableElements())
        << "soft selection has no threshold to count";
}

TEST(SparseMoa, ShowsWhatItKeeps)
{
    const at::NoGradGuard guard;
    const Variant own = variant("sparsemoa", base::Json::object());
    const Subject subject = attach(own);
    spread(subject);
    subject.run(someRows());
    const auto inside = subject.adapter->inside();
    ASSERT_EQ(inside.size(), 2U);
    EXPECT_EQ(inside[0].axes[1].second,
              (std::vector<std::string>{"q_proj", "k_proj", "v_proj", "o_proj", "down_proj", "bottleneck"}));
    const auto traces = subject.adapter->routing();
    ASSERT_EQ(traces.size(), 2U);
    const at::Tensor weights = traces[1].routing.dense();
    for (std::int64_t j = 0; j < 6; ++j) {
        const auto cell = static_cast<std::size_t>(6 + j);
        EXPECT_NEAR(inside[0].values[cell], (weights.select(1, j) > 0).to(at::kDouble).mean().item<double>(),
                    1e-6);
        EXPECT_NEAR(inside[1].values[cell], weights.select(1, j).mean().item<double>(), 1e-6);
    }
}

} // namespace
} // namespace rankscope::conformance

// SPDX-License-Identifier: Apache-2.0
// CoMoL against its formula with a merged core for each token; both paths; the dropped core's gradient.
#include "tests/property/families/inner/site.h"

#include <ATen/Context.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_svdvals.h>
#include <cmath>

namespace rankscope::conformance
{
namespace
{

const std::string down = "model.layers.0.mlp.down_proj";

at::Tensor comolChange(const Subject& subject, const base::Json& settings, const at::Tensor& x)
{
    const at::Tensor xh = at::mv(tensorOf(subject, down, "lora_A.weight"), x);
    const at::Tensor router = tensorOf(subject, down, "router.weight");
    const at::Tensor gate = at::softmax(at::mv(router, settings.at("coreRouting").get<bool>() ? xh : x), 0);
    const at::Tensor cores = tensorOf(subject, down, "cores");
    at::Tensor merged = at::zeros_like(cores[0]);
    for (std::int64_t j = 0; j < cores.size(0); ++j)
        merged = merged + gate[j] * cores[j];
    const double scale = settings.at("alpha").get<double>() / settings.at("rank").get<double>();
    return scale * at::mv(tensorOf(subject, down, "lora_B.weight"), at::mv(merged, xh));
}

TEST(Comol, IsItsFormulaOnBothPaths)
{
    const at::NoGradGuard guard;
    EXPECT_TRUE(rc::check("y = W x + s B (sum_j G_j M_j) A x", [] {
        const Variant own =
            variant("comol", {{"rank", *rc::gen::inRange(1, 7)},
                              {"experts", *rc::gen::inRange(1, 6)},
                              {"alpha", *rc::gen::inRange(1, 20)},
                              {"coreRouting", *rc::gen::arbitrary<bool>()},
                              {"path", *rc::gen::element<std::string>("separate", "merged")}});
        const Subject subject = attach(own, *rc::gen::inRange<std::uint64_t>(1, 1000));
        disturb(*subject.adapter, 60);
        const at::Tensor x = tokens(*rc::gen::inRange(1, 6), 48, 4);
        const at::Tensor expected = byToken(subject, 0, "down_proj", x, [&](const at::Tensor& token) {
            return comolChange(subject, own.settings, token);
        });
        RC_ASSERT(distance(adapted(subject, 0, "down_proj", x), expected) < rounding);
    }));
}

TEST(Comol, OneIdentityCoreIsLora)
{
    const at::NoGradGuard guard;
    const base::Json pair{{"rank", 4}, {"alpha", 8}, {"targets", {"all-linear"}}};
    base::Json one = pair;
    one["experts"] = 1;
    const Subject comol = attach(variant("comol", one));
    const Subject lora = attach(variant("lora", pair));
    for (const auto& parameter : lora.adapter->parameters().all()) {
        at::Tensor theirs = parameter.tensor;
        theirs.add_(randomLike(theirs, 8), 0.2);
        at::Tensor ours = comol.adapter->parameters().find(parameter.name)->tensor;
        ours.copy_(theirs);
    }
    for (const auto& parameter : comol.adapter->parameters().all()) {
        if (parameter.name.ends_with("cores"))
            at::Tensor(parameter.tensor).copy_(at::eye(4, parameter.tensor.options()).unsqueeze(0));
    }
    EXPECT_LT(distance(comol.run(someRows()), lora.run(someRows())), rounding);
}

/// The core's mask is drawn anew in the backward pass: only the same one makes the gradient that of this very
/// loss.
TEST(Comol, TheMergedPathDropsTheSameCoreForwardAndBackward)
{
    base::Json settings = variant("comol", {{"path", "merged"}, {"experts", 3}, {"rank", 5}}).settings;
    settings["dropout"] = 0.4;
    const Subject subject = attach({"comol", smallModel("llama"), "dropped", settings});
    disturb(*subject.adapter, 60);
    const at::Tensor x = tokens(7, 48, 4);
    const at::Tensor weights = tokens(7, 32, 5);
    auto loss = [&] {
        at::manual_seed(77);
        return (adapted(subject, 0, "down_proj", x, true) * weights).sum();
    };
    loss().backward();
    for (const char* name : {"cores", "lora_A.weight", "router.weight", "lora_B.weight"}) {
        at::Tensor tensor = subject.adapter->parameters().find(adapter::tensorName(down, name))->tensor;
        ASSERT_TRUE(tensor.grad().defined()) << name;
        const at::NoGradGuard guard;
        auto* values = tensor.mutable_data_ptr<double>();
        const at::Tensor claimed = tensor.grad().contiguous();
        for (std::int64_t index = 0; index < std::min<std::int64_t>(tensor.numel(), 12); ++index) {
            const double kept = values[index];
            values[index] = kept + 1e-6;
            const double above = loss().item<double>();
            values[index] = kept - 1e-6;
            const double below = loss().item<double>();
            values[index] = kept;
            EXPECT_NEAR((above - below) / 2e-6, claimed.const_data_ptr<double>()[index], 1e-5)
                << name << ' ' << index;
        }
    }
}

TEST(Comol, TheMergedPathDropsCoresThatTheSeparateOneDoesNot)
{
    const at::NoGradGuard guard;
    // With one rank and one expert the core is one number: of many tokens, the merged path loses a share p of
    // those that the dropped input and output leave.
    auto nonZero = [](const char* path) {
        base::Json settings =
            variant("comol", {{"path", path}, {"experts", 1}, {"rank", 1}, {"targets", {"down_proj"}}})
                .settings;
        settings["dropout"] = 0.3;
        const Subject subject = attach({"comol", smallModel("llama"), path, settings});
        disturb(*subject.adapter, 60);
        at::manual_seed(5);
        const at::Tensor x = tokens(4000, 48, 4);
        const at::Tensor y = adapted(subject, 0, "down_proj", x, true) -
                             subject.model->linear(0, "down_proj")->base.forward(x);
        return (y.abs().sum(1) > 0).to(at::kDouble).mean().item<double>();
    };
    EXPECT_NEAR(nonZero("separate"), 0.7, 0.03);
    EXPECT_NEAR(nonZero("merged"), 0.49, 0.03);
}

TEST(Comol, ShowsTheSpectraOfItsCores)
{
    const Subject subject = attach(variant("comol", {{"rank", 3}, {"experts", 2}}));
    const auto inside = subject.adapter->inside();
    ASSERT_EQ(inside.size(), 1U);
    ASSERT_EQ(inside[0].values.size(), 2U * 5U * 2U * 3U);
    const at::Tensor expected = at::linalg_svdvals(tensorOf(subject, down, "cores")[1]);
    for (std::int64_t i = 0; i < 3; ++i) // layer 0, the fifth module, expert 1
        EXPECT_NEAR(inside[0].values[static_cast<std::size_t>((4 * 2 + 1) * 3 + i)],
                    expected[i].item<double>(), 1e-5);
}

} // namespace
} // namespace rankscope::conformance

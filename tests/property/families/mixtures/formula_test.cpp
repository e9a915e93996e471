// SPDX-License-Identifier: Apache-2.0
// Every family of mixtures routed at each linear against its formula (families.md section 2), at random
// sizes.
#include "tests/property/families/mixtures/oracle.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/one_hot.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <rapidcheck/gtest.h>

namespace rankscope::conformance
{
namespace
{

std::int64_t between(std::int64_t low, std::int64_t high)
{
    return *rc::gen::inRange<std::int64_t>(low, high + 1);
}

/// Rows of random length, with tasks and prompts.
model::Pass drawPass(bool training)
{
    Rows rows;
    const std::int64_t count = between(1, 4);
    std::vector<std::int64_t> tasks;
    std::vector<std::int64_t> prompts;
    for (std::int64_t row = 0; row < count; ++row) {
        rows.emplace_back(static_cast<std::size_t>(between(1, 7)), 3);
        tasks.push_back(between(-1, 5));
        prompts.push_back(between(0, static_cast<std::int64_t>(rows.back().size())));
    }
    auto pass = model::makePass(rows, training);
    pass.tasks = tasks;
    pass.promptLengths = prompts;
    return pass;
}

/// These settings and random sizes on one attention and one MLP linear.
struct Drawn {
    Subject subject;
    double scale = 1;
    std::int64_t experts = 1;
    std::string module;
    std::int64_t layer = 0;
    model::Pass pass;
};

Drawn draw(const std::string& family, base::Json settings)
{
    const auto& manifest = plugin(family).manifest;
    Drawn drawn;
    const std::int64_t rank =
        settings.contains("rank") ? settings["rank"].get<std::int64_t>() : between(1, 8);
    settings["rank"] = rank;
    settings["alpha"] = between(1, 32);
    settings["targets"] = {"q_proj", "down_proj"};
    if (manifest.setting("experts")) {
        if (!settings.contains("experts"))
            settings["experts"] = between(1, 6);
        drawn.experts = settings["experts"].get<std::int64_t>();
    }
    drawn.scale = settings["alpha"].get<double>() / static_cast<double>(rank);
    Variant one = variant(family, settings);
    setArchitecture(one.model, between(0, 1) == 1 ? "llama" : "qwen2"); // without and with a bias
    drawn.subject = attach(one, static_cast<std::uint64_t>(between(1, 1000)));
    disturb(*drawn.subject.adapter, 100);
    drawn.module = between(0, 1) == 1 ? "q_proj" : "down_proj";
    drawn.layer = between(0, 1);
    drawn.pass = drawPass(between(0, 1) == 1);
    return drawn;
}

void agrees(const Drawn& drawn, const Formula& formula)
{
    RC_ASSERT(disagreement(drawn.subject, drawn.layer, drawn.module, drawn.pass, formula) < rounding);
}

at::Tensor softmaxed(const Parts& parts, const at::Tensor& x)
{
    return at::softmax(at::matmul(x, parts["router.weight"].t()), -1);
}

at::Tensor mixture(const Parts& parts, const at::Tensor& gates, double scale, const at::Tensor& x)
{
    return parts.base(x) +
           mixed(gates, parts["experts.lora_A.weight"], parts["experts.lora_B.weight"], scale, x);
}

RC_GTEST_PROP(MoeLora, SoftIsItsFormula, ())
{
    const Drawn drawn = draw("moelora", {{"router", "soft"}});
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        return mixture(parts, softmaxed(parts, x), drawn.scale, x);
    });
}

RC_GTEST_PROP(MoeLora, TopKIsItsFormula, ())
{
    // Many experts take the path that sorts tokens, few the one that computes all.
    const std::int64_t experts = between(0, 1) == 1 ? between(1, 6) : between(24, 40);
    const std::int64_t k = between(1, std::min<std::int64_t>(3, experts));
    base::Json settings{{"router", "topk_renorm"}, {"experts", experts}, {"topK", k}};
    if (experts > 6)
        settings["rank"] = 9;
    const Drawn drawn = draw("moelora", settings);
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        return mixture(parts, topKRenormalised(softmaxed(parts, x), k), drawn.scale, x);
    });
}

RC_GTEST_PROP(MoeLora, GumbelIsSoftInTrainingAndHardInEvaluation, ())
{
    const Drawn drawn = draw("moelora", {{"router", "gumbel_top1"}, {"temperature", 0.5}}); // noise off
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        const at::Tensor p = softmaxed(parts, x);
        const at::Tensor gates = drawn.pass.training
                                     ? at::softmax(p.log() / 0.5, -1)
                                     : at::one_hot(p.argmax(-1), drawn.experts).to(at::kDouble);
        return mixture(parts, gates, drawn.scale, x);
    });
}

RC_GTEST_PROP(MoeLora, TheTaskRouterIsItsFormula, ())
{
    const bool shared = between(0, 1) == 1;
    const Drawn drawn =
        draw("moelora", {{"router", "task"}, {"tasks", 4}, {"taskGate", shared ? "shared" : "module"}});
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        const at::Tensor table =
            at::softmax(at::matmul(parts["task_embedding.weight"], parts["task_gate.weight"].t()), -1);
        std::vector<at::Tensor> gates;
        for (std::int64_t row = 0; row < drawn.pass.rows(); ++row) {
            const std::int64_t task = drawn.pass.tasks[static_cast<std::size_t>(row)];
            for (auto t = drawn.pass.starts[row]; t < drawn.pass.starts[row + 1]; ++t)
                gates.push_back(task < 0 || task >= 4 ? table.mean(0) : table[task]);
        }
        return mixture(parts, at::stack(gates), drawn.scale, x);
    });
}

RC_GTEST_PROP(MoeLora, ASplitRankKeepsAlphaOverTheWhole, ())
{
    const std::int64_t experts = between(1, 4);
    const std::int64_t each = between(1, 3);
    const Drawn drawn =
        draw("moelora",
             {{"splitRank", true}, {"experts", experts}, {"rank", experts * each}, {"aInit", "normal"}});
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        RC_ASSERT(parts["experts.lora_A.weight"].size(1) == each);
        return mixture(parts, softmaxed(parts, x), drawn.scale, x); // scale = alpha / (experts * each)
    });
}

RC_GTEST_PROP(MoLora, IsItsFormula, ())
{
    const Drawn drawn = draw("molora", base::Json::object());
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        return mixture(parts, softmaxed(parts, x), drawn.scale, x);
    });
}

RC_GTEST_PROP(HydraLora, IsItsFormula, ())
{
    const Drawn drawn = draw("hydralora", base::Json::object());
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        const at::Tensor gates = softmaxed(parts, x);
        const at::Tensor h = at::matmul(x, parts["lora_A.weight"].t());
        at::Tensor y = parts.base(x);
        for (std::int64_t j = 0; j < drawn.experts; ++j)
            y = y +
                gates.select(1, j).unsqueeze(1) * drawn.scale * at::matmul(h, parts["lora_B.weight"][j].t());
        return y;
    });
}

RC_GTEST_PROP(MoLa, IsItsFormula, ())
{
    const std::int64_t k = between(1, 3);
    const Drawn drawn = draw("mola", {{"schedule", "3-5"}, {"topK", k}});
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        RC_ASSERT(parts["router.weight"].size(0) == (drawn.layer == 0 ? 3 : 5));
        return mixture(parts, topKRenormalised(softmaxed(parts, x), k), drawn.scale, x);
    });
}

RC_GTEST_PROP(AdaMole, IsItsFormula, ())
{
    const double given = between(0, 1) == 1 ? 0.6 : 0.0; // 0.6: some tokens keep no expert
    const Drawn drawn = draw("adamole", {{"maxThreshold", given}});
    const double largest = given > 0 ? given : 1 / static_cast<double>(drawn.experts);
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        const at::Tensor p = softmaxed(parts, x);
        const at::Tensor tau =
            largest * at::sigmoid(at::matmul(x, parts["threshold.weight"].t()) + parts["threshold.bias"]);
        std::vector<at::Tensor> tokens;
        for (std::int64_t t = 0; t < x.size(0); ++t) {
            at::Tensor sum;
            at::Tensor update = at::zeros_like(parts.base(x[t].unsqueeze(0))).detach();
            for (std::int64_t j = 0; j < drawn.experts; ++j) {
                if (p[t][j].item<double>() < tau[t][0].item<double>())
                    continue;
                const at::Tensor w = p[t][j] - tau[t][0];
                sum = sum.defined() ? sum + w : w;
                update = update + w * mixed(at::ones_like(x.narrow(0, 0, 1).narrow(1, 0, 1)).detach(),
                                            parts["experts.lora_A.weight"].narrow(0, j, 1),
                                            parts["experts.lora_B.weight"].narrow(0, j, 1), drawn.scale,
                                            x[t].unsqueeze(0));
            }
            tokens.push_back(sum.defined() ? update / sum : update);
        }
        return parts.base(x) + at::cat(tokens);
    });
}

RC_GTEST_PROP(Smear, MergesParametersByRow, ())
{
    const bool promptOnly = between(0, 1) == 1;
    const bool normalised = between(0, 1) == 1;
    const Drawn drawn =
        draw("smear", {{"pool", promptOnly ? "prompt_only" : "sequence"}, {"normaliseRouter", normalised}});
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        std::vector<at::Tensor> rows;
        for (std::int64_t row = 0; row < drawn.pass.rows(); ++row) {
            const std::int64_t start = drawn.pass.starts[row];
            const std::int64_t length = drawn.pass.starts[row + 1] - start;
            const at::Tensor own = x.narrow(0, start, length);
            const std::int64_t prompt =
                std::max<std::int64_t>(1, drawn.pass.promptLengths[static_cast<std::size_t>(row)]);
            at::Tensor mean = own.narrow(0, 0, promptOnly ? prompt : length).mean(0);
            at::Tensor weight = parts["router.weight"];
            if (normalised) {
                auto norm = [&](const at::Tensor& v, const std::string& name) {
                    const at::Tensor centred = v - v.mean(-1, true);
                    return centred / (centred.pow(2).mean(-1, true) + 1e-5).sqrt() *
                               parts["router." + name + "_norm.weight"] +
                           parts["router." + name + "_norm.bias"];
                };
                mean = norm(mean, "input");
                weight = norm(weight, "expert");
            }
            at::Tensor z = at::matmul(weight, mean);
            if (normalised)
                z = z + parts["router.bias"];
            const at::Tensor g = at::softmax(z, -1).view({-1, 1, 1});
            const at::Tensor a = (g * parts["experts.lora_A.weight"]).sum(0);
            const at::Tensor b = (g * parts["experts.lora_B.weight"]).sum(0);
            rows.push_back(parts.base(own) + drawn.scale * at::matmul(at::matmul(own, a.t()), b.t()));
        }
        return at::cat(rows);
    });
}

RC_GTEST_PROP(Smear, MergesParametersByToken, ())
{
    const Drawn drawn = draw("smear", {{"level", "token"}});
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        const at::Tensor gates = softmaxed(parts, x);
        std::vector<at::Tensor> tokens;
        for (std::int64_t t = 0; t < x.size(0); ++t) {
            const at::Tensor g = gates[t].view({-1, 1, 1});
            const at::Tensor a = (g * parts["experts.lora_A.weight"]).sum(0);
            const at::Tensor b = (g * parts["experts.lora_B.weight"]).sum(0);
            tokens.push_back(drawn.scale * at::matmul(b, at::matmul(a, x[t])));
        }
        return parts.base(x) + at::stack(tokens);
    });
}

RC_GTEST_PROP(FlyLora, IsItsFormula, ())
{
    const std::int64_t rank = between(1, 16);
    const std::int64_t k = between((rank + 31) / 32, rank);
    const bool absolute = between(0, 1) == 1;
    const bool through = between(0, 1) == 1;
    const Drawn drawn =
        draw("flylora",
             {{"rank", rank}, {"k", k}, {"select", absolute ? "abs" : "signed"}, {"gradThroughA", through}});
    // A balance term that matters.
    for (const auto& parameter : drawn.subject.adapter->parameters().all()) {
        if (parameter.name.ends_with("balance_bias")) {
            at::Tensor d = parameter.tensor;
            d.copy_(0.3 * randomLike(d, 5));
        }
    }
    agrees(drawn, [&](const Parts& parts, const at::Tensor& x) {
        at::Tensor v = at::matmul(x, parts["lora_A.weight"].t());
        if (!through)
            v = v.detach();
        const at::Tensor d = v.detach() + parts["balance_bias"];
        const at::Tensor chosen = std::get<1>(at::topk(absolute ? at::abs(d) : d, k, -1));
        const at::Tensor mask = at::zeros_like(v.detach()).scatter(-1, chosen, 1.0);
        return parts.base(x) + drawn.scale * at::matmul(v * mask, parts["lora_B.weight"].t());
    });
}

} // namespace
} // namespace rankscope::conformance

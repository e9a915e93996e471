// SPDX-License-Identifier: Apache-2.0
// Each family against its formula, written out densely from its own tensors.
#include "core/adapter/delta.h"
#include "core/adapter/principal.h"
#include "tests/property/families/unrouted/unrouted.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/diag.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <algorithm>
#include <c10/core/GradMode.h>
#include <cmath>
#include <numeric>
#include <rapidcheck/gtest.h>

namespace rankscope::unrouted
{
namespace
{

using at::matmul;
using base::Json;
using conformance::disturb;
using model::FrozenLinear;

at::Tensor rowLengths(const at::Tensor& matrix)
{
    return (matrix * matrix).sum(1).sqrt();
}

RC_GTEST_PROP(Formulas, Moslora, ())
{
    const std::int64_t rank = between(1, 12);
    const double alpha = number(0.5, 20);
    const Subject s = subject("moslora", {{"rank", rank}, {"alpha", alpha}, {"targets", {"all-linear"}}});
    disturb(*s.adapter, 100);
    follows(s, [&](const FrozenLinear& base) {
        const at::Tensor mixer = tensor(s, base.shape.path + ".lora_mixer.weight");
        return base.weight + alpha / static_cast<double>(rank) *
                                 matmul(tensor(s, base.shape.path + ".lora_B.weight"),
                                        matmul(mixer, tensor(s, base.shape.path + ".lora_A.weight")));
    });
}

RC_GTEST_PROP(Formulas, Dora, ())
{
    const std::int64_t rank = between(1, 40);
    const double alpha = number(0.5, 80);
    const Subject s = subject("dora", {{"rank", rank}, {"alpha", alpha}, {"targets", {"all-linear"}}});
    disturb(*s.adapter, 100);
    follows(s, [&](const FrozenLinear& base) {
        const at::Tensor v = base.weight + alpha / static_cast<double>(rank) *
                                               matmul(tensor(s, base.shape.path + ".lora_B.weight"),
                                                      tensor(s, base.shape.path + ".lora_A.weight"));
        return (tensor(s, base.shape.path + ".lora_magnitude_vector") / rowLengths(v)).unsqueeze(1) * v;
    });
}

RC_GTEST_PROP(Formulas, Pissa, ())
{
    const std::int64_t rank = between(1, 16);
    const double alpha = number(0.5, 20);
    const Subject s = subject("pissa", {{"rank", rank}, {"alpha", alpha}, {"svd", "exact"}});
    disturb(*s.adapter, 100);
    follows(s, [&](const FrozenLinear& base) {
        const auto [u, sigma, vt] = at::linalg_svd(base.weight, false);
        const at::Tensor best =
            matmul(u.narrow(1, 0, rank) * sigma.narrow(0, 0, rank), vt.narrow(0, 0, rank));
        return base.weight - best +
               alpha / static_cast<double>(rank) *
                   matmul(tensor(s, base.shape.path + ".lora_B.weight"),
                          tensor(s, base.shape.path + ".lora_A.weight"));
    });
}

/// What the best approximation of a rank leaves is the rest of the spectrum (Eckart and Young 1936).
RC_GTEST_PROP(Formulas, PissasResidual, ())
{
    const std::int64_t rank = between(1, 16);
    const Subject s = subject("pissa", {{"rank", rank},
                                        {"alpha", number(0.5, 20)},
                                        {"svd", "exact"},
                                        {"targets", {"q_proj", "k_proj", "down_proj"}}});
    disturb(*s.adapter, 100); // the trained pair has no part in it
    auto measures = s.adapter->inside();
    ASSERT_EQ(measures.size(), 1U);
    auto& residual = measures.front();
    EXPECT_EQ(residual.name, "pissa/residual");
    const std::vector<std::string> modules{"q_proj", "k_proj", "down_proj"};
    ASSERT_EQ(residual.axes.size(), 2U);
    ASSERT_EQ(residual.axes[1].second, modules);
    ASSERT_EQ(residual.pieces, 2 * modules.size());
    for (std::size_t i = 0; i < residual.pieces; ++i) {
        EXPECT_TRUE(std::isnan(residual.values[i]));
        residual.measure(i);
        const auto layer = static_cast<std::int64_t>(i / modules.size());
        const auto& base = s.model->linear(layer, modules[i % modules.size()])->base;
        const at::Tensor square = std::get<1>(at::linalg_svd(base.weight, false)).square();
        const double left =
            std::sqrt(square.slice(0, rank).sum().item<double>() / square.sum().item<double>());
        EXPECT_NEAR(residual.values[i], left, 1e-6) << base.shape.path;
    }
}

TEST(Rasa, SharesAnEighthOfItsRankUnlessToldOtherwise)
{
    for (const auto& [rank, shared] : {std::pair{2, 1}, {8, 1}, {32, 4}, {64, 8}}) {
        const Subject s = subject("rasa", {{"rank", rank}});
        const auto shape = s.model->config().linears().front();
        EXPECT_EQ(tensor(s, shape.path + ".lora_D").numel(), rank - shared + 2 * shared) << rank;
    }
}

RC_GTEST_PROP(Formulas, Rasa, ())
{
    const std::int64_t rank = between(1, 10);
    const std::int64_t k = between(0, rank);
    const double alpha = number(0.5, 40);
    constexpr std::int64_t layers = 2;
    const Subject s = subject("rasa", {{"rank", rank}, {"sharedRank", k}, {"alpha", alpha}});
    for (const auto& shape : s.model->config().linears()) {
        const at::Tensor d = tensor(s, shape.path + ".lora_D");
        RC_ASSERT(d.numel() == rank - k + k * layers);
        for (std::int64_t i = 0; i < d.numel(); ++i) {
            const double ranks = static_cast<double>(i < rank - k ? rank - k : k * layers);
            RC_ASSERT(std::abs(d[i].item<double>() - alpha / (2 * ranks)) < 1e-12);
        }
    }
    disturb(*s.adapter, 100);
    follows(s, [&](const FrozenLinear& base) {
        at::Tensor result = base.weight.clone();
        const at::Tensor d = tensor(s, base.shape.path + ".lora_D");
        auto add = [&](const std::string& path, std::int64_t ranks, std::int64_t first) {
            if (ranks > 0)
                result +=
                    matmul(matmul(tensor(s, path + ".lora_B.weight"), at::diag(d.narrow(0, first, ranks))),
                           tensor(s, path + ".lora_A.weight"));
        };
        add(base.shape.path, rank - k, 0);
        add("shared." + base.shape.module, k * layers, rank - k);
        return result;
    });
}

at::Tensor exactGelu(const at::Tensor& x)
{
    return x * 0.5 * (1 + at::erf(x / std::sqrt(2.0)));
}

RC_GTEST_PROP(Formulas, DenseLora, ())
{
    const at::NoGradGuard guard;
    const std::int64_t rank = between(1, 12);
    const double alpha = number(0.5, 30);
    const bool gelu = between(0, 1) == 1;
    const Subject s =
        subject("denselora", {{"rank", rank}, {"alpha", alpha}, {"activation", gelu ? "gelu" : "none"}});
    disturb(*s.adapter, 100);
    for (const auto& site : s.adapter->deltaSites()) {
        RC_ASSERT(site.linear == !gelu);
        const auto& base = s.model->linear(site.layer, site.module)->base;
        const at::Tensor encoder = tensor(s, "shared." + site.module + ".denselora_encoder.weight");
        const at::Tensor decoder = tensor(s, "shared." + site.module + ".denselora_decoder.weight");
        const at::Tensor core = tensor(s, base.shape.path + ".denselora_core.weight");
        const at::Tensor x = conformance::randomLike(at::zeros({3, base.shape.in}, at::kDouble), 41);
        at::Tensor inner = matmul(x, encoder.t());
        inner = matmul(gelu ? exactGelu(inner) : inner, core.t());
        at::Tensor update = matmul(inner, decoder.t());
        update = gelu ? exactGelu(update) : update;
        const at::Tensor expected = base.forward(x) + alpha / static_cast<double>(rank) * update;
        RC_ASSERT(conformance::distance(s.adapter->expertForward(site.layer, site.module, 0, x), expected) <
                  1e-10);
    }
}

/// One slice: the K largest logits, the lower index first on ties, their softmax over bank vectors.
at::Tensor slice(const at::Tensor& logits, const at::Tensor& bank, std::int64_t k)
{
    std::vector<std::int64_t> order(static_cast<std::size_t>(logits.numel()));
    std::iota(order.begin(), order.end(), 0);
    const auto* values = logits.const_data_ptr<double>();
    std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) { return values[a] > values[b]; });
    double total = 0;
    at::Tensor sum = at::zeros_like(bank[0]);
    for (std::int64_t i = 0; i < k; ++i) {
        const double weight = std::exp(values[order[i]] - values[order[0]]);
        sum += weight * bank[order[i]];
        total += weight;
    }
    return sum / total;
}

RC_GTEST_PROP(Formulas, VbLora, ())
{
    const std::int64_t rank = between(1, 5);
    const std::int64_t length = std::int64_t{1} << between(2, 4);
    const std::int64_t vectors = between(1, 9);
    const std::int64_t k = between(1, vectors);
    const bool ties = between(0, 3) == 0;
    const Subject s =
        subject("vblora", {{"rank", rank}, {"vectorLength", length}, {"vectors", vectors}, {"topK", k}});
    disturb(*s.adapter, 100);
    if (ties) {
        for (const auto& parameter : s.adapter->parameters().all()) {
            const at::NoGradGuard guard;
            at::Tensor values = parameter.tensor;
            if (parameter.name.find("logits") != std::string::npos)
                values.fill_(0.25);
        }
    }
    const at::Tensor bank = tensor(s, "shared.vblora_vector_bank");
    follows(s, [&](const FrozenLinear& base) {
        const at::Tensor logitsA = tensor(s, base.shape.path + ".vblora_logits_A").contiguous();
        const at::Tensor logitsB = tensor(s, base.shape.path + ".vblora_logits_B").contiguous();
        at::Tensor a = at::zeros({rank, base.shape.in}, at::kDouble);
        at::Tensor b = at::zeros({base.shape.out, rank}, at::kDouble);
        for (std::int64_t j = 0; j < rank; ++j) {
            for (std::int64_t c = 0; c < base.shape.in / length; ++c)
                a[j].narrow(0, c * length, length).copy_(slice(logitsA[j][c].contiguous(), bank, k));
            for (std::int64_t c = 0; c < base.shape.out / length; ++c)
                b.select(1, j)
                    .narrow(0, c * length, length)
                    .copy_(slice(logitsB[c][j].contiguous(), bank, k));
        }
        return base.weight + matmul(b, a);
    });
}

/// sum_g softmax(scores)_g parts_g
at::Tensor mixture(const at::Tensor& scores, const at::Tensor& parts)
{
    const at::Tensor weights = at::exp(scores) / at::exp(scores).sum();
    at::Tensor sum = at::zeros_like(parts[0]);
    for (std::int64_t g = 0; g < parts.size(0); ++g)
        sum += weights[g].item<double>() * parts[g];
    return sum;
}

RC_GTEST_PROP(Formulas, Mog, ())
{
    const std::string form = *rc::gen::element<std::string>("plain", "dora", "pissa");
    const std::int64_t groups = between(1, 2);
    const std::int64_t rank = between(1, 12);
    const double scale = number(0.2, 3);
    const double gate = number(0, 4);
    constexpr std::int64_t layers = 2;
    const Subject s = subject("mog", {{"form", form},
                                      {"groups", groups},
                                      {"rank", rank},
                                      {"alpha", scale},
                                      {"gateInitScale", gate},
                                      {"svd", "exact"}});
    auto product = [&](const FrozenLinear& base, const at::Tensor& scoresA, const at::Tensor& scoresB) {
        const std::string shared = "shared." + base.shape.module;
        const at::Tensor a = mixture(scoresA, tensor(s, shared + ".mog_A.weight"));
        const at::Tensor b = mixture(scoresB, tensor(s, shared + ".mog_B.weight"));
        return form == "pissa" ? matmul(b, a)
                               : matmul(b, matmul(tensor(s, base.shape.path + ".mog_fusion.weight").t(), a));
    };
    std::map<std::string, at::Tensor> residual;
    for (const auto& site : s.adapter->deltaSites()) {
        const auto& base = s.model->linear(site.layer, site.module)->base;
        at::Tensor scores = at::zeros({groups}, at::kDouble);
        scores[site.layer * groups / layers] = gate;
        RC_ASSERT(tensor(s, base.shape.path + ".mog_gate_A").equal(scores));
        RC_ASSERT(tensor(s, base.shape.path + ".mog_gate_B").equal(scores));
        residual[base.shape.path] =
            form == "pissa" ? base.weight - scale * product(base, scores, scores) : base.weight;
    }
    disturb(*s.adapter, 100);
    follows(s, [&](const FrozenLinear& base) {
        const at::Tensor v =
            residual.at(base.shape.path) + scale * product(base, tensor(s, base.shape.path + ".mog_gate_A"),
                                                           tensor(s, base.shape.path + ".mog_gate_B"));
        return form == "dora"
                   ? (tensor(s, base.shape.path + ".lora_magnitude_vector") / rowLengths(v)).unsqueeze(1) * v
                   : v;
    });
}

TEST(Formulas, MogsPissaFormStartsAtTheGroupsMeanWeight)
{
    const Subject s = subject("mog", {{"form", "pissa"}, {"groups", 1}, {"rank", 6}, {"svd", "exact"}});
    const at::Tensor mean =
        (s.model->linear(0, "q_proj")->base.weight + s.model->linear(1, "q_proj")->base.weight) / 2;
    const auto [u, sigma, vt] = at::linalg_svd(mean, false);
    const at::Tensor best = matmul(u.narrow(1, 0, 6) * sigma.narrow(0, 0, 6), vt.narrow(0, 0, 6));
    EXPECT_LT(conformance::distance(matmul(tensor(s, "shared.q_proj.mog_B.weight")[0],
                                           tensor(s, "shared.q_proj.mog_A.weight")[0]),
                                    best),
              1e-10);
}

RC_GTEST_PROP(Principal, IsTheBestApproximationOfItsRank, ())
{
    const std::int64_t out = between(3, 60);
    const std::int64_t in = between(3, 60);
    const std::int64_t rank = between(1, std::min(in, out));
    const double scale = number(0.1, 4);
    const at::Tensor w = conformance::randomLike(at::zeros({out, in}, at::kDouble),
                                                 static_cast<std::uint64_t>(between(1, 1000)));
    const auto [u, sigma, vt] = at::linalg_svd(w, false);
    const at::Tensor best = matmul(u.narrow(1, 0, rank) * sigma.narrow(0, 0, rank), vt.narrow(0, 0, rank));
    const auto exact = adapter::principalPair(w, rank, scale, {true, 0}, 1);
    RC_ASSERT(conformance::distance(scale * matmul(exact.b, exact.a), best) < 1e-9);
    // Both factors carry the root of the singular values.
    RC_ASSERT(conformance::distance(scale * matmul(exact.a, exact.a.t()),
                                    at::diag(sigma.narrow(0, 0, rank))) < 1e-9);
    RC_ASSERT(conformance::distance(scale * matmul(exact.b.t(), exact.b),
                                    at::diag(sigma.narrow(0, 0, rank))) < 1e-9);
    // A flat random spectrum is the hardest case: what is left over is within a few percent of the least
    // possible.
    const auto quick = adapter::principalPair(w, rank, scale, {false, 16}, 1);
    const double least = (w - best).norm().item<double>();
    const double left = (w - scale * matmul(quick.b, quick.a)).norm().item<double>();
    RC_ASSERT(left >= least - 1e-9);
    RC_ASSERT(left <= 1.03 * least + 1e-9);
}

TEST(RowNorms, SurviveCancellationInFloat32)
{
    // W + B A is a thousandth of W: a norm from inner products would have lost every digit.
    const at::Tensor a = conformance::randomLike(at::zeros({4, 700}, at::kFloat), 1);
    const at::Tensor b = conformance::randomLike(at::zeros({1100, 4}, at::kFloat), 2);
    const at::Tensor w = -matmul(b, a) * 0.999f;
    const at::Tensor norms = adapter::rowNorms(w, {b, a, {}, 1});
    const at::Tensor expected = rowLengths(w.to(at::kDouble) + matmul(b.to(at::kDouble), a.to(at::kDouble)));
    EXPECT_LT(((norms - expected).abs() / expected).max().item<double>(), 2e-3);
}

TEST(RowNorms, OfARowOfZerosMakeNoNan)
{
    auto model = conformance::makeModel(conformance::smallModel("llama"));
    model->linear(0, "q_proj")->base.weight[3].zero_();
    const auto variant = conformance::variant("dora", Json::object());
    auto adapter = conformance::plugin("dora").family->attach(*model, adapter::Settings(variant.settings),
                                                              {at::kDouble, 1});
    ASSERT_TRUE(adapter);
    const Subject s{std::move(model), std::move(*adapter)};
    const at::Tensor hidden = s.run(conformance::someRows(), true);
    EXPECT_TRUE(hidden.isfinite().all().item<bool>());
    hidden.sum().backward();
    for (const auto& parameter : s.adapter->parameters().trainable())
        EXPECT_TRUE(parameter.tensor.grad().isfinite().all().item<bool>()) << parameter.name;
}

TEST(Dropout, NeverTouchesTheBasePath)
{
    const at::NoGradGuard guard;
    // With B zero only the frozen weight is left, and with it the output must be the base's own, in training
    // too.
    const Subject base{conformance::makeModel(conformance::smallModel("llama")), nullptr};
    const at::Tensor expected = base.run(conformance::someRows());
    for (const char* family : {"dora", "moslora", "rasa", "denselora", "mog"}) {
        const Subject s = subject(family, {{"dropout", 0.5}});
        EXPECT_LT(conformance::distance(s.run(conformance::someRows(), true), expected), 1e-10) << family;
    }
    // PiSSA starts with a B of its own: zeroed, what is left is the residual weight, undropped.
    for (const Json& form : {Json{{"family", "pissa"}}, Json{{"family", "mog"}, {"form", "pissa"}}}) {
        const std::string family = form.at("family");
        Json settings{{"rank", 8}, {"dropout", 0.5}};
        if (form.contains("form"))
            settings["form"] = "pissa";
        const Subject s = subject(family, settings);
        for (const auto& parameter : s.adapter->parameters().trainable()) {
            at::Tensor values = parameter.tensor;
            if (parameter.name.ends_with("_B.weight"))
                values.zero_();
        }
        EXPECT_LT(conformance::distance(s.run(conformance::someRows(), true), s.run(conformance::someRows())),
                  1e-10)
            << family;
        EXPECT_GT(conformance::distance(s.run(conformance::someRows()), expected), 1e-3) << family;
    }
}

/// The widths of the small model are 16, 32 and 48.
TEST(Rules, VbLoraFindsAVectorLengthThatDivides)
{
    const Subject s = subject("vblora", {{"vectorLength", 0}, {"vectors", 5}});
    EXPECT_EQ(tensor(s, "shared.vblora_vector_bank").sizes(), (std::vector<std::int64_t>{5, 16}));
    EXPECT_EQ(tensor(s, "model.layers.0.self_attn.k_proj.vblora_logits_B").size(0), 1);
    const Subject wide = subject("vblora", {{"vectorLength", 0}, {"vectors", 5}, {"targets", {"q_proj"}}});
    EXPECT_EQ(tensor(wide, "shared.vblora_vector_bank").size(1), 32);
}

std::string refusal(const std::string& family, const Json& settings)
{
    const auto plan = conformance::plugin(family).family->plan(
        conformance::smallModel("llama"), adapter::Settings(conformance::variant(family, settings).settings));
    return plan ? std::string("accepted") : plan.error().message;
}

TEST(Rules, NameTheSettingAndTheRemedy)
{
    EXPECT_EQ(refusal("pissa", {{"rank", 17}}), "rank is 17, but k_proj [16 x 32] has only 16 singular "
                                                "values; choose a rank of at most that, or other "
                                                "targets");
    EXPECT_EQ(refusal("rasa", {{"rank", 8}, {"sharedRank", 9}}),
              "sharedRank is 9, but rank is only 8; choose at most that");
    EXPECT_EQ(refusal("vblora", {{"vectorLength", 256}}),
              "vectorLength is 256, but must divide the inputs and outputs of every target; 16 does");
    EXPECT_EQ(refusal("vblora", {{"vectors", 1}, {"topK", 2}}),
              "topK is 2, but the bank has only 1 vectors; choose at most that");
    EXPECT_EQ(refusal("mog", {{"groups", 3}}),
              "groups is 3, but the model has only 2 layers; choose at most that");
}

} // namespace
} // namespace rankscope::unrouted

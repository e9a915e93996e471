// SPDX-License-Identifier: Apache-2.0
// VB-LoRA: one bank of vectors for the whole model; every length-b slice of every factor is a softmax mixture
// of the K bank vectors with the largest logits. y = W x + B A drop(x).
#include "core/adapter/family.h"
#include "core/adapter/derived.h"
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/targets.h"
#include "kernels/low_rank/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>
#include <c10/core/GradMode.h>
#include <limits>
#include <numeric>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

constexpr double initialBank = 0.02;  ///< the bank starts in U(-0.02, 0.02)
constexpr double initialLogits = 0.1; ///< the logits as N(0, 0.1)
constexpr std::int64_t usualLength = 256;

struct BankOptions {
    std::int64_t rank = 4;
    std::int64_t vectors = 256;        ///< H
    std::int64_t length = usualLength; ///< b
    std::int64_t topK = 2;
    double dropout = 0;
    double bankFactor = 1;
    double logitsFactor = 10;
};

/// The k largest logits of each row, best first, the lower index on ties. k is 2 or so: taking the largest k
/// times beats sorting the whole row.
at::Tensor largest(const at::Tensor& logits, std::int64_t k)
{
    at::Tensor left = logits.detach().clone();
    std::vector<at::Tensor> choices;
    for (std::int64_t i = 0; i < k; ++i) {
        choices.push_back(std::get<1>(left.max(-1, /*keepdim=*/true)));
        left.scatter_(-1, choices.back(), -std::numeric_limits<double>::infinity());
    }
    return at::cat(choices, -1);
}

/// logits [n, m, H] -> slices [n, m, b].
at::Tensor slices(const at::Tensor& logits, const at::Tensor& bank, std::int64_t k)
{
    const at::Tensor flat = logits.flatten(0, 1);
    const at::Tensor choice = largest(flat, k);
    const at::Tensor weights = at::softmax(flat.gather(-1, choice), -1);
    const at::Tensor rows = bank.index_select(0, choice.flatten()).view({flat.size(0), k, bank.size(1)});
    return (weights.unsqueeze(-1) * rows).sum(1).view({logits.size(0), logits.size(1), bank.size(1)});
}

/// What PEFT keeps of logits [n, m, H] with save_only_topk_weights: indices [n, m, K] in the smallest type
/// that numbers the bank, and the first K - 1 weights [n, m, K - 1].
std::pair<at::Tensor, at::Tensor> stored(const at::Tensor& logits, std::int64_t k)
{
    const at::Tensor indices = largest(logits, k);
    at::Tensor weights =
        at::softmax(logits.detach().gather(-1, indices).to(at::kDouble), -1).narrow(-1, 0, k - 1);
    // PEFT takes the last weight as 1 minus the float32 sum of these, and then its logarithm: where they come
    // to all but 1, a rounding beyond it would be NaN.
    const double rounding = static_cast<double>(k) * 0x1p-23;
    weights = at::where(weights.sum(-1, /*keepdim=*/true) > 1 - rounding, weights * (1 - rounding), weights);
    const std::int64_t vectors = logits.size(-1);
    const auto type = vectors < 1 << 8 ? at::kByte : vectors < 1 << 15 ? at::kShort : at::kInt;
    return {indices.to(type), weights.to(at::kFloat)};
}

struct Pair {
    at::Tensor a;
    at::Tensor b;
};

class BankSite : public ModuleSite
{
public:
    BankSite(ParameterStore& store, const checkpoint::LinearShape& shape, const BankOptions& options,
             const at::Tensor& bank)
        : ModuleSite(shape),
          m_options(options),
          m_bank(bank),
          m_logitsA(store.add(tensorName(shape.path, "vblora_logits_A"),
                              {options.rank, shape.in / options.length, options.vectors},
                              Init::normal(initialLogits), options.logitsFactor)),
          m_logitsB(store.add(tensorName(shape.path, "vblora_logits_B"),
                              {shape.out / options.length, options.rank, options.vectors},
                              Init::normal(initialLogits), options.logitsFactor))
    {
    }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        const bool keep =
            !pass.training && !at::GradMode::is_enabled(); // decoding composes once, not for every token
        const Pair pair =
            keep ? m_kept.get({m_bank, m_logitsA, m_logitsB}, [this] { return compose(); }) : compose();
        if (!keep)
            m_kept.forget();
        return kernels::lowRankLinear(x, base.weight, base.bias, pair.a, pair.b, 1,
                                      drawDropout(m_options.dropout, pass));
    }

    [[nodiscard]] Delta delta(std::int64_t) const override
    {
        const at::NoGradGuard guard;
        const Pair pair = compose();
        return LowRankDelta{pair.b, pair.a, {}, 1};
    }

    /// The bank vectors that the slices of both factors use, one after the other.
    [[nodiscard]] at::Tensor choices() const
    {
        return at::cat({largest(m_logitsA.flatten(0, 1), m_options.topK).flatten(),
                        largest(m_logitsB.flatten(0, 1), m_options.topK).flatten()});
    }

    void store(PeftForm& form) const
    {
        const auto add = [&](const char* name, const at::Tensor& logits) {
            const auto [indices, weights] = stored(logits, m_options.topK);
            const std::string full = tensorName(shape().path, name);
            form.tensors.emplace_back(full + "_topk_indices", indices);
            form.tensors.emplace_back(full + "_topk_weights", weights);
        };
        add("vblora_logits_A", m_logitsA);
        add("vblora_logits_B", m_logitsB);
    }

private:
    /// A[j, c b + u] = slice_A(j, c)[u], B[c b + u, j] = slice_B(c, j)[u].
    [[nodiscard]] Pair compose() const
    {
        return {
            slices(m_logitsA, m_bank, m_options.topK).reshape({m_options.rank, shape().in}),
            slices(m_logitsB, m_bank, m_options.topK).transpose(1, 2).reshape({shape().out, m_options.rank})};
    }

    BankOptions m_options;
    at::Tensor m_bank;    ///< [H, b]
    at::Tensor m_logitsA; ///< [r, in / b, H]
    at::Tensor m_logitsB; ///< [out / b, r, H]
    Derived<Pair> m_kept;
};

class BankAdapter : public ModuleAdapter
{
public:
    BankAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                const std::vector<checkpoint::LinearShape>& linears, const BankOptions& options,
                const at::Tensor& bank)
        : ModuleAdapter(model, std::move(store), linears,
                        [&](ParameterStore& tensors, const model::FrozenLinear& base) {
                            return std::make_unique<BankSite>(tensors, base.shape, options, bank);
                        }),
          m_options(options),
          m_bank(bank)
    {
    }

    /// The bank and each slice's choices: a small part of the logits, and of the pairs that they make.
    [[nodiscard]] std::optional<PeftForm> peftForm() const override
    {
        const at::NoGradGuard guard;
        PeftForm form;
        form.config["peft_type"] = "VBLORA";
        form.config["r"] = m_options.rank;
        form.config["num_vectors"] = m_options.vectors;
        form.config["vector_length"] = m_options.length;
        form.config["topk"] = m_options.topK;
        form.config["vblora_dropout"] = m_options.dropout;
        form.config["init_vector_bank_bound"] = initialBank;
        form.config["init_logits_std"] = initialLogits;
        form.config["save_only_topk_weights"] = true;
        form.tensors.emplace_back("base_model.vblora_vector_bank", m_bank.detach());
        for (const auto& site : sites().all())
            static_cast<const BankSite&>(*site).store(form);
        return form;
    }

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        const at::NoGradGuard guard;
        const std::int64_t vectors = m_bank.size(0);
        const auto share = [&](const at::Tensor& choices) {
            return kernels::countEach(choices, vectors).to(at::kDouble) /
                   static_cast<double>(choices.numel());
        };
        std::vector<at::Tensor> all;
        for (const auto& site : sites().all())
            all.push_back(static_cast<const BankSite&>(*site).choices());
        return {
            measureOf(
                {"vblora/bank_usage", "Use of the bank",
                 "Share of the model's choices (K for each slice of each factor) that fall on the vector."},
                {numberedAxis("vector", vectors)}, share(at::cat(all))),
            siteMeasure(sites(),
                        {"vblora/vectors_used",
                         "Bank vectors used",
                         "vectors",
                         "Bank vectors that at least one slice of this linear's factors chooses.",
                         {},
                         {}},
                        [&](const ModuleSite& site) {
                            return (share(static_cast<const BankSite&>(site).choices()) > 0).sum();
                        }),
            spectraOf({"vblora/bank_singular_values", "Singular values of the bank",
                       "Largest singular values of the bank V [H, b]."},
                      {}, {m_bank})};
    }

private:
    BankOptions m_options;
    at::Tensor m_bank;
};

std::int64_t largestDivisor(std::int64_t number, std::int64_t most)
{
    std::int64_t divisor = std::min(number, most);
    while (number % divisor != 0)
        --divisor;
    return divisor;
}

Result<BankOptions> readOptions(const Settings& settings, const std::vector<checkpoint::LinearShape>& linears)
{
    BankOptions options{settings.integer("rank"),
                        settings.integer("vectors"),
                        settings.integer("vectorLength"),
                        settings.integer("topK"),
                        settings.number("dropout"),
                        settings.number("bankLearningRateFactor"),
                        settings.number("logitsLearningRateFactor")};
    if (options.topK > options.vectors)
        return fail("topK is " + std::to_string(options.topK) + ", but the bank has only " +
                    std::to_string(options.vectors) + " vectors; choose at most that");
    std::int64_t common = 0;
    for (const auto& shape : linears)
        common = std::gcd(common, std::gcd(shape.in, shape.out));
    if (options.length == 0)
        options.length = largestDivisor(common, usualLength);
    if (common % options.length != 0)
        return fail("vectorLength is " + std::to_string(options.length) +
                    ", but must divide the inputs and outputs of every target; " +
                    std::to_string(largestDivisor(common, options.length)) + " does");
    return options;
}

class BankFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        RANKSCOPE_TRY(const auto options, readOptions(settings, linears));
        Plan plan{options.vectors * options.length, 0, 0};
        for (const auto& shape : linears) {
            plan.trainable += options.rank * options.vectors * ((shape.in + shape.out) / options.length);
            plan.activationsPerToken += options.rank;
        }
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        RANKSCOPE_TRY(const auto bankOptions, readOptions(settings, linears));
        auto store = std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed);
        const at::Tensor bank =
            store->add(tensorName("shared", "vblora_vector_bank"), {bankOptions.vectors, bankOptions.length},
                       Init::uniform(initialBank), bankOptions.bankFactor);
        return std::make_unique<BankAdapter>(model, std::move(store), linears, bankOptions, bank);
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::BankFamily)

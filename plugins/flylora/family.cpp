// SPDX-License-Identifier: Apache-2.0
// FlyLoRA: every rank is an expert and A its own router. v = A x with a frozen sparse A; y = W x + s B (v *
// 1_T), T the k ranks with the largest v + d; d balances their use and is never in the output.
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/targets.h"
#include "kernels/rank_indexed/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <c10/core/GradMode.h>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

struct FlyOptions {
    std::int64_t rank = 32;
    std::int64_t k = 8;
    double scale = 2;
    double dropout = 0;
    bool signedScores = false; ///< select by v + d, not |v + d|
    bool gradThroughA = false;
    double balanceRate = 1e-3;
    double bLearningRateFactor = 1;

    /// Non-zeros of each row of A.
    [[nodiscard]] std::int64_t nonZeros(const checkpoint::LinearShape& shape) const
    {
        return shape.in * k / rank;
    }

    static Result<FlyOptions> read(const std::vector<checkpoint::LinearShape>& linears,
                                   const Settings& settings)
    {
        FlyOptions options;
        options.rank = settings.integer("rank");
        options.k = settings.integer("k");
        options.scale = settings.number("alpha") / static_cast<double>(options.rank);
        options.dropout = settings.number("dropout");
        options.signedScores = settings.text("select") == "signed";
        options.gradThroughA = settings.boolean("gradThroughA");
        options.balanceRate = settings.number("balanceRate");
        options.bLearningRateFactor = settings.number("bLearningRateFactor");
        if (options.k > options.rank)
            return fail("k is " + std::to_string(options.k) + ", but there are only " +
                        std::to_string(options.rank) + " ranks to choose from; choose at most that many");
        for (const auto& shape : linears) {
            if (options.nonZeros(shape) < 1)
                return fail("rank is " + std::to_string(options.rank) +
                            ", which leaves no non-zero in a row of A for " + shape.path + " with its " +
                            std::to_string(shape.in) + " inputs; choose a smaller rank or a larger k");
        }
        return options;
    }
};

class FlySite : public ModuleSite
{
public:
    FlySite(ParameterStore& store, const checkpoint::LinearShape& shape, const FlyOptions& options)
        : ModuleSite(shape),
          m_options(options),
          m_a(store.addBuffer(
              tensorName(shape.path, "lora_A.weight"), {options.rank, shape.in},
              Init::sparseNormal(1 / static_cast<double>(options.rank), options.nonZeros(shape)))),
          m_b(store.add(tensorName(shape.path, "lora_B.weight"), {shape.out, options.rank}, Init::zeros(),
                        options.bLearningRateFactor)),
          m_balance(store.addBuffer(tensorName(shape.path, "balance_bias"), {options.rank}, Init::zeros()))
    {
    }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        const at::Tensor v = hidden(x, pass);
        const at::Tensor score = v.detach() + m_balance;
        m_last = routeImplicitTopK(m_options.signedScores ? score : at::abs(score), m_options.k);
        return kernels::rankIndexedUp(x, base.weight, base.bias, v.gather(1, m_last.choice), m_b,
                                      m_last.choice, m_options.scale);
    }

    [[nodiscard]] std::int64_t experts() const override { return m_options.rank; }
    [[nodiscard]] Delta delta(std::int64_t expert) const override
    {
        return LowRankDelta{m_b.detach().narrow(1, expert, 1), m_a.narrow(0, expert, 1), {}, m_options.scale};
    }
    [[nodiscard]] Delta meanDelta(const at::Tensor& weights) const override
    {
        return LowRankDelta{m_b.detach(), m_a, weights.detach().to(m_a.options()), m_options.scale};
    }
    [[nodiscard]] at::Tensor expertForward(std::int64_t expert, const at::Tensor& x,
                                           const model::FrozenLinear& base) override
    {
        return kernels::lowRankLinear(x, base.weight, base.bias, m_a.narrow(0, expert, 1),
                                      m_b.narrow(1, expert, 1), m_options.scale);
    }

    void beginPass() override { m_last = Routing{}; }
    /// d_j += u sign(mean(c) - c_j), c the choices of the training pass.
    void afterPass() override
    {
        if (m_options.balanceRate > 0 && m_last.probabilities.defined())
            updateBalanceBias(m_balance, m_last.load(), m_options.balanceRate);
    }
    [[nodiscard]] const Routing* routing() const override { return &m_last; }
    [[nodiscard]] const at::Tensor& balance() const { return m_balance; }

private:
    /// A drop(x); a constant for the backward pass unless gradThroughA.
    [[nodiscard]] at::Tensor hidden(const at::Tensor& x, const model::Pass& pass) const
    {
        const kernels::DropoutMask drop = drawDropout(m_options.dropout, pass);
        if (m_options.gradThroughA)
            return kernels::lowRankDown(x, m_a, drop);
        const at::NoGradGuard guard;
        return kernels::lowRankDown(x, m_a, drop);
    }

    FlyOptions m_options;
    at::Tensor m_a;       ///< [r, in], frozen
    at::Tensor m_b;       ///< [out, r]
    at::Tensor m_balance; ///< [r]
    Routing m_last;
};

class FlyLora : public ModuleAdapter
{
public:
    using ModuleAdapter::ModuleAdapter;

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        if (sites().all().empty() || !sites().all().front()->routing()->choice.defined())
            return {};
        const auto ranks = numberedAxis("rank", sites().all().front()->experts());
        return {siteMeasure(sites(),
                            {"flylora/selections",
                             "Selections",
                             "tokens",
                             "Tokens of the last pass whose k selected ranks include this one.",
                             {ranks},
                             {}},
                            [](const ModuleSite& site) { return site.routing()->load(); }),
                siteMeasure(
                    sites(),
                    {"flylora/balance_bias",
                     "Balance term",
                     "",
                     "d_j: raised for ranks selected less often than the mean, lowered for the others; it "
                     "moves the selection only.",
                     {ranks},
                     {}},
                    [](const ModuleSite& site) { return static_cast<const FlySite&>(site).balance(); })};
    }
};

class FlyLoraFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        RANKSCOPE_TRY(const auto options, FlyOptions::read(linears, settings));
        Plan plan;
        for (const auto& shape : linears) {
            plan.trainable += options.rank * shape.out;
            plan.idle += (options.rank - options.k) * shape.out;
            plan.buffers += options.rank * (shape.in + 1);
            plan.activationsPerToken += 3 * options.rank;
        }
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& attach) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        RANKSCOPE_TRY(const auto options, FlyOptions::read(linears, settings));
        auto store = std::make_unique<ParameterStore>(attach.dtype, model.device(), attach.seed);
        return std::make_unique<FlyLora>(model, std::move(store), linears, siteMaker<FlySite>(options));
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::FlyLoraFamily)

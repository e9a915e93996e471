// SPDX-License-Identifier: Apache-2.0
// SMoRA: every rank of one LoRA pair is an expert. y = W x + s B (G * (A x)), G zero but for the k chosen
// ranks.
#include "core/adapter/family.h"
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/targets.h"
#include "kernels/rank_indexed/op.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

struct SmoraOptions {
    LowRankOptions pair;
    bool released = false; ///< the gate of the authors' code
    std::int64_t topK = 8;
    std::int64_t partition = 1; ///< ranks that share one score
    double balanceRate = 1e-5;

    /// The paper scales as LoRA does; the code by alpha / k, so that k ranks of a uniform gate act as LoRA's
    /// would.
    [[nodiscard]] double scale() const
    {
        return released ? pair.alpha / static_cast<double>(topK) : pair.scale();
    }
    [[nodiscard]] std::int64_t scores() const { return pair.rank / partition; }

    static Result<SmoraOptions> read(const Settings& settings)
    {
        SmoraOptions options;
        options.pair = LowRankOptions::read(settings);
        options.released = settings.text("gate") == "released";
        options.topK = settings.integer("topK");
        options.partition = settings.integer("rankPartition");
        options.balanceRate = settings.number("balanceRate");
        if (options.topK > options.pair.rank)
            return fail("topK is " + std::to_string(options.topK) + ", but there are only " +
                        std::to_string(options.pair.rank) + " ranks; choose at most that many");
        if (options.pair.rank % options.partition != 0)
            return fail("rankPartition is " + std::to_string(options.partition) +
                        ", but must divide the rank " + std::to_string(options.pair.rank) +
                        " without remainder");
        return options;
    }
};

class SmoraSite : public ModuleSite
{
public:
    SmoraSite(ParameterStore& store, const checkpoint::LinearShape& shape, const SmoraOptions& options)
        : ModuleSite(shape),
          m_options(options),
          m_a(store.add(tensorName(shape.path, "lora_A.weight"), {options.pair.rank, shape.in},
                        Init::kaimingUniform())),
          m_b(store.add(tensorName(shape.path, "lora_B.weight"), {shape.out, options.pair.rank},
                        Init::zeros(), options.pair.bLearningRateFactor)),
          m_router(store.add(tensorName(shape.path, "router.weight"), {options.scores(), shape.in},
                             Init::kaimingUniform())),
          m_bias(store.addBuffer(tensorName(shape.path, "balance_bias"), {options.pair.rank}, Init::zeros()))
    {
    }

    [[nodiscard]] std::int64_t experts() const override { return m_options.pair.rank; }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        const kernels::DropoutMask drop = drawDropout(m_options.pair.dropout, pass);
        m_last = route(x, m_options.released ? drop : kernels::DropoutMask{});
        const at::Tensor h = kernels::rankIndexedDown(x, m_a, m_last.choice, drop) * m_last.weights;
        return kernels::rankIndexedUp(x, base.weight, base.bias, h, m_b, m_last.choice, m_options.scale());
    }

    at::Tensor expertForward(std::int64_t expert, const at::Tensor& x,
                             const model::FrozenLinear& base) override
    {
        return kernels::lowRankLinear(x, base.weight, base.bias, m_a.narrow(0, expert, 1),
                                      m_b.narrow(1, expert, 1), m_options.scale());
    }

    [[nodiscard]] Delta delta(std::int64_t expert) const override
    {
        return LowRankDelta{
            m_b.detach().narrow(1, expert, 1), m_a.detach().narrow(0, expert, 1), {}, m_options.scale()};
    }

    [[nodiscard]] Delta meanDelta(const at::Tensor& weights) const override
    {
        return LowRankDelta{m_b.detach(), m_a.detach(), weights.to(m_a.options().requires_grad(false)),
                            m_options.scale()};
    }

    void beginPass() override { m_last = Routing{}; }
    /// A bias moves by u against its rank's share of the training pass's load.
    void afterPass() override
    {
        if (m_options.balanceRate > 0 && m_last.probabilities.defined())
            updateBalanceBias(m_bias, m_last.load(), m_options.balanceRate);
    }
    [[nodiscard]] const Routing* routing() const override { return &m_last; }

    [[nodiscard]] const at::Tensor& bias() const { return m_bias; }

private:
    [[nodiscard]] Routing route(const at::Tensor& x, const kernels::DropoutMask& drop) const
    {
        const at::Tensor scores = kernels::lowRankDown(x, m_router, drop);
        return m_options.released ? routeSigmoidTopK(scores, m_bias, m_options.topK)
                                  : routeTopKSoftmaxBias(scores, m_bias, m_options.topK);
    }

    SmoraOptions m_options;
    at::Tensor m_a;      ///< [r, in]
    at::Tensor m_b;      ///< [out, r]
    at::Tensor m_router; ///< [r / q, in]
    at::Tensor m_bias;   ///< [r]
    Routing m_last;
};

class SmoraAdapter : public ModuleAdapter
{
public:
    using ModuleAdapter::ModuleAdapter;

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        return {siteMeasure(
            sites(),
            {"smora/balance_bias",
             "Balance bias",
             "",
             "b_j, added to the score of rank j: it falls by u after a step in which the rank was used "
             "more than the average, else it rises.",
             {numberedAxis("rank", sites().all().front()->experts())},
             {}},
            [](const ModuleSite& site) { return static_cast<const SmoraSite&>(site).bias(); })};
    }
};

class SmoraFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        RANKSCOPE_TRY(const auto options, SmoraOptions::read(settings));
        const auto sites = static_cast<std::int64_t>(linears.size());
        Plan plan;
        plan.trainable = LowRankSite::count(linears, options.pair.rank);
        for (const auto& shape : linears)
            plan.trainable += options.scores() * shape.in;
        plan.idle = LowRankSite::count(linears, options.pair.rank - options.topK);
        plan.buffers = sites * options.pair.rank;
        plan.activationsPerToken = sites * (2 * options.pair.rank + 6 * options.topK);
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        RANKSCOPE_TRY(const auto smora, SmoraOptions::read(settings));
        auto store = std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed);
        return std::make_unique<SmoraAdapter>(model, std::move(store), linears, siteMaker<SmoraSite>(smora));
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::SmoraFamily)

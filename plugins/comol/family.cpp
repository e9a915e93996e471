// SPDX-License-Identifier: Apache-2.0
// CoMoL: N cores of r x r numbers between one A and one B, mixed for each token in the core space:
// xh = A drop(x), y = W x + s B drop( sum_j G_j M_j xh ), G = softmax(Wg xh) or softmax(Wg x).
#include "core/adapter/family.h"
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/targets.h"
#include "plugins/comol/merged_core.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/mm.h>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

struct ComolOptions {
    LowRankOptions pair;
    std::int64_t experts = 8;
    bool coreRouting = true;
    bool merged = false;

    explicit ComolOptions(const Settings& settings)
        : pair(LowRankOptions::read(settings)),
          experts(settings.integer("experts")),
          coreRouting(settings.boolean("coreRouting")),
          merged(settings.text("path") == "merged")
    {
    }
};

class ComolSite : public ModuleSite
{
public:
    ComolSite(ParameterStore& store, const checkpoint::LinearShape& shape, const ComolOptions& options)
        : ModuleSite(shape),
          m_options(options),
          m_a(store.add(tensorName(shape.path, "lora_A.weight"), {options.pair.rank, shape.in},
                        Init::kaimingUniform())),
          m_b(store.add(tensorName(shape.path, "lora_B.weight"), {shape.out, options.pair.rank},
                        Init::zeros(), options.pair.bLearningRateFactor)),
          m_cores(store.add(tensorName(shape.path, "cores"),
                            {options.experts, options.pair.rank, options.pair.rank}, Init::kaimingUniform())),
          m_router(store.add(tensorName(shape.path, "router.weight"),
                             {options.experts, options.coreRouting ? options.pair.rank : shape.in},
                             Init::kaimingUniform()))
    {
    }

    [[nodiscard]] std::int64_t experts() const override { return m_options.experts; }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        const double p = m_options.pair.dropout;
        const at::Tensor xh = kernels::lowRankDown(x, m_a, drawDropout(p, pass));
        m_last =
            routeSoft(m_options.coreRouting ? at::mm(xh, m_router.t()) : kernels::lowRankDown(x, m_router));
        const at::Tensor u = m_options.merged ? mergedCore(m_last.weights, m_cores, xh, pass.training ? p : 0)
                                              : separate(m_last.weights, xh);
        return kernels::lowRankUp(x, base.weight, base.bias, kernels::dropout(u, drawDropout(p, pass)), m_b,
                                  m_options.pair.scale());
    }

    at::Tensor expertForward(std::int64_t expert, const at::Tensor& x,
                             const model::FrozenLinear& base) override
    {
        const at::Tensor u = at::mm(kernels::lowRankDown(x, m_a), m_cores[expert].t());
        return kernels::lowRankUp(x, base.weight, base.bias, u, m_b, m_options.pair.scale());
    }

    [[nodiscard]] Delta delta(std::int64_t expert) const override
    {
        return LowRankDelta{m_b.detach(), m_a.detach(), m_cores.detach()[expert], m_options.pair.scale()};
    }

    /// One core between the shared factors: rank r whatever N is.
    [[nodiscard]] Delta meanDelta(const at::Tensor& weights) const override
    {
        const at::Tensor flat = m_cores.detach().reshape({m_options.experts, -1});
        const at::Tensor core = at::mm(weights.to(flat.options()).unsqueeze(0), flat);
        return LowRankDelta{m_b.detach(), m_a.detach(), core.view({m_options.pair.rank, m_options.pair.rank}),
                            m_options.pair.scale()};
    }

    void beginPass() override { m_last = Routing{}; }
    [[nodiscard]] const Routing* routing() const override { return &m_last; }

    [[nodiscard]] at::Tensor coreSpectra() const { return at::linalg_svdvals(m_cores.detach().cpu()); }

private:
    /// sum_j G_j (M_j xh) as one product over the N r pairs of expert and rank.
    [[nodiscard]] at::Tensor separate(const at::Tensor& weights, const at::Tensor& xh) const
    {
        const std::int64_t ranks = m_options.experts * m_options.pair.rank;
        const at::Tensor gated = (weights.unsqueeze(2) * xh.unsqueeze(1)).reshape({xh.size(0), ranks});
        return at::mm(gated, m_cores.transpose(1, 2).reshape({ranks, m_options.pair.rank}));
    }

    ComolOptions m_options;
    at::Tensor m_a;      ///< [r, in]
    at::Tensor m_b;      ///< [out, r]
    at::Tensor m_cores;  ///< [N, r, r]
    at::Tensor m_router; ///< [N, r] or [N, in]
    Routing m_last;
};

class ComolAdapter : public ModuleAdapter
{
public:
    ComolAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                 const std::vector<checkpoint::LinearShape>& linears, const ComolOptions& options)
        : ModuleAdapter(model, std::move(store), linears, siteMaker<ComolSite>(options)),
          m_options(options)
    {
    }

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        return {siteMeasure(
            sites(),
            {"comol/core_singular_values",
             "Core singular values",
             "",
             "Singular values of each expert's core matrix M_j, largest first.",
             {numberedAxis("expert", m_options.experts), numberedAxis("index", m_options.pair.rank)},
             {}},
            [](const ModuleSite& site) { return static_cast<const ComolSite&>(site).coreSpectra(); })};
    }

private:
    ComolOptions m_options;
};

class ComolFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        const ComolOptions options(settings);
        const std::int64_t rank = options.pair.rank;
        Plan plan;
        plan.trainable = LowRankSite::count(linears, rank);
        for (const auto& shape : linears)
            plan.trainable += options.experts * (rank * rank + (options.coreRouting ? rank : shape.in));
        // The merged path keeps no product of experts and ranks.
        plan.activationsPerToken =
            static_cast<std::int64_t>(linears.size()) *
            (2 * rank + 2 * options.experts + (options.merged ? 0 : options.experts * rank));
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        auto store = std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed);
        return std::make_unique<ComolAdapter>(model, std::move(store), linears, ComolOptions(settings));
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::ComolFamily)

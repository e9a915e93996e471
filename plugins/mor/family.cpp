// SPDX-License-Identifier: Apache-2.0
// MoR: one LoRA pair on each linear, seen by N experts through vectors of their own:
// y = W x + s sum_j G_j(x) * lb_j * (B (la_j * (A drop(x)))).
#include "core/adapter/family.h"
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

enum class MorRouter { Soft, Mean, Balanced };

struct MorOptions {
    LowRankOptions pair;
    std::int64_t experts = 8;
    MorRouter router = MorRouter::Soft;
    double balanceCoefficient = 0; ///< of the balanced router
    double initStd = 0;            ///< of the vectors around 1

    explicit MorOptions(const Settings& settings)
        : pair(LowRankOptions::read(settings)),
          experts(settings.integer("experts")),
          initStd(settings.number("vectorInitStd"))
    {
        const std::string name = settings.text("router");
        router = name == "mean"       ? MorRouter::Mean
                 : name == "balanced" ? MorRouter::Balanced
                                      : MorRouter::Soft;
        if (router == MorRouter::Balanced)
            balanceCoefficient = settings.number("balanceCoefficient");
    }
};

class MorSite : public ModuleSite
{
public:
    MorSite(ParameterStore& store, const checkpoint::LinearShape& shape, const MorOptions& options)
        : ModuleSite(shape),
          m_options(options),
          m_a(store.add(tensorName(shape.path, "lora_A.weight"), {options.pair.rank, shape.in},
                        Init::kaimingUniform())),
          m_b(store.add(tensorName(shape.path, "lora_B.weight"), {shape.out, options.pair.rank},
                        Init::zeros(), options.pair.bLearningRateFactor)),
          m_la(vectors(store, "lambda_a", options.pair.rank)),
          m_lb(vectors(store, "lambda_b", shape.out))
    {
        if (options.router != MorRouter::Mean)
            m_router = store.add(tensorName(shape.path, "router.weight"), {options.experts, shape.in},
                                 Init::kaimingUniform());
    }

    [[nodiscard]] std::int64_t experts() const override { return m_options.experts; }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        m_last = route(x);
        const at::Tensor h = kernels::lowRankDown(x, m_a, drawDropout(m_options.pair.dropout, pass));
        // One product of rank N r instead of N outputs of the linear's width:
        // sum_jk (lb_j[o] la_j[k] B[o, k]) (G_j h[k]).
        const std::int64_t ranks = m_options.experts * m_options.pair.rank;
        const at::Tensor gated = (m_last.weights.unsqueeze(2) * h.unsqueeze(1)).reshape({x.size(0), ranks});
        const at::Tensor scaled = (m_lb.t().unsqueeze(2) * m_la) * m_b.unsqueeze(1); // [out, N, r]
        return kernels::lowRankUp(x, base.weight, base.bias, gated, scaled.reshape({shape().out, ranks}),
                                  m_options.pair.scale());
    }

    at::Tensor expertForward(std::int64_t expert, const at::Tensor& x,
                             const model::FrozenLinear& base) override
    {
        const at::Tensor u = kernels::lowRankDown(x, m_a) * m_la[expert];
        const at::Tensor update = at::mm(u, m_b.t()) * m_lb[expert] * m_options.pair.scale();
        return base.forward(x) + update.to(x.scalar_type());
    }

    [[nodiscard]] Delta delta(std::int64_t expert) const override
    {
        return LowRankDelta{m_b.detach() * m_lb.detach()[expert].unsqueeze(1), m_a.detach(),
                            m_la.detach()[expert], m_options.pair.scale()};
    }

    /// All experts share A: B * (sum_j w_j lb_j la_j^T) A has rank r whatever N is.
    [[nodiscard]] Delta meanDelta(const at::Tensor& weights) const override
    {
        const at::Tensor mixed =
            at::mm(m_lb.detach().t(), weights.to(m_la.options()).unsqueeze(1) * m_la.detach());
        return LowRankDelta{m_b.detach() * mixed, m_a.detach(), {}, m_options.pair.scale()};
    }

    void beginPass() override { m_last = Routing{}; }
    [[nodiscard]] const Routing* routing() const override { return &m_last; }

    /// Switch: N sum_j f_j P_j, f_j the share of tokens whose most probable expert is j.
    [[nodiscard]] at::Tensor balance() const
    {
        if (!m_last.probabilities.defined())
            return {};
        const Routing top{m_last.probabilities, stableTopK(m_last.probabilities, 1), {}, {}};
        return balanceLoss(m_last.probabilities, top.load());
    }

    [[nodiscard]] at::Tensor inputVectors() const { return m_la.detach(); }  ///< [N, r]
    [[nodiscard]] at::Tensor outputVectors() const { return m_lb.detach(); } ///< [N, out]

private:
    at::Tensor vectors(ParameterStore& store, const char* name, std::int64_t width) const
    {
        const at::Tensor tensor = store.add(tensorName(shape().path, name), {m_options.experts, width},
                                            Init::normal(m_options.initStd));
        const at::NoGradGuard guard;
        at::Tensor(tensor).add_(1);
        return tensor;
    }

    [[nodiscard]] Routing route(const at::Tensor& x) const
    {
        if (m_options.router != MorRouter::Mean)
            return routeSoft(kernels::lowRankDown(x, m_router));
        const at::Tensor share =
            at::full({1, m_options.experts}, 1.0 / static_cast<double>(m_options.experts),
                     m_a.options().requires_grad(false))
                .expand({x.size(0), m_options.experts});
        return {share, {}, {}, share};
    }

    MorOptions m_options;
    at::Tensor m_a;      ///< [r, in]
    at::Tensor m_b;      ///< [out, r]
    at::Tensor m_la;     ///< [N, r]
    at::Tensor m_lb;     ///< [N, out]
    at::Tensor m_router; ///< [N, in]; undefined for the mean
    Routing m_last;
};

class MorAdapter : public ModuleAdapter
{
public:
    MorAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
               const std::vector<checkpoint::LinearShape>& linears, const MorOptions& options)
        : ModuleAdapter(model, std::move(store), linears, siteMaker<MorSite>(options)),
          m_options(options)
    {
    }

    at::Tensor auxiliaryLoss() override
    {
        if (m_options.balanceCoefficient == 0)
            return {};
        at::Tensor total;
        for (const auto& site : sites().all()) {
            const at::Tensor one = static_cast<const MorSite&>(*site).balance();
            if (one.defined())
                total = total.defined() ? total + one : one;
        }
        return total.defined() ? m_options.balanceCoefficient * total : total;
    }

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        std::vector<InsideMeasure> measures{
            ofExperts("mor/la_norm", "Norm of the input vectors",
                      "L2 norm of la_j, the vector by which expert j scales the r numbers after A; sqrt(r) "
                      "at the start.",
                      {}, [](const MorSite& site) { return norms(site.inputVectors()); }),
            ofExperts("mor/lb_norm", "Norm of the output vectors",
                      "L2 norm of lb_j, the vector by which expert j scales the linear's outputs; sqrt(out) "
                      "at the start.",
                      {}, [](const MorSite& site) { return norms(site.outputVectors()); }),
            ofExperts(
                "mor/lb_cosine", "Likeness of the output vectors",
                "Cosine between lb_i and lb_j: 1 as long as two experts scale the outputs alike, as all "
                "do at the start.",
                {numberedAxis("expert", m_options.experts)},
                [](const MorSite& site) { return cosines(site.outputVectors()); })};
        if (m_options.pair.rank <= mostRanks)
            measures.push_back(ofExperts("mor/la", "Input vectors",
                                         "la_j: by how much expert j scales each of the r numbers after A; 1 "
                                         "at the start.",
                                         {numberedAxis("rank", m_options.pair.rank)},
                                         [](const MorSite& site) { return site.inputVectors(); }));
        return measures;
    }

private:
    /// Of more ranks than a heat map has room for, the norms say enough.
    static constexpr std::int64_t mostRanks = 64;

    static at::Tensor norms(const at::Tensor& vectors)
    {
        return at::linalg_vector_norm(vectors, 2, at::IntArrayRef{1});
    }

    static at::Tensor cosines(const at::Tensor& vectors)
    {
        const at::Tensor unit = vectors / norms(vectors).unsqueeze(1);
        return at::mm(unit, unit.t());
    }

    /// By layer, module and expert, and `more` axes.
    [[nodiscard]] InsideMeasure ofExperts(const char* name, const char* title, const char* definition,
                                          std::vector<InsideAxis> more,
                                          const std::function<at::Tensor(const MorSite&)>& of) const
    {
        more.insert(more.begin(), numberedAxis("expert", m_options.experts));
        return siteMeasure(sites(), {name, title, "", definition, std::move(more), {}},
                           [&of](const ModuleSite& site) { return of(static_cast<const MorSite&>(site)); });
    }

    MorOptions m_options;
};

class MorFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        const MorOptions options(settings);
        Plan plan;
        plan.trainable = LowRankSite::count(linears, options.pair.rank);
        for (const auto& shape : linears)
            plan.trainable += options.experts * (shape.out + options.pair.rank +
                                                 (options.router == MorRouter::Mean ? 0 : shape.in));
        plan.activationsPerToken =
            static_cast<std::int64_t>(linears.size()) *
            (options.experts * options.pair.rank + options.pair.rank + options.experts);
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        auto store = std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed);
        return std::make_unique<MorAdapter>(model, std::move(store), linears, MorOptions(settings));
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::MorFamily)

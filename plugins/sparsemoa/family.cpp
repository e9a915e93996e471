// SPDX-License-Identifier: Apache-2.0
// SparseMoA: adapters of different kinds on each decoder layer, LoRA pairs and a bottleneck beside the MLP,
// that one router of the layer switches on for each token.
#include "core/adapter/family.h"
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/targets.h"
#include "plugins/sparsemoa/layer_router.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/silu.h>
#include <algorithm>
#include <limits>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

struct MoaOptions {
    std::vector<checkpoint::LinearShape> linears;
    std::vector<std::string>
        modules; ///< of the linears: adapter j is on modules[j], the last one is the bottleneck
    LowRankOptions pair;
    std::int64_t bottleneck = 16;
    double bottleneckGain = 1e-4;
    LayerRouter::Shape router;

    [[nodiscard]] std::int64_t bottleneckCount(std::int64_t hidden) const
    {
        return 2 * bottleneck * hidden + bottleneck + hidden;
    }

    static Result<MoaOptions> read(const checkpoint::ModelConfig& model, const Settings& settings)
    {
        MoaOptions options;
        RANKSCOPE_TRY(options.linears, resolveTargets(model, settings.texts("targets")));
        options.modules = modulesOf(options.linears);
        options.pair = LowRankOptions::read(settings);
        options.bottleneck = settings.integer("bottleneck");
        options.bottleneckGain = settings.number("bottleneckGain");
        options.router = {static_cast<std::int64_t>(options.modules.size()) + 1, model.hidden,
                          settings.text("selection") == "sparse", settings.number("thresholdMaximum")};
        return options;
    }
};

/// A LoRA pair whose update a token receives with the layer router's weight: y = W x + q s B A drop(x).
class GatedPair : public ModuleSite
{
public:
    GatedPair(ParameterStore& store, const checkpoint::LinearShape& shape, const LowRankOptions& options,
              const LayerRouter& router, std::int64_t index)
        : ModuleSite(shape),
          m_options(options),
          m_router(router),
          m_index(index),
          m_a(store.add(tensorName(shape.path, "lora_A.weight"), {options.rank, shape.in},
                        Init::kaimingUniform())),
          m_b(store.add(tensorName(shape.path, "lora_B.weight"), {shape.out, options.rank}, Init::zeros(),
                        options.bLearningRateFactor))
    {
    }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        return m_router.add(
            base.forward(x), x, m_index, [&](const at::Tensor& rows, const at::Tensor& weight) {
                const at::Tensor h = kernels::lowRankDown(rows, m_a, drawDropout(m_options.dropout, pass));
                return at::mm(h * (weight * m_options.scale()), m_b.t());
            });
    }

    at::Tensor expertForward(std::int64_t, const at::Tensor& x, const model::FrozenLinear& base) override
    {
        return kernels::lowRankLinear(x, base.weight, base.bias, m_a, m_b, m_options.scale());
    }

    [[nodiscard]] Delta delta(std::int64_t) const override
    {
        return LowRankDelta{m_b.detach(), m_a.detach(), {}, m_options.scale()};
    }

private:
    LowRankOptions m_options;
    const LayerRouter& m_router;
    std::int64_t m_index; ///< among the layer's adapters
    at::Tensor m_a;       ///< [r, in]
    at::Tensor m_b;       ///< [out, r]
};

/// The MLP block with up(silu(down x)) beside it.
class ParallelBottleneck : public model::MlpAdapter
{
public:
    ParallelBottleneck(ParameterStore& store, std::int64_t layer, const MoaOptions& options,
                       const LayerRouter& router)
        : m_router(router),
          m_index(options.router.adapters - 1),
          m_dropout(options.pair.dropout)
    {
        auto name = [&](const char* tensor) {
            return tensorName(mlpPath(layer), std::string("bottleneck.") + tensor);
        };
        const std::int64_t hidden = options.router.hidden;
        const Init small = Init::xavierUniform(options.bottleneckGain);
        m_down = store.add(name("down.weight"), {options.bottleneck, hidden}, small);
        m_downBias = store.add(name("down.bias"), {options.bottleneck}, Init::zeros());
        m_up = store.add(name("up.weight"), {hidden, options.bottleneck}, small);
        m_upBias = store.add(name("up.bias"), {hidden}, Init::zeros());
    }

    at::Tensor forward(const at::Tensor& x, const model::MlpBlock& block, const model::Pass& pass) override
    {
        return m_router.add(
            block.forwardLinears(x, pass), x, m_index, [&](const at::Tensor& rows, const at::Tensor& weight) {
                const at::Tensor inner =
                    at::silu(kernels::lowRankDown(rows, m_down, drawDropout(m_dropout, pass)) + m_downBias);
                return weight * at::linear(inner, m_up, m_upBias);
            });
    }

private:
    const LayerRouter& m_router;
    std::int64_t m_index;
    double m_dropout;
    at::Tensor m_down; ///< [size, hidden]
    at::Tensor m_downBias;
    at::Tensor m_up; ///< [hidden, size]
    at::Tensor m_upBias;
};

class MoaAdapter : public Adapter
{
public:
    MoaAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store, const MoaOptions& options)
        : Adapter(std::move(store)),
          m_model(model),
          m_options(options)
    {
        for (auto& layer : model.layers()) {
            m_routers.push_back(std::make_unique<LayerRouter>(parameters(), layer.index, options.router));
            layer.adapter = m_routers.back().get();
            m_bottlenecks.push_back(
                std::make_unique<ParallelBottleneck>(parameters(), layer.index, options, *m_routers.back()));
            layer.mlp.adapter = m_bottlenecks.back().get();
        }
        m_pairs = std::make_unique<ModuleSites>(
            model, parameters(), options.linears,
            [&](ParameterStore& tensors, const model::FrozenLinear& base) {
                const auto index =
                    std::find(options.modules.begin(), options.modules.end(), base.shape.module);
                return std::make_unique<GatedPair>(tensors, base.shape, options.pair,
                                                   *m_routers.at(static_cast<std::size_t>(base.shape.layer)),
                                                   index - options.modules.begin());
            });
    }
    ~MoaAdapter() override
    {
        for (auto& layer : m_model.layers()) {
            layer.adapter = nullptr;
            layer.mlp.adapter = nullptr;
        }
    }
    MoaAdapter(const MoaAdapter&) = delete;
    MoaAdapter& operator=(const MoaAdapter&) = delete;

    void beginPass(const model::Pass&) override
    {
        for (const auto& router : m_routers)
            router->forget();
    }

    [[nodiscard]] std::vector<DeltaSite> deltaSites() const override
    {
        auto sites = m_pairs->deltaSites();
        for (auto& site : sites)
            site.router = "layer";
        return sites;
    }
    [[nodiscard]] Delta delta(std::int64_t layer, const std::string& module,
                              std::int64_t expert) const override
    {
        return m_pairs->find(layer, module)->delta(expert);
    }
    [[nodiscard]] at::Tensor expertForward(std::int64_t layer, const std::string& module, std::int64_t expert,
                                           const at::Tensor& x) const override
    {
        return m_pairs->expertForward(*m_pairs->find(layer, module), expert, x);
    }

    [[nodiscard]] std::vector<RoutingTrace> routing() const override
    {
        std::vector<RoutingTrace> traces;
        for (std::size_t layer = 0; layer < m_routers.size(); ++layer) {
            if (m_routers[layer]->routing().probabilities.defined())
                traces.push_back(
                    {static_cast<std::int64_t>(layer), "layer", m_routers[layer]->routing().detached()});
        }
        return traces;
    }

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        std::vector<std::string> adapters = m_options.modules;
        adapters.emplace_back("bottleneck");
        const auto layers = numberedAxis("layer", m_model.config().layers);
        InsideMeasure kept{
            "sparsemoa/kept_fraction",
            "Kept fraction",
            "",
            "Share of the last pass's tokens on which the adapter acts: whose weight reaches the "
            "token's threshold.",
            {layers, {"adapter", adapters}},
            {}};
        InsideMeasure weight{
            "sparsemoa/mean_weight",
            "Mean weight",
            "",
            "Mean over the last pass's tokens of the weight that the adapter acts with; 0 where "
            "it does not.",
            {layers, {"adapter", adapters}},
            {}};
        for (const auto& router : m_routers) {
            const Routing& last = router->routing();
            const bool ran = last.probabilities.defined() && last.probabilities.size(0) > 0;
            const at::Tensor loads =
                ran ? (last.load() / static_cast<double>(last.probabilities.size(0))).cpu() : at::Tensor();
            const at::Tensor weights =
                ran ? last.weights.detach().to(at::kDouble).mean(0).cpu() : at::Tensor();
            for (std::size_t j = 0; j < adapters.size(); ++j) {
                constexpr float unmeasured = std::numeric_limits<float>::quiet_NaN();
                kept.values.push_back(ran ? static_cast<float>(loads.const_data_ptr<double>()[j])
                                          : unmeasured);
                weight.values.push_back(ran ? static_cast<float>(weights.const_data_ptr<double>()[j])
                                            : unmeasured);
            }
        }
        return {std::move(kept), std::move(weight)};
    }

private:
    model::Decoder& m_model;
    MoaOptions m_options;
    std::vector<std::unique_ptr<LayerRouter>> m_routers;
    std::vector<std::unique_ptr<ParallelBottleneck>> m_bottlenecks;
    std::unique_ptr<ModuleSites> m_pairs;
};

class SparseMoaFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto options, MoaOptions::read(model, settings));
        Plan plan;
        plan.trainable = LowRankSite::count(options.linears, options.pair.rank) +
                         model.layers * (options.bottleneckCount(model.hidden) + options.router.count());
        // A pair keeps its ranks and a copy of the inputs of the tokens it acts on.
        for (const auto& shape : options.linears)
            plan.activationsPerToken += 2 * options.pair.rank + shape.in;
        plan.activationsPerToken += model.layers * (2 * model.hidden + 3 * options.bottleneck +
                                                    4 * options.router.inner() + 3 * options.router.adapters);
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto moa, MoaOptions::read(model.config(), settings));
        auto store = std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed);
        return std::make_unique<MoaAdapter>(model, std::move(store), moa);
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::SparseMoaFamily)

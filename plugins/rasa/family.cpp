// SPDX-License-Identifier: Apache-2.0
// RaSA: k ranks of every layer are put into one pool that all layers use, so that each layer works with r - k
// + k L ranks: y = W x + [B Bs] diag(D) [A; As] drop(x).
#include "core/adapter/family.h"
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/targets.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <algorithm>
#include <map>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

struct RasaOptions {
    LowRankOptions pair;     ///< rank r; no alpha / r
    std::int64_t shared = 4; ///< k
    std::int64_t layers = 0;

    [[nodiscard]] std::int64_t own() const { return pair.rank - shared; }
    [[nodiscard]] std::int64_t pool() const { return shared * layers; }
};

/// The pool of one module type; without tensors where k = 0.
struct Pool {
    at::Tensor a; ///< [k L, in]
    at::Tensor b; ///< [out, k L]
};

class RasaSite : public ModuleSite
{
public:
    RasaSite(ParameterStore& store, const checkpoint::LinearShape& shape, const RasaOptions& options,
             const Pool& pool)
        : ModuleSite(shape),
          m_options(options),
          m_pool(pool)
    {
        if (options.own() > 0) {
            m_a = store.add(tensorName(shape.path, "lora_A.weight"), {options.own(), shape.in},
                            Init::kaimingUniform());
            m_b = store.add(tensorName(shape.path, "lora_B.weight"), {shape.out, options.own()},
                            Init::zeros(), options.pair.bLearningRateFactor);
        }
        // Half of alpha for the layer's own ranks together, half for the pool's.
        std::vector<at::Tensor> parts;
        for (const std::int64_t ranks : {options.own(), options.pool()})
            parts.push_back(at::full({ranks},
                                     ranks > 0 ? options.pair.alpha / (2 * static_cast<double>(ranks)) : 0,
                                     at::TensorOptions(at::kDouble)));
        const at::Tensor diagonal = at::cat(parts);
        m_diagonal = store.add(tensorName(shape.path, "lora_D"), {diagonal.size(0)}, Init::from(diagonal));
    }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        const at::Tensor h =
            kernels::lowRankDown(x, joined(m_a, m_pool.a, 0), drawDropout(m_options.pair.dropout, pass));
        return kernels::lowRankUp(x, base.weight, base.bias, h * m_diagonal, joined(m_b, m_pool.b, 1), 1);
    }

    [[nodiscard]] Delta delta(std::int64_t) const override
    {
        return LowRankDelta{joined(m_b, m_pool.b, 1).detach(), joined(m_a, m_pool.a, 0).detach(),
                            m_diagonal.detach(), 1};
    }
    [[nodiscard]] const at::Tensor& diagonal() const { return m_diagonal; }

private:
    static at::Tensor joined(const at::Tensor& own, const at::Tensor& pool, std::int64_t dimension)
    {
        if (!own.defined() || !pool.defined())
            return own.defined() ? own : pool;
        return at::cat({own, pool}, dimension);
    }

    RasaOptions m_options;
    Pool m_pool;
    at::Tensor m_a;        ///< [r - k, in]; undefined where k = r
    at::Tensor m_b;        ///< [out, r - k]
    at::Tensor m_diagonal; ///< [r - k + k L]
};

class RasaAdapter : public ModuleAdapter
{
public:
    RasaAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                const std::vector<checkpoint::LinearShape>& linears, const RasaOptions& options,
                std::map<std::string, Pool> pools)
        : ModuleAdapter(model, std::move(store), linears,
                        [&](ParameterStore& tensors, const model::FrozenLinear& base) {
                            return std::make_unique<RasaSite>(tensors, base.shape, options,
                                                              pools[base.shape.module]);
                        }),
          m_options(options),
          m_pools(std::move(pools))
    {
    }

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        InsideAxis ranks{"rank", {}};
        for (std::int64_t i = 0; i < m_options.own(); ++i)
            ranks.second.push_back("own " + std::to_string(i));
        for (std::int64_t i = 0; i < m_options.pool(); ++i)
            ranks.second.push_back("pool " + std::to_string(i));
        std::vector<InsideMeasure> measures{siteMeasure(
            sites(),
            {"rasa/diagonal",
             "Weights of the ranks",
             "",
             "D of each layer: what it makes of its own ranks and of the pool's that all layers use.",
             {ranks},
             {}},
            [](const ModuleSite& site) { return static_cast<const RasaSite&>(site).diagonal(); })};
        if (m_options.pool() > 0) {
            InsideAxis modules{"module", {}};
            std::vector<at::Tensor> factors;
            for (const auto& [module, pool] : m_pools) {
                modules.second.push_back(module);
                factors.push_back(pool.a);
                factors.push_back(pool.b);
            }
            measures.push_back(
                spectraOf({"rasa/pool_singular_values", "Singular values of the shared tensors",
                           "Largest singular values of the pool's factors As and Bs."},
                          {modules, {"tensor", {"As", "Bs"}}}, factors));
        }
        return measures;
    }

private:
    RasaOptions m_options;
    std::map<std::string, Pool> m_pools;
};

Result<RasaOptions> readOptions(const Settings& settings, std::int64_t layers)
{
    RasaOptions options{LowRankOptions::read(settings), settings.integer("sharedRank"), layers};
    if (options.shared < 0)
        options.shared = std::max<std::int64_t>(1, options.pair.rank / 8);
    if (options.shared > options.pair.rank)
        return fail("sharedRank is " + std::to_string(options.shared) + ", but rank is only " +
                    std::to_string(options.pair.rank) + "; choose at most that");
    return options;
}

class RasaFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        RANKSCOPE_TRY(const auto options, readOptions(settings, model.layers));
        // k ranks of each of L layers in the pool are as many elements as k ranks in each layer.
        const std::int64_t ranks = options.own() + options.pool();
        const auto count = static_cast<std::int64_t>(linears.size());
        Plan plan{LowRankSite::count(linears, options.pair.rank) + count * ranks, 0, 2 * count * ranks};
        plan.composed = LowRankSite::count(linears, ranks);
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        RANKSCOPE_TRY(const auto rasa, readOptions(settings, model.config().layers));
        auto store = std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed);
        std::map<std::string, Pool> pools;
        for (const auto& shape : linears) {
            if (rasa.pool() == 0 || pools.contains(shape.module))
                continue;
            const std::string path = "shared." + shape.module;
            pools[shape.module] = {store->add(tensorName(path, "lora_A.weight"), {rasa.pool(), shape.in},
                                              Init::kaimingUniform()),
                                   store->add(tensorName(path, "lora_B.weight"), {shape.out, rasa.pool()},
                                              Init::zeros(), rasa.pair.bLearningRateFactor)};
        }
        return std::make_unique<RasaAdapter>(model, std::move(store), linears, rasa, std::move(pools));
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::RasaFamily)

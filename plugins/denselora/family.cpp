// SPDX-License-Identifier: Apache-2.0
// DenseLoRA: one encoder and one decoder for each module type, a dense core for each layer:
// y = W x + (alpha / r) act(Wd M act(We drop(x))), act = GELU or none.
#include "core/adapter/family.h"
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/mm.h>
#include <map>
#include <utility>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

struct DenseOptions {
    std::int64_t rank = 16;
    double scale = 1;
    bool gelu = true;
    double dropout = 0;
    double innerDropout = 0; ///< after each activation
    double decoderFactor = 1;

    static DenseOptions read(const Settings& settings)
    {
        const std::int64_t rank = settings.integer("rank");
        return {rank,
                settings.number("alpha") / static_cast<double>(rank),
                settings.text("activation") == "gelu",
                settings.number("dropout"),
                settings.number("innerDropout"),
                settings.number("bLearningRateFactor")};
    }
};

/// Of one module type.
struct Coders {
    at::Tensor encoder; ///< [r, in]
    at::Tensor decoder; ///< [out, r]
};

class DenseSite : public ModuleSite
{
public:
    DenseSite(ParameterStore& store, const checkpoint::LinearShape& shape, const DenseOptions& options,
              const Coders& coders)
        : ModuleSite(shape),
          m_options(options),
          m_coders(coders),
          m_core(store.add(tensorName(shape.path, "denselora_core.weight"), {options.rank, options.rank},
                           Init::kaimingUniform()))
    {
    }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        const at::Tensor h =
            activated(kernels::lowRankDown(x, m_coders.encoder, drawDropout(m_options.dropout, pass)), pass);
        const at::Tensor cored = at::mm(h, m_core.t());
        if (m_options.gelu || m_options.innerDropout > 0) {
            const at::Tensor y = base.forward(x);
            const at::Tensor update = activated(at::mm(cored, m_coders.decoder.t()), pass);
            return (y.to(update.scalar_type()) + m_options.scale * update).to(y.scalar_type());
        }
        return kernels::lowRankUp(x, base.weight, base.bias, cored, m_coders.decoder, m_options.scale);
    }

    [[nodiscard]] Delta delta(std::int64_t) const override
    {
        // GELU'(0) = 1/2, and there are two of them.
        return LowRankDelta{m_coders.decoder.detach(), m_coders.encoder.detach(), m_core.detach(),
                            m_options.gelu ? m_options.scale / 4 : m_options.scale};
    }
    [[nodiscard]] bool linear() const override { return !m_options.gelu; }
    [[nodiscard]] const at::Tensor& core() const { return m_core; }

private:
    [[nodiscard]] at::Tensor activated(const at::Tensor& values, const model::Pass& pass) const
    {
        return kernels::dropout(m_options.gelu ? at::gelu(values) : values,
                                drawDropout(m_options.innerDropout, pass));
    }

    DenseOptions m_options;
    Coders m_coders;
    at::Tensor m_core; ///< [r, r]
};

class DenseAdapter : public ModuleAdapter
{
public:
    DenseAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                 const std::vector<checkpoint::LinearShape>& linears, const DenseOptions& options,
                 std::map<std::string, Coders> coders)
        : ModuleAdapter(model, std::move(store), linears,
                        [&](ParameterStore& tensors, const model::FrozenLinear& base) {
                            return std::make_unique<DenseSite>(tensors, base.shape, options,
                                                               coders.at(base.shape.module));
                        }),
          m_coders(std::move(coders))
    {
    }

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        InsideAxis modules{"module", {}};
        std::vector<at::Tensor> factors;
        for (const auto& [module, coders] : m_coders) {
            modules.second.push_back(module);
            factors.push_back(coders.encoder);
            factors.push_back(coders.decoder);
        }
        return {
            spectraOf(
                {"denselora/coder_singular_values", "Singular values of the shared tensors",
                 "Largest singular values of the encoder [r, in] and the decoder [out, r] of all layers."},
                {modules, {"tensor", {"encoder", "decoder"}}}, factors),
            siteSpectra(sites(),
                        {"denselora/core_singular_values", "Singular values of the cores",
                         "Largest singular values of each layer's core M [r, r]."},
                        [](const ModuleSite& site) { return static_cast<const DenseSite&>(site).core(); })};
    }

private:
    std::map<std::string, Coders> m_coders;
};

class DenseFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        const DenseOptions options = DenseOptions::read(settings);
        Plan plan;
        std::map<std::string, bool> seen;
        for (const auto& shape : linears) {
            if (!std::exchange(seen[shape.module], true))
                plan.trainable += options.rank * (shape.in + shape.out);
            plan.trainable += options.rank * options.rank;
            plan.activationsPerToken += 3 * options.rank + (options.gelu ? 2 * shape.out : 0);
        }
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        const DenseOptions dense = DenseOptions::read(settings);
        auto store = std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed);
        std::map<std::string, Coders> coders;
        for (const auto& shape : linears) {
            if (coders.contains(shape.module))
                continue;
            const std::string path = "shared." + shape.module;
            coders[shape.module] = {store->add(tensorName(path, "denselora_encoder.weight"),
                                               {dense.rank, shape.in}, Init::kaimingUniform()),
                                    store->add(tensorName(path, "denselora_decoder.weight"),
                                               {shape.out, dense.rank}, Init::zeros(), dense.decoderFactor)};
        }
        return std::make_unique<DenseAdapter>(model, std::move(store), linears, dense, std::move(coders));
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::DenseFamily)

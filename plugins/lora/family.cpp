// SPDX-License-Identifier: Apache-2.0
// LoRA: y = W x + (alpha / r) B A drop(x).
#include "core/adapter/family.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/targets.h"

namespace rankscope::plugins {
namespace {

using namespace rankscope::adapter;

class LoraAdapter : public Adapter
{
public:
    LoraAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                const std::vector<checkpoint::LinearShape>& linears, const LowRankOptions& options)
        : Adapter(std::move(store)), m_sites(model, *m_parameters, linears, options)
    {
    }

    [[nodiscard]] std::vector<DeltaSite> deltaSites() const override { return m_sites.deltaSites(); }
    [[nodiscard]] Delta delta(std::int64_t layer, const std::string& module, std::int64_t) const override
    {
        return m_sites.find(layer, module)->delta();
    }
    [[nodiscard]] at::Tensor expertForward(std::int64_t layer, const std::string& module, std::int64_t,
                                           const at::Tensor& x) const override
    {
        return m_sites.forward(*m_sites.find(layer, module), x);
    }

private:
    LowRankSites m_sites;
};

class LoraFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model, const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        const std::int64_t rank = settings.integer("rank");
        return Plan{LowRankSites::count(linears, rank), 0,
                    rank * static_cast<std::int64_t>(linears.size())};
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        auto store = std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed);
        return std::make_unique<LoraAdapter>(
            model, std::move(store), linears,
            LowRankOptions{settings.integer("rank"), settings.number("alpha"), settings.number("dropout"),
                           settings.number("bLearningRateFactor")});
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::LoraFamily)

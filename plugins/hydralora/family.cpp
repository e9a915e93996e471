// SPDX-License-Identifier: Apache-2.0
// HydraLoRA: y = W x + s sum_j G_j B_j (A drop(x)), one A for all heads B_j, soft routing.
#include "core/adapter/inside_measures.h"
#include "core/adapter/lora_mixture.h"

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

class HydraLora : public ModuleAdapter
{
public:
    using ModuleAdapter::ModuleAdapter;

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        if (sites().all().empty() || !sites().all().front()->routing()->weights.defined())
            return {};
        const auto heads = numberedAxis("head", sites().all().front()->experts());
        return {siteMeasure(
            sites(),
            {"hydralora/head_use",
             "Use of the heads",
             "",
             "Mean routing weight G_j of head B_j over the tokens of the last pass; the heads share A.",
             {heads},
             {}},
            [](const ModuleSite& site) { return site.routing()->weights.detach().mean(0); })};
    }
};

class HydraLoraFamily : public LoraMixtureFamily
{
protected:
    [[nodiscard]] Result<LoraMixtureOptions> options(const checkpoint::ModelConfig& model,
                                                     const Settings& settings,
                                                     const checkpoint::LinearShape& shape) const override
    {
        RANKSCOPE_TRY(auto options, LoraMixtureFamily::options(model, settings, shape));
        options.mix = LoraMixtureOptions::Mix::Heads;
        return options;
    }

    [[nodiscard]] MakeRouter routers(const Settings&) const override
    {
        return [](ParameterStore& store, const checkpoint::LinearShape& shape,
                  const LoraMixtureOptions& mixture) {
            return std::make_unique<LinearRouter>(
                store, shape, mixture.experts, Init::kaimingUniform(),
                [](const at::Tensor& z, const model::Pass&) { return routeSoft(z); });
        };
    }

    [[nodiscard]] std::unique_ptr<Adapter> make(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                                                const std::vector<checkpoint::LinearShape>& linears,
                                                const ModuleSites::Make& site, const Settings&) const override
    {
        return std::make_unique<HydraLora>(model, std::move(store), linears, site);
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::HydraLoraFamily)

// SPDX-License-Identifier: Apache-2.0
// LoRA: y = W x + (alpha / r) B A drop(x).
#include "core/adapter/family.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/targets.h"

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

class LoraFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        const std::int64_t rank = settings.integer("rank");
        return Plan{LowRankSite::count(linears, rank), 0, rank * static_cast<std::int64_t>(linears.size())};
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        auto store = std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed);
        return std::make_unique<ModuleAdapter>(model, std::move(store), linears,
                                               siteMaker<LowRankSite>(LowRankOptions::read(settings)));
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::LoraFamily)

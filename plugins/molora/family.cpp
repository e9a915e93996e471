// SPDX-License-Identifier: Apache-2.0
// MoLoRA: MoELoRA with soft routing at every linear, A and router normal.
#include "core/adapter/lora_mixture.h"

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

class MoLoraFamily : public LoraMixtureFamily
{
protected:
    [[nodiscard]] Result<LoraMixtureOptions> options(const checkpoint::ModelConfig& model,
                                                     const Settings& settings,
                                                     const checkpoint::LinearShape& shape) const override
    {
        RANKSCOPE_TRY(auto options, LoraMixtureFamily::options(model, settings, shape));
        options.a = Init::normal(settings.number("initStd"));
        return options;
    }

    [[nodiscard]] MakeRouter routers(const Settings& settings) const override
    {
        return [std = settings.number("initStd")](ParameterStore& store, const checkpoint::LinearShape& shape,
                                                  const LoraMixtureOptions& mixture) {
            return std::make_unique<LinearRouter>(
                store, shape, mixture.experts, Init::normal(std),
                [](const at::Tensor& z, const model::Pass&) { return routeSoft(z); });
        };
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::MoLoraFamily)

// SPDX-License-Identifier: Apache-2.0
// MoLA: a top-k mixture of LoRA pairs on each linear, with more experts in some layers than in others.
#include "core/adapter/lora_mixture.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <charconv>
#include <map>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

constexpr std::int64_t mostExperts = 256;

/// "2-4-6-8" -> the experts of a layer: as many equal parts of the depth as there are numbers. One number:
/// every layer.
Result<std::int64_t> expertsOf(const std::string& schedule, std::int64_t layer, std::int64_t layers)
{
    std::vector<std::int64_t> parts;
    for (std::size_t start = 0; start <= schedule.size();) {
        const std::size_t end = std::min(schedule.find('-', start), schedule.size());
        std::int64_t count = 0;
        const auto [rest, error] = std::from_chars(schedule.data() + start, schedule.data() + end, count);
        if (error != std::errc{} || rest != schedule.data() + end || count < 1 || count > mostExperts)
            return fail("schedule is '" + schedule + "', but must be numbers of experts from 1 to " +
                        std::to_string(mostExperts) + " with dashes between them, like 2-4-6-8 or 8");
        parts.push_back(count);
        start = end + 1;
    }
    const auto count = static_cast<std::int64_t>(parts.size());
    return parts[static_cast<std::size_t>(layer * count / layers)];
}

class MoLa : public ModuleAdapter
{
public:
    MoLa(model::Decoder& model, std::unique_ptr<ParameterStore> store,
         const std::vector<checkpoint::LinearShape>& linears, const ModuleSites::Make& make,
         double coefficient)
        : ModuleAdapter(model, std::move(store), linears, make),
          m_coefficient(coefficient)
    {
    }

    /// One loss for each decoder layer over the logits of its modules together; the layers are summed.
    at::Tensor auxiliaryLoss() override
    {
        if (m_coefficient == 0)
            return {};
        struct Layer {
            std::vector<at::Tensor> probabilities;
            at::Tensor load;
        };
        std::map<std::int64_t, Layer> layers;
        for (const auto& site : sites().all()) {
            const Routing& last = *site->routing();
            if (!last.probabilities.defined())
                continue;
            Layer& layer = layers[site->shape().layer];
            layer.probabilities.push_back(last.probabilities);
            const at::Tensor load = last.load();
            layer.load = layer.load.defined() ? layer.load + load : load;
        }
        at::Tensor total;
        for (const auto& [index, layer] : layers) {
            const at::Tensor one = normalisedBalanceLoss(at::cat(layer.probabilities), layer.load);
            total = total.defined() ? total + one : one;
        }
        return total.defined() ? m_coefficient * total : total;
    }

private:
    double m_coefficient;
};

class MoLaFamily : public LoraMixtureFamily
{
protected:
    [[nodiscard]] Result<LoraMixtureOptions> options(const checkpoint::ModelConfig& model,
                                                     const Settings& settings,
                                                     const checkpoint::LinearShape& shape) const override
    {
        LoraMixtureOptions options = LoraMixtureOptions::read(settings);
        const std::string schedule = settings.text("schedule");
        RANKSCOPE_TRY(options.experts, expertsOf(schedule, shape.layer, model.layers));
        if (settings.integer("topK") > options.experts)
            return fail("topK is " + std::to_string(settings.integer("topK")) + ", but schedule '" +
                        schedule + "' gives layer " + std::to_string(shape.layer) + " only " +
                        std::to_string(options.experts) + " experts; choose a smaller topK or more experts");
        options.used = settings.integer("topK");
        return options;
    }

    [[nodiscard]] MakeRouter routers(const Settings& settings) const override
    {
        return [k = settings.integer("topK")](ParameterStore& store, const checkpoint::LinearShape& shape,
                                              const LoraMixtureOptions& mixture) {
            return std::make_unique<LinearRouter>(
                store, shape, mixture.experts, Init::kaimingUniform(),
                [k](const at::Tensor& z, const model::Pass&) { return routeTopK(z, k); });
        };
    }

    [[nodiscard]] std::unique_ptr<Adapter> make(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                                                const std::vector<checkpoint::LinearShape>& linears,
                                                const ModuleSites::Make& site,
                                                const Settings& settings) const override
    {
        return std::make_unique<MoLa>(model, std::move(store), linears, site,
                                      settings.boolean("balanceLoss") ? settings.number("balanceCoefficient")
                                                                      : 0);
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::MoLaFamily)

// SPDX-License-Identifier: Apache-2.0
// AdaMoLE: a mixture of LoRA pairs whose number of experts is each token's own: those above a learned
// threshold.
#include "core/adapter/inside_measures.h"
#include "core/adapter/lora_mixture.h"
#include "core/adapter/targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/sigmoid.h>
#include <cmath>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

/// tau = tauMax sigmoid(Wt x + bt); experts with p_j >= tau, weighted by p_j - tau.
class ThresholdRouter : public ModuleRouter
{
public:
    ThresholdRouter(ParameterStore& store, const checkpoint::LinearShape& shape, std::int64_t experts,
                    double tauMax)
        : m_gate(store.add(tensorName(shape.path, "router.weight"), {experts, shape.in},
                           Init::kaimingUniform())),
          m_weight(
              store.add(tensorName(shape.path, "threshold.weight"), {1, shape.in}, Init::kaimingUniform())),
          m_bias(store.add(tensorName(shape.path, "threshold.bias"), {1},
                           Init::uniform(1 / std::sqrt(static_cast<double>(shape.in))))),
          m_tauMax(tauMax)
    {
    }

    Routing route(const at::Tensor& x, const model::Pass&) override
    {
        m_threshold = m_tauMax * at::sigmoid(kernels::lowRankDown(x, m_weight) + m_bias);
        return routeThreshold(kernels::lowRankDown(x, m_gate), m_threshold);
    }

    /// Of the last pass, [T, 1], with gradients.
    [[nodiscard]] const at::Tensor& threshold() const { return m_threshold; }

private:
    at::Tensor m_gate;
    at::Tensor m_weight;
    at::Tensor m_bias;
    double m_tauMax;
    at::Tensor m_threshold;
};

const at::Tensor& thresholdOf(const ModuleSite& site)
{
    const auto& router = static_cast<const LoraMixtureSite&>(site).router();
    return static_cast<const ThresholdRouter&>(router).threshold();
}

class AdaMole : public ModuleAdapter
{
public:
    AdaMole(model::Decoder& model, std::unique_ptr<ParameterStore> store,
            const std::vector<checkpoint::LinearShape>& linears, const ModuleSites::Make& make,
            double coefficient)
        : ModuleAdapter(model, std::move(store), linears, make),
          m_coefficient(coefficient)
    {
    }

    /// One loss for each linear, summed. Its P_j is the mean of p_j - tau, over all tokens, below the
    /// threshold too.
    at::Tensor auxiliaryLoss() override
    {
        at::Tensor total;
        for (const auto& site : sites().all()) {
            const Routing& last = *site->routing();
            if (m_coefficient == 0 || !last.probabilities.defined())
                continue;
            const at::Tensor one = balanceLoss(last.probabilities - thresholdOf(*site), last.load());
            total = total.defined() ? total + one : one;
        }
        return total.defined() ? m_coefficient * total : total;
    }

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        if (sites().all().empty() || !sites().all().front()->routing()->kept.defined())
            return {};
        return {siteMeasure(
                    sites(),
                    {"adamole/threshold",
                     "Threshold",
                     "",
                     "Mean over the last pass's tokens of tau = tauMax sigmoid(Wt x + bt), which a router "
                     "probability must reach.",
                     {},
                     {}},
                    [](const ModuleSite& site) { return thresholdOf(site).detach().mean(); }),
                siteMeasure(sites(),
                            {"adamole/active_experts",
                             "Active experts",
                             "experts",
                             "Mean number of experts above the threshold, by token of the last pass.",
                             {},
                             {}},
                            [](const ModuleSite& site) {
                                return site.routing()->kept.sum(1).to(at::kDouble).mean();
                            })};
    }

private:
    double m_coefficient;
};

class AdaMoleFamily : public LoraMixtureFamily
{
protected:
    [[nodiscard]] Result<LoraMixtureOptions> options(const checkpoint::ModelConfig& model,
                                                     const Settings& settings,
                                                     const checkpoint::LinearShape& shape) const override
    {
        RANKSCOPE_TRY(auto options, LoraMixtureFamily::options(model, settings, shape));
        options.dropoutPerExpert = true;
        return options;
    }

    [[nodiscard]] MakeRouter routers(const Settings& settings) const override
    {
        return [given = settings.number("maxThreshold")](ParameterStore& store,
                                                         const checkpoint::LinearShape& shape,
                                                         const LoraMixtureOptions& mixture) {
            const double tauMax = given > 0 ? given : 1 / static_cast<double>(mixture.experts);
            return std::make_unique<ThresholdRouter>(store, shape, mixture.experts, tauMax);
        };
    }

    [[nodiscard]] std::int64_t routerCount(const checkpoint::LinearShape& shape, std::int64_t experts,
                                           const Settings&) const override
    {
        return (experts + 1) * shape.in + 1;
    }

    [[nodiscard]] std::unique_ptr<Adapter> make(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                                                const std::vector<checkpoint::LinearShape>& linears,
                                                const ModuleSites::Make& site,
                                                const Settings& settings) const override
    {
        return std::make_unique<AdaMole>(model, std::move(store), linears, site,
                                         settings.number("balanceCoefficient"));
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::AdaMoleFamily)

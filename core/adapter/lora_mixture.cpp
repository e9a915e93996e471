// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/lora_mixture.h"

#include "core/adapter/low_rank_site.h"
#include "core/adapter/targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

namespace rankscope::adapter
{

using Mix = LoraMixtureOptions::Mix;

LinearRouter::LinearRouter(ParameterStore& store, const checkpoint::LinearShape& shape, std::int64_t experts,
                           const Init& init, Rule rule)
    : m_weight(store.add(tensorName(shape.path, "router.weight"), {experts, shape.in}, init)),
      m_rule(std::move(rule))
{
}

Routing LinearRouter::route(const at::Tensor& x, const model::Pass& pass)
{
    return m_rule(kernels::lowRankDown(x, m_weight), pass);
}

LoraMixtureOptions LoraMixtureOptions::read(const Settings& settings)
{
    LoraMixtureOptions options;
    options.rank = settings.integer("rank");
    options.scale = settings.number("alpha") / static_cast<double>(options.rank);
    options.dropout = settings.number("dropout");
    options.bLearningRateFactor = settings.number("bLearningRateFactor");
    return options;
}

std::int64_t LoraMixtureOptions::count(const checkpoint::LinearShape& shape) const
{
    if (mix == Mix::Heads)
        return rank * (shape.in + experts * shape.out);
    return ExpertStack::count(shape, experts, rank);
}

std::int64_t LoraMixtureOptions::idle(const checkpoint::LinearShape& shape) const
{
    return used == 0 ? 0 : (experts - used) * rank * (mix == Mix::Heads ? shape.out : shape.in + shape.out);
}

std::int64_t LoraMixtureOptions::activations() const
{
    // Hidden numbers before and after the gates, and the gates themselves.
    return experts * (2 * rank + 2);
}

LoraMixtureSite::LoraMixtureSite(ParameterStore& store, const checkpoint::LinearShape& shape,
                                 const LoraMixtureOptions& options, std::unique_ptr<ModuleRouter> router)
    : ModuleSite(shape),
      m_options(options),
      m_pairs(store, shape, options.mix == Mix::Heads ? "lora" : "experts.lora", options.experts,
              options.rank, {options.a, options.bLearningRateFactor, options.mix == Mix::Heads}),
      m_router(std::move(router))
{
}

at::Tensor LoraMixtureSite::forward(const at::Tensor& x, const model::FrozenLinear& base,
                                    const model::Pass& pass)
{
    m_last = m_router->route(x, pass);
    const bool soft = !m_last.choice.defined() && !m_last.kept.defined();
    if (m_options.mix == Mix::Outputs && !soft && mostlyIdle())
        return sorted(x, base, pass);
    return dense(x, base, pass);
}

bool LoraMixtureSite::mostlyIdle() const
{
    // Sorting moves k rows of each token through memory, the idle ranks cost arithmetic. Measured forward and
    // backward on one core (linear 2048 x 2048, 512 tokens) the two are even at about 80 idle ranks for each
    // expert in use.
    if (m_options.experts * m_options.rank <= 64)
        return false;
    // Where their number varies, another device would make the host wait at every linear to be asked for it.
    if (m_last.kept.defined() && !m_last.kept.is_cpu())
        return false;
    const double used = m_last.choice.defined()
                            ? static_cast<double>(m_last.choice.size(1))
                            : m_last.load().sum().item<double>() / static_cast<double>(m_last.kept.size(0));
    return (static_cast<double>(m_options.experts) - used) * static_cast<double>(m_options.rank) > 80 * used;
}

at::Tensor LoraMixtureSite::dense(const at::Tensor& x, const model::FrozenLinear& base,
                                  const model::Pass& pass) const
{
    const at::Tensor gates = m_last.dense().unsqueeze(2); // [T, N, 1]
    at::Tensor h;                                         // [T, N, r] or [T, 1, r]
    if (m_options.dropoutPerExpert && pass.training && m_options.dropout > 0) {
        std::vector<at::Tensor> each;
        for (std::int64_t expert = 0; expert < m_options.experts; ++expert)
            each.push_back(m_pairs.down(x, expert, drawDropout(m_options.dropout, pass)));
        h = at::stack(each, 1);
    } else {
        h = m_pairs.down(x, drawDropout(m_options.dropout, pass));
    }
    if (m_options.mix == Mix::Parameters)
        h = (gates * h).sum(1, true);
    return m_pairs.up(x, base, gates * h, m_options.scale);
}

at::Tensor LoraMixtureSite::sorted(const at::Tensor& x, const model::FrozenLinear& base,
                                   const model::Pass& pass) const
{
    const auto groups = m_last.groups();
    const kernels::DropoutMask drop = drawDropout(m_options.dropout, pass);
    at::Tensor seen = x;
    if (!m_options.dropoutPerExpert && drop.p > 0) // one mask for a token, whichever experts it goes to
        seen = kernels::dropout(x.to(m_last.weights.scalar_type()), drop);
    const at::Tensor rows = kernels::gatherTokens(seen, groups);
    const at::Tensor nothing =
        at::zeros({rows.size(0), shape().out}, m_last.weights.options().requires_grad(false));
    const at::Tensor updates = m_pairs.add(nothing, rows, groups.offsets, m_options.scale,
                                           m_options.dropoutPerExpert ? drop : kernels::DropoutMask{}) *
                               m_last.rowWeights(groups);
    return (base.forward(x) + kernels::scatterTokens(updates, groups)).to(x.scalar_type());
}

Delta LoraMixtureSite::meanDelta(const at::Tensor& weights) const
{
    if (m_options.mix == Mix::Outputs)
        return ModuleSite::meanDelta(weights);
    return m_pairs.merged(weights, m_options.scale);
}

Result<LoraMixtureOptions> LoraMixtureFamily::options(const checkpoint::ModelConfig&,
                                                      const Settings& settings,
                                                      const checkpoint::LinearShape&) const
{
    LoraMixtureOptions options = LoraMixtureOptions::read(settings);
    options.experts = settings.integer("experts");
    return options;
}

Result<Plan> LoraMixtureFamily::plan(const checkpoint::ModelConfig& model, const Settings& settings) const
{
    RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
    Plan plan;
    plan.trainable = sharedCount(settings);
    for (const auto& shape : linears) {
        RANKSCOPE_TRY(const auto mixture, options(model, settings, shape));
        plan.trainable += mixture.count(shape) + routerCount(shape, mixture.experts, settings);
        plan.idle += mixture.idle(shape);
        plan.activationsPerToken += mixture.activations();
    }
    return plan;
}

Result<std::unique_ptr<Adapter>> LoraMixtureFamily::attach(model::Decoder& model, const Settings& settings,
                                                           const AttachOptions& attach) const
{
    RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
    // Nothing may fail once sites stand on the model.
    for (const auto& shape : linears)
        RANKSCOPE_CHECK(options(model.config(), settings, shape));
    const MakeRouter router = routers(settings);
    const auto site = [&](ParameterStore& store,
                          const model::FrozenLinear& base) -> std::unique_ptr<ModuleSite> {
        const LoraMixtureOptions mixture = options(model.config(), settings, base.shape).value();
        return std::make_unique<LoraMixtureSite>(store, base.shape, mixture,
                                                 router(store, base.shape, mixture));
    };
    return make(model, std::make_unique<ParameterStore>(attach.dtype, model.device(), attach.seed), linears,
                site, settings);
}

std::unique_ptr<Adapter> LoraMixtureFamily::make(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                                                 const std::vector<checkpoint::LinearShape>& linears,
                                                 const ModuleSites::Make& site, const Settings&) const
{
    return std::make_unique<ModuleAdapter>(model, std::move(store), linears, site);
}

} // namespace rankscope::adapter

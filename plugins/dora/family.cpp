// SPDX-License-Identifier: Apache-2.0
// DoRA: V = W + (alpha / r) B A, y = (m / ||V||_row) (V x) + bias, the norm a constant to the gradient.
#include "core/adapter/family.h"
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/magnitude.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/targets.h"

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

class DoraSite : public ModuleSite
{
public:
    DoraSite(ParameterStore& store, const model::FrozenLinear& base, const LowRankOptions& options)
        : ModuleSite(base.shape),
          m_options(options),
          m_a(store.add(tensorName(base.shape.path, "lora_A.weight"), {options.rank, base.shape.in},
                        Init::kaimingUniform())),
          m_b(store.add(tensorName(base.shape.path, "lora_B.weight"), {base.shape.out, options.rank},
                        Init::zeros(), options.bLearningRateFactor)),
          m_magnitude(store, base)
    {
    }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        const at::Tensor h = kernels::lowRankDown(x, m_a, drawDropout(m_options.dropout, pass));
        const at::Tensor v = kernels::lowRankUp(x, base.weight, {}, h, m_b, m_options.scale(), /*wide=*/true);
        return m_magnitude.apply(v, base, {m_a, m_b}, [this] { return update(); });
    }

    [[nodiscard]] Delta delta(std::int64_t) const override { return m_magnitude.delta(update()); }
    void afterStep() override { m_magnitude.forget(); }
    [[nodiscard]] const Magnitude& magnitude() const { return m_magnitude; }

private:
    [[nodiscard]] LowRankDelta update() const { return {m_b.detach(), m_a.detach(), {}, m_options.scale()}; }

    LowRankOptions m_options;
    at::Tensor m_a;
    at::Tensor m_b;
    Magnitude m_magnitude;
};

class DoraAdapter : public ModuleAdapter
{
public:
    using ModuleAdapter::ModuleAdapter;

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        return magnitudeDrift(sites(), [](const ModuleSite& site) -> const Magnitude& {
            return static_cast<const DoraSite&>(site).magnitude();
        });
    }
};

class DoraFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        const std::int64_t rank = settings.integer("rank");
        Plan plan{LowRankSite::count(linears, rank), 0, 0};
        for (const auto& shape : linears) {
            plan.trainable += shape.out;
            plan.activationsPerToken += rank + shape.out; // V x, for the gradient of m
        }
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        const LowRankOptions pair = LowRankOptions::read(settings);
        return std::make_unique<DoraAdapter>(
            model, std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed), linears,
            [pair](ParameterStore& store, const model::FrozenLinear& base) {
                return std::make_unique<DoraSite>(store, base, pair);
            });
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::DoraFamily)

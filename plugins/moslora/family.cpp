// SPDX-License-Identifier: Apache-2.0
// MoSLoRA: y = W x + (alpha / r) B M A drop(x), a trained r x r mixer between the two factors.
#include "core/adapter/family.h"
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/targets.h"

#include <ATen/ops/mm.h>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

class MixedSite : public ModuleSite
{
public:
    MixedSite(ParameterStore& store, const checkpoint::LinearShape& shape, const LowRankOptions& options)
        : ModuleSite(shape),
          m_options(options),
          m_a(store.add(tensorName(shape.path, "lora_A.weight"), {options.rank, shape.in},
                        Init::kaimingUniform())),
          m_mixer(store.add(tensorName(shape.path, "lora_mixer.weight"), {options.rank, options.rank},
                            Init::kaimingUniform())),
          m_b(store.add(tensorName(shape.path, "lora_B.weight"), {shape.out, options.rank}, Init::zeros(),
                        options.bLearningRateFactor))
    {
    }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        const at::Tensor h = kernels::lowRankDown(x, m_a, drawDropout(m_options.dropout, pass));
        return kernels::lowRankUp(x, base.weight, base.bias, at::mm(h, m_mixer.t()), m_b, m_options.scale());
    }

    [[nodiscard]] Delta delta(std::int64_t) const override
    {
        return LowRankDelta{m_b.detach(), m_a.detach(), m_mixer.detach(), m_options.scale()};
    }
    [[nodiscard]] const at::Tensor& mixer() const { return m_mixer; }

private:
    LowRankOptions m_options;
    at::Tensor m_a;
    at::Tensor m_mixer; ///< [r, r]
    at::Tensor m_b;
};

class MosLoraAdapter : public ModuleAdapter
{
public:
    using ModuleAdapter::ModuleAdapter;

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        return {
            siteSpectra(sites(),
                        {"moslora/mixer_singular_values", "Singular values of the mixer",
                         "Largest singular values of the mixer M [r, r] between A and B."},
                        [](const ModuleSite& site) { return static_cast<const MixedSite&>(site).mixer(); })};
    }
};

class MosLoraFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        const std::int64_t rank = settings.integer("rank");
        const auto count = static_cast<std::int64_t>(linears.size());
        return Plan{LowRankSite::count(linears, rank) + count * rank * rank, 0, 2 * rank * count};
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        const LowRankOptions pair = LowRankOptions::read(settings);
        return std::make_unique<MosLoraAdapter>(
            model, std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed), linears,
            siteMaker<MixedSite>(pair));
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::MosLoraFamily)

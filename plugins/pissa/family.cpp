// SPDX-License-Identifier: Apache-2.0
// PiSSA: LoRA that starts at the weight's principal part. With s B0 A0 that part, y = (W - s B0 A0) x + s B A
// drop(x). W stays as it is: the initial pair is subtracted with the trained one, [B, -B0] [A; A0], so
// nothing is stored twice and the update is told against the model's own weight.
#include "core/adapter/family.h"
#include "core/adapter/derived.h"
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/principal.h"
#include "core/adapter/targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <algorithm>
#include <c10/core/GradMode.h>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

class PrincipalSite : public ModuleSite
{
public:
    PrincipalSite(ParameterStore& store, const model::FrozenLinear& base, const LowRankOptions& options,
                  const LowRankDelta& initial)
        : ModuleSite(base.shape),
          m_options(options),
          m_weight(base.weight),
          m_a(store.add(tensorName(base.shape.path, "lora_A.weight"), initial.a.sizes().vec(),
                        Init::from(initial.a))),
          m_b(store.add(tensorName(base.shape.path, "lora_B.weight"), initial.b.sizes().vec(),
                        Init::from(initial.b), options.bLearningRateFactor)),
          m_initialA(store.addBuffer(tensorName(base.shape.path, "lora_A.initial"), initial.a.sizes().vec(),
                                     Init::from(initial.a))),
          m_initialB(store.addBuffer(tensorName(base.shape.path, "lora_B.initial"), initial.b.sizes().vec(),
                                     Init::from(initial.b)))
    {
    }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        // Dropout is for the trained pair only: the residual weight sees x itself.
        const kernels::DropoutMask drop = drawDropout(m_options.dropout, pass);
        const at::Tensor h =
            drop.p > 0 ? at::cat({kernels::lowRankDown(x, m_a, drop), kernels::lowRankDown(x, m_initialA)}, 1)
                       : kernels::lowRankDown(x, at::cat({m_a, m_initialA}));
        return kernels::lowRankUp(x, base.weight, base.bias, h, at::cat({m_b, -m_initialB}, 1),
                                  m_options.scale());
    }

    [[nodiscard]] Delta delta(std::int64_t) const override
    {
        return LowRankDelta{at::cat({m_b.detach(), -m_initialB}, 1),
                            at::cat({m_a.detach(), m_initialA}),
                            {},
                            m_options.scale()};
    }

    /// ||W - s B0 A0||_F / ||W||_F. Nothing trains it: once known it is kept.
    [[nodiscard]] double residual()
    {
        return m_residual.get({m_initialA, m_initialB}, [this] {
            const at::NoGradGuard guard;
            const at::Tensor w = m_weight.scalar_type() == at::kDouble ? m_weight : m_weight.to(at::kFloat);
            const at::Tensor initial =
                at::mm(m_initialB.to(w.scalar_type()), m_initialA.to(w.scalar_type())) * m_options.scale();
            return at::linalg_vector_norm(w - initial).item<double>() /
                   at::linalg_vector_norm(w).item<double>();
        });
    }

private:
    LowRankOptions m_options;
    at::Tensor m_weight; ///< of the base
    at::Tensor m_a;
    at::Tensor m_b;
    at::Tensor m_initialA;
    at::Tensor m_initialB;
    Derived<double> m_residual;
};

class PissaAdapter : public ModuleAdapter
{
public:
    using ModuleAdapter::ModuleAdapter;

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        return {siteValues(sites(),
                           {"pissa/residual", "What the initial pair leaves of the weight",
                            "||W - s B0 A0||_F / ||W||_F: how much of the weight stays frozen beside the "
                            "principal part that the pair started from."},
                           [](ModuleSite& site) { return static_cast<PrincipalSite&>(site).residual(); })};
    }
};

Result<std::vector<checkpoint::LinearShape>> readTargets(const checkpoint::ModelConfig& model,
                                                         const Settings& settings)
{
    RANKSCOPE_TRY(auto linears, resolveTargets(model, settings.texts("targets")));
    RANKSCOPE_CHECK(checkPrincipalRank(linears, settings.integer("rank")));
    return linears;
}

class PissaFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, readTargets(model, settings));
        const std::int64_t rank = settings.integer("rank");
        const std::int64_t pairs = LowRankSite::count(linears, rank);
        return Plan{pairs, pairs, 2 * rank * static_cast<std::int64_t>(linears.size())};
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, readTargets(model.config(), settings));
        const LowRankOptions pair = LowRankOptions::read(settings);
        const PrincipalOptions svd = PrincipalOptions::read(settings);
        return std::make_unique<PissaAdapter>(
            model, std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed), linears,
            [pair, svd, seed = options.seed](ParameterStore& store, const model::FrozenLinear& base) mutable {
                return std::make_unique<PrincipalSite>(
                    store, base, pair, principalPair(base.weight, pair.rank, pair.scale(), svd, seed++));
            });
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::PissaFamily)

// SPDX-License-Identifier: Apache-2.0
// SharedLoRA (REMoE): MixLoRA with two tiers. Expert j adds its own pair and the pair of its group q(j) =
// floor(j g / N).
#include "core/adapter/expert_stack.h"
#include "core/adapter/mixture_mlp.h"

#include <ATen/ops/cat.h>
#include <map>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

struct Tiers {
    ExpertStack specific; ///< N pairs
    ExpertStack group;    ///< g pairs of the same rank
};

class SharedLoraExperts : public BlockExperts
{
public:
    SharedLoraExperts(ParameterStore& store, const model::MlpBlock& block, std::int64_t experts,
                      std::int64_t groups, const LowRankOptions& options)
        : m_experts(experts),
          m_groups(groups),
          m_options(options)
    {
        for (const auto& site : block.inputs)
            add(store, site.base.shape);
        add(store, block.down.base.shape);
    }

    at::Tensor project(const model::FrozenLinear& linear, const at::Tensor& base, const at::Tensor& x,
                       const kernels::ExpertGroups& groups, const model::Pass& pass) override
    {
        const Tiers& tiers = m_tiers.at(linear.shape.module);
        // One mask for both tiers: the formula has one drop(x) for the sum.
        const kernels::DropoutMask drop = drawDropout(m_options.dropout, pass);
        const at::Tensor specific = tiers.specific.add(base, x, groups.offsets, m_options.scale(), drop);
        return tiers.group.add(specific, x, groups.merged(m_groups), m_options.scale(), drop);
    }

    [[nodiscard]] Delta delta(const std::string& module, std::int64_t expert) const override
    {
        const Tiers& tiers = m_tiers.at(module);
        const LowRankDelta own = tiers.specific.delta(expert, m_options.scale());
        const LowRankDelta shared = tiers.group.delta(expert * m_groups / m_experts, m_options.scale());
        // B1 A1 + B2 A2 = [B1 B2] [A1; A2]
        return LowRankDelta{
            at::cat({own.b, shared.b}, 1), at::cat({own.a, shared.a}, 0), {}, m_options.scale()};
    }

private:
    void add(ParameterStore& store, const checkpoint::LinearShape& shape)
    {
        ExpertStack::Options options;
        options.bLearningRateFactor = m_options.bLearningRateFactor;
        m_tiers.emplace(shape.module,
                        Tiers{ExpertStack(store, shape, "experts.lora", m_experts, m_options.rank, options),
                              ExpertStack(store, shape, "groups.lora", m_groups, m_options.rank, options)});
    }

    std::int64_t m_experts;
    std::int64_t m_groups;
    LowRankOptions m_options;
    std::map<std::string, Tiers> m_tiers;
};

Result<std::int64_t> readGroups(const Settings& settings, const MixtureRouting& routing)
{
    const std::int64_t groups = settings.integer("groups");
    if (groups > routing.experts)
        return fail("groups is " + std::to_string(groups) + ", but there are only " +
                    std::to_string(routing.experts) + " experts; choose at most that many");
    return groups;
}

class SharedLoraFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto shapes, MixtureShapes::read(model, settings));
        RANKSCOPE_TRY(const auto routing, MixtureRouting::read(settings));
        RANKSCOPE_TRY(const auto groups, readGroups(settings, routing));
        const std::int64_t rank = settings.integer("rank");
        Plan plan;
        for (const auto& shape : shapes.mlp) {
            plan.trainable += ExpertStack::count(shape, routing.experts + groups, rank);
            plan.idle += ExpertStack::count(shape, routing.idle(), rank);
        }
        plan.trainable += LowRankSite::count(shapes.attention, rank);
        plan.trainable += model.layers * routing.experts * model.hidden;
        plan.activationsPerToken = routing.activationsPerToken(model);
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto shapes, MixtureShapes::read(model.config(), settings));
        RANKSCOPE_TRY(const auto routing, MixtureRouting::read(settings));
        RANKSCOPE_TRY(const auto groups, readGroups(settings, routing));
        const LowRankOptions pairs = LowRankOptions::read(settings);
        return MixtureAdapter::attach(
            model, options, routing, shapes.attention, pairs,
            [&](ParameterStore& store,
                const model::MlpBlock& block) -> Result<std::unique_ptr<BlockExperts>> {
                return std::make_unique<SharedLoraExperts>(store, block, routing.experts, groups, pairs);
            });
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::SharedLoraFamily)

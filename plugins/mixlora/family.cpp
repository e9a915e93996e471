// SPDX-License-Identifier: Apache-2.0
// MixLoRA: the MLP block as a mixture of experts, each a LoRA pair on every projection; plain LoRA on
// attention.
#include "core/adapter/expert_stack.h"
#include "core/adapter/mixture_mlp.h"

#include <map>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

class MixLoraExperts : public BlockExperts
{
public:
    MixLoraExperts(ParameterStore& store, const model::MlpBlock& block, std::int64_t experts,
                   const LowRankOptions& options)
        : m_options(options)
    {
        for (const auto& site : block.inputs)
            add(store, site.base.shape, experts);
        add(store, block.down.base.shape, experts);
    }

    at::Tensor project(const model::FrozenLinear& linear, const at::Tensor& base, const at::Tensor& x,
                       const kernels::ExpertGroups& groups, const model::Pass& pass) override
    {
        return m_stacks.at(linear.shape.module)
            .add(base, x, groups.offsets, m_options.scale(), drawDropout(m_options.dropout, pass));
    }

    [[nodiscard]] Delta delta(const std::string& module, std::int64_t expert) const override
    {
        return m_stacks.at(module).delta(expert, m_options.scale());
    }

private:
    void add(ParameterStore& store, const checkpoint::LinearShape& shape, std::int64_t experts)
    {
        ExpertStack::Options options;
        options.bLearningRateFactor = m_options.bLearningRateFactor;
        m_stacks.emplace(shape.module,
                         ExpertStack(store, shape, "experts.lora", experts, m_options.rank, options));
    }

    LowRankOptions m_options;
    std::map<std::string, ExpertStack> m_stacks;
};

class MixLoraFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto shapes, MixtureShapes::read(model, settings));
        RANKSCOPE_TRY(const auto routing, MixtureRouting::read(settings));
        const std::int64_t rank = settings.integer("rank");
        Plan plan;
        for (const auto& shape : shapes.mlp) {
            plan.trainable += ExpertStack::count(shape, routing.experts, rank);
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
        const LowRankOptions pairs = LowRankOptions::read(settings);
        return MixtureAdapter::attach(
            model, options, routing, shapes.attention, pairs,
            [&](ParameterStore& store,
                const model::MlpBlock& block) -> Result<std::unique_ptr<BlockExperts>> {
                return std::make_unique<MixLoraExperts>(store, block, routing.experts, pairs);
            });
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::MixLoraFamily)

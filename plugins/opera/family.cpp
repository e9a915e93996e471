// SPDX-License-Identifier: Apache-2.0
// OperA (REMoE): experts are matrix-product operators around the frozen weight's own centre core.
// W_j = (W + E_j) / 2, E_j = (L_j L^T) W (R^T R_j).
#include "core/adapter/derived.h"
#include "core/adapter/mixture_mlp.h"
#include "core/adapter/mpo.h"
#include "core/adapter/targets.h"
#include "core/base/memory.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <map>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

/// The MPO of one projection: its initial side cores, and every expert's own copy of them.
struct Projection {
    MpoLegs legs;
    bool transposed = false;
    at::Tensor weight;
    std::vector<at::Tensor> initial; ///< side cores, the centre undefined
    std::vector<at::Tensor> cores;   ///< the same with a leading expert dimension, trained
    /// Every expert's matrix. Decoding asks for the same ones at every token, and merging one costs more than
    /// the few tokens that meet it.
    Derived<at::Tensor> merged;

    [[nodiscard]] at::Tensor merge() const
    {
        const std::size_t centre = legs.centre();
        return kernels::mpoExpertMatrices(weight, leftBlock(cores, centre), rightBlock(cores, centre),
                                          leftBlock(initial, centre), rightBlock(initial, centre),
                                          legs.grouping(transposed));
    }

    [[nodiscard]] std::vector<at::Tensor> trained() const
    {
        std::vector<at::Tensor> sides = cores;
        std::erase_if(sides, [](const at::Tensor& core) { return !core.defined(); });
        return sides;
    }
};

class OperaExperts : public BlockExperts
{
public:
    OperaExperts(ParameterStore& store, const model::MlpBlock& block, std::int64_t experts,
                 const std::map<std::string, MpoLegs>& legs, bool keepsMerged)
        : m_experts(experts),
          m_keepsMerged(keepsMerged)
    {
        for (const auto& site : block.inputs)
            add(store, site.base, legs.at(site.base.shape.module), false);
        add(store, block.down.base, legs.at(block.down.base.shape.module), true);
    }

    at::Tensor project(const model::FrozenLinear& linear, const at::Tensor& base, const at::Tensor& x,
                       const kernels::ExpertGroups& groups, const model::Pass&) override
    {
        Projection& p = m_projections.at(linear.shape.module);
        if (m_keepsMerged && !at::GradMode::is_enabled())
            return kernels::mpoMergedExperts(base, x, p.merged.get(p.trained(), [&p] { return p.merge(); }),
                                             groups.offsets);
        p.merged.forget(); // training wants the room
        const std::size_t centre = p.legs.centre();
        return kernels::mpoExperts(base, x, p.weight, leftBlock(p.cores, centre), rightBlock(p.cores, centre),
                                   leftBlock(p.initial, centre), rightBlock(p.initial, centre),
                                   p.legs.grouping(p.transposed), groups.offsets);
    }

    [[nodiscard]] Delta delta(const std::string& module, std::int64_t expert) const override
    {
        const Projection& p = m_projections.at(module);
        MpoDelta delta{p.legs, {}, p.initial, p.weight, p.transposed, 0.5};
        for (const auto& core : p.cores)
            delta.cores.push_back(core.defined() ? core.detach()[expert] : at::Tensor());
        return delta;
    }

    [[nodiscard]] double baseShare() const override { return 0.5; }

    void forget() override
    {
        for (auto& [module, projection] : m_projections)
            projection.merged.forget();
    }

private:
    void add(ParameterStore& store, const model::FrozenLinear& linear, const MpoLegs& legs, bool transposed)
    {
        Projection p{legs, transposed, linear.weight, {}, {}, {}};
        const auto cores = sideCores(linear.weight, legs, transposed);
        for (std::size_t k = 0; k < cores.size(); ++k) {
            if (!cores[k].defined()) {
                p.initial.emplace_back();
                p.cores.emplace_back();
                continue;
            }
            const std::string name = "mpo_core" + std::to_string(k + 1);
            // Saved: the decomposition's signs may differ from one machine to the next.
            p.initial.push_back(store.addBuffer(tensorName(linear.shape.path, name + ".initial"),
                                                cores[k].sizes().vec(), Init::from(cores[k])));
            const at::Tensor copies =
                at::stack(std::vector<at::Tensor>(static_cast<std::size_t>(m_experts), cores[k]));
            p.cores.push_back(store.add(tensorName(linear.shape.path, name + ".experts"),
                                        copies.sizes().vec(), Init::from(copies)));
        }
        m_projections.emplace(linear.shape.module, std::move(p));
    }

    std::int64_t m_experts;
    bool m_keepsMerged;
    std::map<std::string, Projection> m_projections;
};

/// The paper's own legs (Table 5), for the models it was run on.
struct PublishedLegs {
    std::int64_t feedForward;
    std::int64_t hidden;
    MpoLegs legs;
};

const std::vector<PublishedLegs>& publishedLegs()
{
    static const std::vector<PublishedLegs> table{
        {14336, 4096, {{4, 7, 32, 4, 4}, {2, 8, 32, 4, 2}}}, // Llama 3 8B and 3.1 8B
        {8192, 3072, {{2, 8, 32, 8, 2}, {2, 8, 12, 8, 2}}},  // Llama 3.2 3B
        {11008, 2048, {{2, 8, 43, 8, 2}, {2, 8, 16, 4, 2}}}, // Qwen2.5 3B
        {18944, 3584, {{4, 8, 37, 8, 2}, {2, 8, 28, 4, 2}}}, // Qwen2.5 7B
        {17920, 5120, {{4, 8, 35, 4, 4}, {2, 8, 40, 4, 2}}}, // Phi-4
    };
    return table;
}

Result<MpoLegs> automaticLegs(const checkpoint::ModelConfig& model, double equivalentRank)
{
    for (const auto& one : publishedLegs()) {
        if (one.feedForward == model.feedForward && one.hidden == model.hidden)
            return one.legs;
    }
    return chooseLegs(model.feedForward, model.hidden, equivalentRank);
}

/// Legs of every MLP projection. Row legs are for the feed-forward side, column legs for the hidden side; the
/// down projection is taken transposed.
Result<std::map<std::string, MpoLegs>> readLegs(const checkpoint::ModelConfig& model,
                                                const Settings& settings)
{
    const std::string rowText = settings.text("rowLegs");
    const std::string columnText = settings.text("columnLegs");
    MpoLegs legs;
    if (rowText == "auto" || columnText == "auto") {
        RANKSCOPE_TRY(legs, automaticLegs(model, settings.number("equivalentRank")));
    }
    if (rowText != "auto") {
        RANKSCOPE_TRY(legs.rows, parseLegs(rowText, model.feedForward, "rowLegs"));
    }
    if (columnText != "auto") {
        RANKSCOPE_TRY(legs.columns, parseLegs(columnText, model.hidden, "columnLegs"));
    }
    if (legs.rows.size() != legs.columns.size())
        return fail("rowLegs has " + std::to_string(legs.rows.size()) + " legs and columnLegs " +
                    std::to_string(legs.columns.size()) + "; give both the same number");
    std::map<std::string, MpoLegs> result{{"gate_proj", legs}, {"up_proj", legs}, {"down_proj", legs}};
    // One matrix with both projections has twice the rows: the centre leg takes the factor, the side cores
    // stay.
    MpoLegs fused = legs;
    fused.rows[fused.centre()] *= 2;
    result.emplace("gate_up_proj", fused);
    result.emplace("intermediate.dense", legs); // encoders without a gate, to plan for
    result.emplace("output.dense", legs);
    return result;
}

/// Of every expert's matrix of every projection.
std::int64_t mergedElements(const std::vector<checkpoint::LinearShape>& mlp, std::int64_t experts)
{
    std::int64_t elements = 0;
    for (const auto& shape : mlp)
        elements += shape.in * shape.out;
    return elements * experts;
}

/// May all of them be kept while the model answers?
bool fitsMerged(const std::vector<checkpoint::LinearShape>& mlp, std::int64_t experts, at::ScalarType type)
{
    return static_cast<std::uint64_t>(mergedElements(mlp, experts)) * c10::elementSize(type) <=
           base::availableMemory() / 4;
}

class OperaFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto shapes, MixtureShapes::read(model, settings));
        RANKSCOPE_TRY(const auto routing, MixtureRouting::read(settings));
        RANKSCOPE_TRY(const auto legs, readLegs(model, settings));
        Plan plan;
        for (const auto& shape : shapes.mlp) {
            const std::int64_t side = legs.at(shape.module).sideElements();
            plan.trainable += routing.experts * side;
            plan.idle += routing.idle() * side;
            plan.buffers += side;
        }
        plan.trainable += LowRankSite::count(shapes.attention, settings.integer("rank"));
        plan.trainable += model.layers * routing.experts * model.hidden;
        plan.activationsPerToken = routing.activationsPerToken(model);
        if (fitsMerged(shapes.mlp, routing.experts, at::kFloat))
            plan.answering = mergedElements(shapes.mlp, routing.experts);
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto shapes, MixtureShapes::read(model.config(), settings));
        RANKSCOPE_TRY(auto routing, MixtureRouting::read(settings));
        RANKSCOPE_TRY(const auto legs, readLegs(model.config(), settings));
        routing.fused = settings.boolean("fused");
        const LowRankOptions pairs = LowRankOptions::read(settings);
        const bool keepsMerged =
            model.device().is_cpu() && fitsMerged(shapes.mlp, routing.experts, options.dtype);
        return MixtureAdapter::attach(
            model, options, routing, shapes.attention, pairs,
            [&](ParameterStore& store,
                const model::MlpBlock& block) -> Result<std::unique_ptr<BlockExperts>> {
                return std::make_unique<OperaExperts>(store, block, routing.experts, legs, keepsMerged);
            });
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::OperaFamily)

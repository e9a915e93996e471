// SPDX-License-Identifier: Apache-2.0
// Mixture of Groups: n low-rank pairs for each module type, shared by all layers; every layer mixes them with
// gates of its own and fuses the two mixtures: dW = s Bbar E^T Abar, Abar = sum_g softmax(sA)_g A_g, Bbar
// likewise. Gates belong to layers, not to tokens, so the factors are mixed, never their outputs. DoRA's form
// turns W's direction with dW; PiSSA's takes the pairs from the weights' principal parts.
#include "core/adapter/family.h"
#include "core/adapter/inside_measures.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/module_adapter.h"
#include "core/adapter/principal.h"
#include "core/adapter/targets.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <map>
#include <optional>
#include <utility>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

enum class Form { Plain, Dora, Pissa };

struct MogOptions {
    Form form = Form::Plain;
    std::int64_t groups = 4;
    std::int64_t rank = 220;
    double scale = 1;
    double dropout = 0;
    double gateScale = 1;
    double bFactor = 1;
    std::int64_t layers = 0;

    [[nodiscard]] std::int64_t groupOf(std::int64_t layer) const { return layer * groups / layers; }
};

/// The pairs of one module type.
struct Groups {
    at::Tensor a;        ///< [n, r, in]
    at::Tensor b;        ///< [n, out, r]
    at::Tensor initialA; ///< as they started; PiSSA's form only
    at::Tensor initialB;
};

/// sum_g softmax(scores)_g stack_g
at::Tensor mixed(const at::Tensor& scores, const at::Tensor& stack)
{
    return at::mv(stack.flatten(1).t(), at::softmax(scores, 0)).view({stack.size(1), stack.size(2)});
}

class MogSite : public ModuleSite
{
public:
    MogSite(ParameterStore& store, const model::FrozenLinear& base, const MogOptions& options,
            const Groups& groups)
        : ModuleSite(base.shape),
          m_options(options),
          m_groups(groups)
    {
        const std::string& path = base.shape.path;
        // One-hot scores, not weights: the own group dominates at first, then softens.
        m_initialScores =
            at::zeros({options.groups}, at::TensorOptions(store.dtype()).device(store.device()));
        m_initialScores[options.groupOf(base.shape.layer)].fill_(options.gateScale);
        m_scoresA = store.add(tensorName(path, "mog_gate_A"), {options.groups}, Init::from(m_initialScores));
        m_scoresB = store.add(tensorName(path, "mog_gate_B"), {options.groups}, Init::from(m_initialScores));
        if (options.form != Form::Pissa)
            m_fusion = store.add(tensorName(path, "mog_fusion.weight"), {options.rank, options.rank},
                                 Init::kaimingUniform());
        if (options.form == Form::Dora)
            m_magnitude.emplace(store, base);
    }

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        at::Tensor h =
            kernels::lowRankDown(x, mixed(m_scoresA, m_groups.a), drawDropout(m_options.dropout, pass));
        at::Tensor b = mixed(m_scoresB, m_groups.b);
        switch (m_options.form) {
        case Form::Plain:
            return kernels::lowRankUp(x, base.weight, base.bias, at::mm(h, m_fusion), b, m_options.scale);
        case Form::Dora:
            return m_magnitude->apply(kernels::lowRankUp(x, base.weight, {}, at::mm(h, m_fusion), b,
                                                         m_options.scale, /*wide=*/true),
                                      base, {m_groups.a, m_groups.b, m_scoresA, m_scoresB, m_fusion},
                                      [this] { return update(); });
        case Form::Pissa:
            break;
        }
        // (W - s Bbar0 Abar0) x + s Bbar Abar drop(x)
        h = at::cat({h, kernels::lowRankDown(x, mixed(m_initialScores, m_groups.initialA))}, 1);
        b = at::cat({b, -mixed(m_initialScores, m_groups.initialB)}, 1);
        return kernels::lowRankUp(x, base.weight, base.bias, h, b, m_options.scale);
    }

    [[nodiscard]] Delta delta(std::int64_t) const override
    {
        const LowRankDelta now = update();
        if (m_magnitude)
            return m_magnitude->delta(now);
        if (m_options.form != Form::Pissa)
            return now;
        return LowRankDelta{at::cat({now.b, -mixed(m_initialScores, m_groups.initialB)}, 1),
                            at::cat({now.a, mixed(m_initialScores, m_groups.initialA)}),
                            {},
                            m_options.scale};
    }
    void afterStep() override
    {
        if (m_magnitude)
            m_magnitude->forget();
    }

    [[nodiscard]] at::Tensor gateA() const { return at::softmax(m_scoresA.detach(), 0); }
    [[nodiscard]] at::Tensor gateB() const { return at::softmax(m_scoresB.detach(), 0); }
    [[nodiscard]] const at::Tensor& fusion() const { return m_fusion; }
    [[nodiscard]] const Magnitude& magnitude() const { return *m_magnitude; }

private:
    [[nodiscard]] LowRankDelta update() const
    {
        return {mixed(m_scoresB.detach(), m_groups.b.detach()),
                mixed(m_scoresA.detach(), m_groups.a.detach()),
                m_fusion.defined() ? m_fusion.detach().t() : at::Tensor(), m_options.scale};
    }

    MogOptions m_options;
    Groups m_groups;
    at::Tensor m_initialScores;
    at::Tensor m_scoresA; ///< [n]
    at::Tensor m_scoresB; ///< [n]
    at::Tensor m_fusion;  ///< E [r, r]; PiSSA's form has none
    std::optional<Magnitude> m_magnitude;
};

const MogSite& mog(const ModuleSite& site)
{
    return static_cast<const MogSite&>(site);
}

class MogAdapter : public ModuleAdapter
{
public:
    MogAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
               const std::vector<checkpoint::LinearShape>& linears, const MogOptions& options,
               std::map<std::string, Groups> groups)
        : ModuleAdapter(model, std::move(store), linears,
                        [&](ParameterStore& tensors, const model::FrozenLinear& base) {
                            return std::make_unique<MogSite>(tensors, base, options,
                                                             groups.at(base.shape.module));
                        }),
          m_options(options),
          m_groups(std::move(groups))
    {
    }

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        const InsideAxis group = numberedAxis("group", m_options.groups);
        std::vector<InsideMeasure> measures{
            siteMeasure(sites(),
                        {"mog/gates_a",
                         "Gates of A",
                         "",
                         "softmax(sA): the share of each group's A in the layer's mixture.",
                         {group},
                         {}},
                        [](const ModuleSite& site) { return mog(site).gateA(); }),
            siteMeasure(sites(),
                        {"mog/gates_b",
                         "Gates of B",
                         "",
                         "softmax(sB): the share of each group's B in the layer's mixture.",
                         {group},
                         {}},
                        [](const ModuleSite& site) { return mog(site).gateB(); })};
        InsideAxis modules{"module", {}};
        std::vector<at::Tensor> factors;
        for (const auto& [module, groups] : m_groups) {
            modules.second.push_back(module);
            for (std::int64_t g = 0; g < m_options.groups; ++g) {
                factors.push_back(groups.a.detach()[g]);
                factors.push_back(groups.b.detach()[g]);
            }
        }
        measures.push_back(spectraOf({"mog/pair_singular_values", "Singular values of the shared tensors",
                                      "Largest singular values of each group's A and B."},
                                     {modules, group, {"tensor", {"A", "B"}}}, factors));
        if (m_options.form != Form::Pissa)
            measures.push_back(
                siteSpectra(sites(),
                            {"mog/fusion_singular_values", "Singular values of the fusion",
                             "Largest singular values of each layer's fusion matrix E [r, r]."},
                            [](const ModuleSite& site) { return mog(site).fusion(); }));
        if (m_options.form == Form::Dora) {
            for (auto& measure : magnitudeDrift(sites(), [](const ModuleSite& site) -> const Magnitude& {
                     return mog(site).magnitude();
                 }))
                measures.push_back(std::move(measure));
        }
        return measures;
    }

private:
    MogOptions m_options;
    std::map<std::string, Groups> m_groups;
};

Result<MogOptions> readOptions(const Settings& settings, const checkpoint::ModelConfig& model,
                               const std::vector<checkpoint::LinearShape>& linears)
{
    MogOptions options;
    const std::string form = settings.text("form");
    options.form = form == "dora" ? Form::Dora : form == "pissa" ? Form::Pissa : Form::Plain;
    options.groups = settings.integer("groups");
    options.rank = settings.integer("rank");
    options.scale = settings.number("alpha");
    options.dropout = settings.number("dropout");
    options.gateScale = settings.number("gateInitScale");
    options.bFactor = settings.number("bLearningRateFactor");
    options.layers = model.layers;
    if (options.groups > model.layers)
        return fail("groups is " + std::to_string(options.groups) + ", but the model has only " +
                    std::to_string(model.layers) + " layers; choose at most that");
    if (options.form == Form::Pissa)
        RANKSCOPE_CHECK(checkPrincipalRank(linears, options.rank));
    return options;
}

/// The mean of the group's weights.
at::Tensor averageWeight(model::Decoder& model, const std::string& module, const MogOptions& options,
                         std::int64_t group)
{
    at::Tensor sum;
    std::int64_t count = 0;
    for (std::int64_t layer = 0; layer < options.layers; ++layer) {
        if (options.groupOf(layer) != group)
            continue;
        const at::Tensor& weight = model.linear(layer, module)->base.weight;
        const at::Tensor wide = weight.scalar_type() == at::kDouble ? weight : weight.to(at::kFloat);
        sum = sum.defined() ? sum.add_(wide) : wide.clone();
        ++count;
    }
    return sum.div_(static_cast<double>(count));
}

Groups makeGroups(ParameterStore& store, model::Decoder& model, const checkpoint::LinearShape& shape,
                  const MogOptions& options, const Settings& settings, std::uint64_t seed)
{
    const std::string path = "shared." + shape.module;
    const std::vector<std::int64_t> sizeA{options.groups, options.rank, shape.in};
    const std::vector<std::int64_t> sizeB{options.groups, shape.out, options.rank};
    if (options.form != Form::Pissa)
        return {store.add(tensorName(path, "mog_A.weight"), sizeA, Init::kaimingUniform()),
                store.add(tensorName(path, "mog_B.weight"), sizeB, Init::zeros(), options.bFactor),
                {},
                {}};
    std::vector<at::Tensor> a;
    std::vector<at::Tensor> b;
    for (std::int64_t g = 0; g < options.groups; ++g) {
        const LowRankDelta pair = principalPair(averageWeight(model, shape.module, options, g), options.rank,
                                                options.scale, PrincipalOptions::read(settings), seed++);
        a.push_back(pair.a);
        b.push_back(pair.b);
    }
    const Init initA = Init::from(at::stack(a));
    const Init initB = Init::from(at::stack(b));
    return {store.add(tensorName(path, "mog_A.weight"), sizeA, initA),
            store.add(tensorName(path, "mog_B.weight"), sizeB, initB, options.bFactor),
            store.addBuffer(tensorName(path, "mog_A.initial"), sizeA, initA),
            store.addBuffer(tensorName(path, "mog_B.initial"), sizeB, initB)};
}

class MogFamily : public Family
{
public:
    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model, settings.texts("targets")));
        RANKSCOPE_TRY(const auto options, readOptions(settings, model, linears));
        Plan plan;
        std::map<std::string, bool> seen;
        for (const auto& shape : linears) {
            if (!std::exchange(seen[shape.module], true)) {
                const std::int64_t pairs = options.groups * options.rank * (shape.in + shape.out);
                plan.trainable += pairs;
                plan.buffers += options.form == Form::Pissa ? pairs : 0;
            }
            plan.trainable += 2 * options.groups;
            plan.composed += options.rank * (shape.in + shape.out);
            plan.trainable += options.form == Form::Pissa ? 0 : options.rank * options.rank;
            plan.trainable += options.form == Form::Dora ? shape.out : 0;
            plan.activationsPerToken += 2 * options.rank + (options.form == Form::Dora ? shape.out : 0);
        }
        return plan;
    }

    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override
    {
        RANKSCOPE_TRY(const auto linears, resolveTargets(model.config(), settings.texts("targets")));
        RANKSCOPE_TRY(const auto mog, readOptions(settings, model.config(), linears));
        auto store = std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed);
        std::map<std::string, Groups> groups;
        for (const auto& shape : linears) {
            if (!groups.contains(shape.module))
                groups[shape.module] =
                    makeGroups(*store, model, shape, mog, settings,
                               options.seed + groups.size() * static_cast<std::uint64_t>(mog.groups));
        }
        return std::make_unique<MogAdapter>(model, std::move(store), linears, mog, std::move(groups));
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::MogFamily)

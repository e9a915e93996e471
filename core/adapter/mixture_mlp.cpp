// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/mixture_mlp.h"

#include "core/adapter/targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <algorithm>
#include <cmath>

namespace rankscope::adapter
{

Result<MixtureRouting> MixtureRouting::read(const Settings& settings)
{
    MixtureRouting routing;
    const std::string kind = settings.text("router");
    routing.kind = kind == "top-p" ? Kind::TopP : kind == "switch" ? Kind::Switch : Kind::TopK;
    routing.experts = settings.integer("experts");
    routing.topP = settings.number("topP");
    switch (routing.kind) {
    case Kind::TopK:
        routing.topK = settings.integer("topK");
        RANKSCOPE_CHECK(checkTopK(routing.topK, routing.experts));
        break;
    case Kind::TopP:
        routing.topK =
            static_cast<std::int64_t>(std::ceil(routing.topP * static_cast<double>(routing.experts)));
        break;
    case Kind::Switch:
        routing.topK = 1;
        break;
    }
    routing.capacity = settings.integer("capacity");
    routing.routerStd = settings.number("routerStd");
    routing.jitter = settings.number("jitter");
    routing.balanceCoefficient = settings.number("balanceCoefficient");
    routing.zCoefficient = settings.number("zLossCoefficient");
    return routing;
}

Result<MixtureShapes> MixtureShapes::read(const checkpoint::ModelConfig& model, const Settings& settings)
{
    MixtureShapes shapes;
    RANKSCOPE_TRY(shapes.mlp, resolveTargets(model, {"mlp"}));
    if (const auto names = settings.texts("attentionTargets"); !names.empty()) {
        RANKSCOPE_TRY(shapes.attention, resolveTargets(model, names, "attentionTargets"));
        for (const auto& linear : shapes.attention) {
            if (isMlpModule(linear.module))
                return fail("attentionTargets names " + linear.module +
                            ", which belongs to the MLP block; name attention linears only");
        }
    }
    return shapes;
}

MixtureMlp::MixtureMlp(ParameterStore& store, const model::MlpBlock& block, const MixtureRouting& routing,
                       std::unique_ptr<BlockExperts> experts)
    : m_routing(routing),
      m_experts(std::move(experts)),
      m_router(store.add(tensorName(mlpPath(block.layer), "router.weight"),
                         {routing.experts, block.inputs.front().base.shape.in},
                         Init::normal(routing.routerStd)))
{
}

void MixtureMlp::forget()
{
    m_last = Routing{};
    m_logits = at::Tensor();
}

Routing MixtureMlp::route(const at::Tensor& logits, const model::Pass& pass) const
{
    if (m_routing.kind == MixtureRouting::Kind::TopP)
        return routeTopP(logits, m_routing.topP);
    if (m_routing.kind == MixtureRouting::Kind::TopK)
        return routeTopK(logits, m_routing.topK);
    Routing routing = routeTopK(logits, 1, /*renormalise=*/false);
    if (m_routing.capacity > 0) {
        // Switch (Fedus et al. 2022, section 2.2): what exceeds an expert's capacity in a row passes the
        // block by. Behind a cache a row counts on from its earlier passes.
        const at::Tensor chosen =
            at::zeros_like(routing.probabilities, at::kBool).scatter_(-1, routing.choice, true);
        at::Tensor kept = chosen.clone();
        at::Tensor taken = pass.cache ? pass.cache->adapterState[this] : at::Tensor();
        if (!taken.defined())
            taken = at::zeros({pass.rows(), m_routing.experts}, chosen.options().dtype(at::kLong));
        for (std::int64_t row = 0; row < pass.rows(); ++row) {
            const std::int64_t count = pass.starts[row + 1] - pass.starts[row];
            if (count == 0)
                continue;
            const at::Tensor order =
                chosen.narrow(0, pass.starts[row], count).to(at::kLong).cumsum(0) + taken[row];
            kept.narrow(0, pass.starts[row], count).logical_and_(order <= m_routing.capacity);
            taken[row].copy_(order[count - 1]);
        }
        if (pass.cache)
            pass.cache->adapterState[this] = taken;
        routing.weights = routing.probabilities * kept.to(routing.probabilities.scalar_type());
        routing.choice = at::Tensor();
        routing.kept = kept;
    }
    return routing;
}

at::Tensor MixtureMlp::chosenLoad() const
{
    if (m_routing.kind != MixtureRouting::Kind::Switch)
        return m_last.load();
    return Routing{m_last.probabilities, stableTopK(m_logits, 1), {}, {}}.load();
}

at::Tensor MixtureMlp::forward(const at::Tensor& x, const model::MlpBlock& block, const model::Pass& pass)
{
    const at::Tensor input = jitter(x, m_routing.jitter, pass.training);
    m_logits = at::linear(input.to(m_router.scalar_type()), m_router);
    m_last = route(m_logits, pass);
    const auto groups = m_last.groups();
    const at::Tensor weights = m_last.rowWeights(groups);
    auto combine = [&](const at::Tensor& rows) {
        return kernels::scatterTokens(rows.to(m_router.scalar_type()) * weights, groups).to(x.scalar_type());
    };
    if (!m_routing.fused) {
        // Each projection sums the experts' parts alone over the frozen one, which no router weighs.
        const at::Tensor unweighed = 1 - m_last.dense().sum(-1, true);
        auto summed = [&](const model::FrozenLinear& linear, const at::Tensor& seen) {
            const at::Tensor frozen = linear.forward(seen);
            const at::Tensor out = m_experts->project(linear, kernels::gatherTokens(frozen, groups),
                                                      kernels::gatherTokens(seen, groups), groups, pass);
            if (m_routing.kind != MixtureRouting::Kind::Switch)
                return combine(out); // the weights sum to 1
            return combine(out) + (unweighed * frozen * m_experts->baseShare()).to(x.scalar_type());
        };
        std::vector<at::Tensor> projected;
        for (const auto& site : block.inputs)
            projected.push_back(summed(site.base, input));
        return summed(block.down.base, model::MlpBlock::activate(projected));
    }
    const at::Tensor rows = kernels::gatherTokens(input, groups);
    std::vector<at::Tensor> projected;
    for (const auto& site : block.inputs) {
        // The frozen projection once for each token, then shared by all experts the token goes to.
        const at::Tensor base = kernels::gatherTokens(site.base.forward(input), groups);
        projected.push_back(m_experts->project(site.base, base, rows, groups, pass));
    }
    const at::Tensor activated = model::MlpBlock::activate(projected);
    const at::Tensor base = block.down.base.forward(activated);
    return combine(m_experts->project(block.down.base, base, activated, groups, pass));
}

MixtureAdapter::MixtureAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                               const MixtureRouting& routing)
    : Adapter(std::move(store)),
      m_model(model),
      m_routing(routing)
{
}

Result<std::unique_ptr<Adapter>> MixtureAdapter::attach(model::Decoder& model, const AttachOptions& options,
                                                        const MixtureRouting& routing,
                                                        const std::vector<checkpoint::LinearShape>& attention,
                                                        const LowRankOptions& attentionOptions,
                                                        const MakeExperts& make)
{
    auto store = std::make_unique<ParameterStore>(options.dtype, model.device(), options.seed);
    std::unique_ptr<MixtureAdapter> adapter(new MixtureAdapter(model, std::move(store), routing));
    adapter->m_attention = std::make_unique<ModuleSites>(model, adapter->parameters(), attention,
                                                         siteMaker<LowRankSite>(attentionOptions));
    for (auto& layer : model.layers()) {
        RANKSCOPE_TRY(auto experts, make(adapter->parameters(), layer.mlp));
        adapter->m_blocks.push_back(
            std::make_unique<MixtureMlp>(adapter->parameters(), layer.mlp, routing, std::move(experts)));
        layer.mlp.adapter = adapter->m_blocks.back().get();
    }
    return adapter;
}

MixtureAdapter::~MixtureAdapter()
{
    for (auto& layer : m_model.layers())
        layer.mlp.adapter = nullptr;
}

void MixtureAdapter::beginPass(const model::Pass& pass)
{
    for (const auto& block : m_blocks) {
        block->forget();
        if (pass.training)
            block->experts().forget();
    }
}

at::Tensor MixtureAdapter::auxiliaryLoss()
{
    // One loss over the tokens of all layers together (families.md section 0).
    std::vector<at::Tensor> probabilities;
    std::vector<at::Tensor> logits;
    at::Tensor load;
    for (const auto& block : m_blocks) {
        if (!block->logits().defined())
            continue;
        probabilities.push_back(block->routing().probabilities);
        logits.push_back(block->logits());
        const at::Tensor one = block->chosenLoad();
        load = load.defined() ? load + one : one;
    }
    if (probabilities.empty() || (m_routing.balanceCoefficient == 0 && m_routing.zCoefficient == 0))
        return {};
    at::Tensor loss = m_routing.balanceCoefficient * balanceLoss(at::cat(probabilities), load);
    if (m_routing.zCoefficient != 0)
        loss = loss + m_routing.zCoefficient * zLoss(at::cat(logits));
    return loss;
}

std::vector<DeltaSite> MixtureAdapter::deltaSites() const
{
    std::vector<DeltaSite> sites = m_attention->deltaSites();
    for (const auto& layer : m_model.layers()) {
        for (const auto& input : layer.mlp.inputs)
            sites.push_back({layer.index, input.base.shape.module, m_routing.experts, "mlp"});
        sites.push_back({layer.index, layer.mlp.down.base.shape.module, m_routing.experts, "mlp"});
    }
    return sites;
}

Delta MixtureAdapter::delta(std::int64_t layer, const std::string& module, std::int64_t expert) const
{
    if (const ModuleSite* site = m_attention->find(layer, module))
        return site->delta(0);
    return m_blocks.at(static_cast<std::size_t>(layer))->experts().delta(module, expert);
}

at::Tensor MixtureAdapter::expertForward(std::int64_t layer, const std::string& module, std::int64_t expert,
                                         const at::Tensor& x) const
{
    if (ModuleSite* site = m_attention->find(layer, module))
        return m_attention->expertForward(*site, 0, x);
    const model::FrozenLinear& linear = m_model.linear(layer, module)->base;
    const at::Tensor choice = at::full({x.size(0), 1}, expert, x.options().dtype(at::kLong));
    const auto groups = kernels::groupByExpert(choice, m_routing.experts);
    return m_blocks.at(static_cast<std::size_t>(layer))
        ->experts()
        .project(linear, linear.forward(x), x, groups, model::Pass{});
}

std::vector<RoutingTrace> MixtureAdapter::routing() const
{
    std::vector<RoutingTrace> traces;
    for (std::size_t layer = 0; layer < m_blocks.size(); ++layer) {
        const Routing& last = m_blocks[layer]->routing();
        if (!last.probabilities.defined())
            continue;
        traces.push_back({static_cast<std::int64_t>(layer), "mlp", last.detached()});
    }
    return traces;
}

} // namespace rankscope::adapter

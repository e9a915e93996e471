// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/module_adapter.h"

#include <ATen/TensorOperators.h>
#include <algorithm>

namespace rankscope::adapter
{

at::Tensor ModuleSite::expertForward(std::int64_t, const at::Tensor& x, const model::FrozenLinear& base)
{
    return forward(x, base, model::Pass{});
}

Delta ModuleSite::meanDelta(const at::Tensor& weights) const
{
    std::vector<Delta> deltas;
    for (std::int64_t expert = 0; expert < experts(); ++expert)
        deltas.push_back(delta(expert));
    return mixDeltas(deltas, weights);
}

ModuleSites::ModuleSites(model::Decoder& model, ParameterStore& store,
                         const std::vector<checkpoint::LinearShape>& linears, const Make& make)
    : m_model(model)
{
    for (const auto& shape : linears) {
        model::LinearSite* linear = model.linear(shape.layer, shape.module);
        m_sites.push_back(make(store, linear->base));
        linear->adapter = m_sites.back().get();
    }
}

ModuleSites::~ModuleSites()
{
    for (const auto& site : m_sites)
        m_model.linear(site->shape().layer, site->shape().module)->adapter = nullptr;
}

ModuleSite* ModuleSites::find(std::int64_t layer, const std::string& module) const
{
    for (const auto& site : m_sites) {
        if (site->shape().layer == layer && site->shape().module == module)
            return site.get();
    }
    return nullptr;
}

std::vector<DeltaSite> ModuleSites::deltaSites() const
{
    std::vector<DeltaSite> result;
    for (const auto& site : m_sites)
        result.push_back({site->shape().layer, site->shape().module, site->experts(), site->shape().module,
                          site->linear()});
    return result;
}

at::Tensor ModuleSites::expertForward(ModuleSite& site, std::int64_t expert, const at::Tensor& x) const
{
    return site.expertForward(expert, x, m_model.linear(site.shape().layer, site.shape().module)->base);
}

std::vector<RoutingTrace> ModuleSites::routing() const
{
    std::vector<RoutingTrace> traces;
    for (const auto& site : m_sites) {
        if (const Routing* last = site->routing(); last && last->probabilities.defined())
            traces.push_back({site->shape().layer, site->shape().module, last->detached()});
    }
    return traces;
}

ModuleAdapter::ModuleAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                             const std::vector<checkpoint::LinearShape>& linears,
                             const ModuleSites::Make& make)
    : Adapter(std::move(store)),
      m_sites(model, *m_parameters, linears, make)
{
}

void ModuleAdapter::beginPass(const model::Pass&)
{
    for (const auto& site : m_sites.all())
        site->beginPass();
}

void ModuleAdapter::afterPass()
{
    for (const auto& site : m_sites.all())
        site->afterPass();
}

void ModuleAdapter::afterStep()
{
    for (const auto& site : m_sites.all())
        site->afterStep();
}

Delta ModuleAdapter::delta(std::int64_t layer, const std::string& module, std::int64_t expert) const
{
    return m_sites.find(layer, module)->delta(expert);
}

at::Tensor ModuleAdapter::expertForward(std::int64_t layer, const std::string& module, std::int64_t expert,
                                        const at::Tensor& x) const
{
    return m_sites.expertForward(*m_sites.find(layer, module), expert, x);
}

Delta ModuleAdapter::meanDelta(const DeltaSite& site, const at::Tensor& weights) const
{
    return m_sites.find(site.layer, site.module)->meanDelta(weights);
}

} // namespace rankscope::adapter

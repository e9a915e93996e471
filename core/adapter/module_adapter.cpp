// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/module_adapter.h"

#include <ATen/TensorOperators.h>
#include <algorithm>
#include <limits>

namespace rankscope::adapter {

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
        result.push_back({site->shape().layer, site->shape().module, site->experts(), site->shape().module, site->linear()});
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

InsideMeasure ModuleSites::measure(InsideMeasure info, const std::function<at::Tensor(const ModuleSite&)>& values) const
{
    std::vector<std::string> modules;
    for (const auto& site : m_sites) {
        if (std::find(modules.begin(), modules.end(), site->shape().module) == modules.end())
            modules.push_back(site->shape().module);
    }
    std::size_t each = 1;
    for (const auto& axis : info.axes)
        each *= axis.second.size();
    const std::int64_t layers = m_model.config().layers;
    info.values.assign(static_cast<std::size_t>(layers) * modules.size() * each, std::numeric_limits<float>::quiet_NaN());
    for (const auto& site : m_sites) {
        const at::Tensor own = values(*site).to(at::kCPU, at::kFloat).contiguous();
        TORCH_CHECK(own.numel() == static_cast<std::int64_t>(each), info.name, ": one value for each label of its axes");
        const auto place = static_cast<std::size_t>(
            std::find(modules.begin(), modules.end(), site->shape().module) - modules.begin());
        std::copy_n(own.const_data_ptr<float>(), each,
                    info.values.begin() + static_cast<std::ptrdiff_t>(
                                              (static_cast<std::size_t>(site->shape().layer) * modules.size() + place) * each));
    }
    info.axes.insert(info.axes.begin(), {numberedAxis("layer", layers), {"module", modules}});
    return info;
}

std::pair<std::string, std::vector<std::string>> ModuleSites::numberedAxis(const std::string& name, std::int64_t count)
{
    std::pair<std::string, std::vector<std::string>> axis{name, {}};
    for (std::int64_t i = 0; i < count; ++i)
        axis.second.push_back(std::to_string(i));
    return axis;
}

ModuleAdapter::ModuleAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                             const std::vector<checkpoint::LinearShape>& linears, const ModuleSites::Make& make)
    : Adapter(std::move(store)), m_sites(model, *m_parameters, linears, make)
{
}

void ModuleAdapter::beginPass(const model::Pass&)
{
    for (const auto& site : m_sites.all())
        site->beginPass();
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

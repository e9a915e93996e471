// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/low_rank_site.h"

#include "core/adapter/targets.h"
#include "kernels/dropout/op.h"
#include "kernels/low_rank/op.h"


namespace rankscope::adapter {

at::Tensor dropout(const at::Tensor& x, double p, bool training)
{
    return training ? kernels::dropout(x, p) : x;
}

LowRankSite::LowRankSite(ParameterStore& store, const checkpoint::LinearShape& shape, const LowRankOptions& options)
    : m_shape(shape), m_options(options),
      m_a(store.add(tensorName(shape.path, "lora_A.weight"), {options.rank, shape.in}, Init::kaimingUniform())),
      m_b(store.add(tensorName(shape.path, "lora_B.weight"), {shape.out, options.rank}, Init::zeros(),
                    options.bLearningRateFactor))
{
}

at::Tensor LowRankSite::forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass)
{
    const bool drops = pass.training && m_options.dropout > 0;
    return kernels::lowRankLinear(x, drops ? adapter::dropout(x, m_options.dropout, true) : at::Tensor(), base.weight, base.bias,
                                  m_a, m_b, m_options.scale());
}

LowRankSites::LowRankSites(model::Decoder& model, ParameterStore& store,
                           const std::vector<checkpoint::LinearShape>& linears, const LowRankOptions& options)
    : m_model(&model)
{
    for (const auto& shape : linears) {
        m_sites.push_back(std::make_unique<LowRankSite>(store, shape, options));
        model.linear(shape.layer, shape.module)->adapter = m_sites.back().get();
    }
}

LowRankSites::~LowRankSites()
{
    for (const auto& site : m_sites)
        m_model->linear(site->shape().layer, site->shape().module)->adapter = nullptr;
}

std::int64_t LowRankSites::count(const std::vector<checkpoint::LinearShape>& linears, std::int64_t rank)
{
    std::int64_t total = 0;
    for (const auto& shape : linears)
        total += rank * (shape.in + shape.out);
    return total;
}

const LowRankSite* LowRankSites::find(std::int64_t layer, const std::string& module) const
{
    for (const auto& site : m_sites) {
        if (site->shape().layer == layer && site->shape().module == module)
            return site.get();
    }
    return nullptr;
}

std::vector<DeltaSite> LowRankSites::deltaSites() const
{
    std::vector<DeltaSite> sites;
    for (const auto& site : m_sites)
        sites.push_back({site->shape().layer, site->shape().module, 1});
    return sites;
}

at::Tensor LowRankSites::forward(const LowRankSite& site, const at::Tensor& x) const
{
    const auto* linear = m_model->linear(site.shape().layer, site.shape().module);
    return const_cast<LowRankSite&>(site).forward(x, linear->base, model::Pass{});
}

} // namespace rankscope::adapter

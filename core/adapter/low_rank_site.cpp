// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/low_rank_site.h"

#include "core/adapter/targets.h"
#include "kernels/dropout/op.h"
#include "kernels/low_rank/op.h"

namespace rankscope::adapter
{

at::Tensor dropout(const at::Tensor& x, double p, bool training)
{
    return training ? kernels::dropout(x, p) : x;
}

LowRankOptions LowRankOptions::read(const Settings& settings)
{
    return {settings.integer("rank"), settings.number("alpha"), settings.number("dropout"),
            settings.number("bLearningRateFactor")};
}

LowRankSite::LowRankSite(ParameterStore& store, const checkpoint::LinearShape& shape,
                         const LowRankOptions& options)
    : ModuleSite(shape),
      m_options(options),
      m_a(store.add(tensorName(shape.path, "lora_A.weight"), {options.rank, shape.in},
                    Init::kaimingUniform())),
      m_b(store.add(tensorName(shape.path, "lora_B.weight"), {shape.out, options.rank}, Init::zeros(),
                    options.bLearningRateFactor))
{
}

at::Tensor LowRankSite::forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass)
{
    const bool drops = pass.training && m_options.dropout > 0;
    return kernels::lowRankLinear(x, drops ? adapter::dropout(x, m_options.dropout, true) : at::Tensor(),
                                  base.weight, base.bias, m_a, m_b, m_options.scale());
}

Delta LowRankSite::delta(std::int64_t) const
{
    return LowRankDelta{m_b.detach(), m_a.detach(), {}, m_options.scale()};
}

std::int64_t LowRankSite::count(const std::vector<checkpoint::LinearShape>& linears, std::int64_t rank)
{
    std::int64_t total = 0;
    for (const auto& shape : linears)
        total += rank * (shape.in + shape.out);
    return total;
}

} // namespace rankscope::adapter

// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/low_rank_site.h"

#include "core/adapter/targets.h"
#include "kernels/low_rank/op.h"

namespace rankscope::adapter
{

kernels::DropoutMask drawDropout(double p, const model::Pass& pass)
{
    return kernels::drawDropout(pass.training ? p : 0);
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
    return kernels::lowRankLinear(x, base.weight, base.bias, m_a, m_b, m_options.scale(),
                                  drawDropout(m_options.dropout, pass));
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

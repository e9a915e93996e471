// SPDX-License-Identifier: Apache-2.0
// A plain LoRA pair on one linear: the LoRA family, and the attention of the MLP-block families.
#pragma once

#include "core/adapter/module_adapter.h"

#include <vector>

namespace rankscope::adapter
{

struct LowRankOptions {
    std::int64_t rank = 16;
    double alpha = 16;
    double dropout = 0;
    double bLearningRateFactor = 1; ///< LoRA+ (Hayou et al. 2024): B learns faster than A

    /// Reads rank, alpha, dropout, bLearningRateFactor.
    static LowRankOptions read(const Settings& settings);
    [[nodiscard]] double scale() const { return alpha / static_cast<double>(rank); }
};

/// y = W x + (alpha / r) B A drop(x) (Hu et al. 2021). A Kaiming-uniform, B zero.
class LowRankSite : public ModuleSite
{
public:
    LowRankSite(ParameterStore& store, const checkpoint::LinearShape& shape, const LowRankOptions& options);

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base,
                       const model::Pass& pass) override;

    [[nodiscard]] Delta delta(std::int64_t expert) const override;

    /// Elements of these pairs, from shapes alone: r (in + out) each.
    static std::int64_t count(const std::vector<checkpoint::LinearShape>& linears, std::int64_t rank);

private:
    LowRankOptions m_options;
    at::Tensor m_a; ///< [r, in]
    at::Tensor m_b; ///< [out, r]
};

/// The dropout of one pass: drawn in training, none otherwise.
kernels::DropoutMask drawDropout(double p, const model::Pass& pass);

} // namespace rankscope::adapter

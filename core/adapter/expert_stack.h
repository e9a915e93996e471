// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/adapter/delta.h"
#include "core/adapter/parameter_store.h"
#include "core/checkpoint/model_config.h"
#include "core/model/sites.h"
#include "kernels/low_rank/op.h"

#include <string>

namespace rankscope::adapter
{

/// LoRA pairs of N experts on one linear: A [N, r, in] Kaiming-uniform, B [N, out, r] zero.
class ExpertStack
{
public:
    struct Options {
        Init a = Init::kaimingUniform();
        double bLearningRateFactor = 1;
        bool oneA = false; ///< the experts share one A [r, in] (HydraLoRA)
    };

    /// Tensors are named <path>.<label>_A.weight and <path>.<label>_B.weight.
    ExpertStack(ParameterStore& store, const checkpoint::LinearShape& shape, const std::string& label,
                std::int64_t experts, std::int64_t rank);
    ExpertStack(ParameterStore& store, const checkpoint::LinearShape& shape, const std::string& label,
                std::int64_t experts, std::int64_t rank, const Options& options);

    static std::int64_t count(const checkpoint::LinearShape& shape, std::int64_t experts, std::int64_t rank)
    {
        return experts * rank * (shape.in + shape.out);
    }
    [[nodiscard]] std::int64_t experts() const { return m_b.size(0); }
    [[nodiscard]] std::int64_t rank() const { return m_b.size(2); }

    /// base [M, out] + scale * B_e A_e drop(x) for rows sorted by expert (offsets [N + 1]).
    [[nodiscard]] at::Tensor add(const at::Tensor& base, const at::Tensor& x,
                                 const std::vector<std::int64_t>& offsets, double scale,
                                 const kernels::DropoutMask& drop = {}) const
    {
        return kernels::groupedLowRank(base, x, m_a, m_b, offsets, scale, drop);
    }
    /// Every expert's A drop(x) for every token, as one product: [T, N, r]; [T, 1, r] where they share A.
    [[nodiscard]] at::Tensor down(const at::Tensor& x, const kernels::DropoutMask& drop) const;
    /// One expert's A drop(x): [T, r].
    [[nodiscard]] at::Tensor down(const at::Tensor& x, std::int64_t expert,
                                  const kernels::DropoutMask& drop) const;
    /// W x + bias + scale * sum_j B_j h_j for h [T, N, r], as one product over all ranks.
    [[nodiscard]] at::Tensor up(const at::Tensor& x, const model::FrozenLinear& base, const at::Tensor& h,
                                double scale) const;
    /// W x + bias + scale * B_e A_e x.
    [[nodiscard]] at::Tensor alone(const at::Tensor& x, const model::FrozenLinear& base, std::int64_t expert,
                                   double scale) const;

    [[nodiscard]] LowRankDelta delta(std::int64_t expert, double scale) const
    {
        return {m_b.detach()[expert], expertA(expert).detach(), {}, scale};
    }
    /// sum_j w_j B_j and sum_j w_j A_j as one pair (their own A where they share it); w [N].
    [[nodiscard]] LowRankDelta merged(const at::Tensor& weights, double scale) const;

private:
    [[nodiscard]] at::Tensor expertA(std::int64_t expert) const { return m_a.dim() == 2 ? m_a : m_a[expert]; }

    at::Tensor m_a;
    at::Tensor m_b;
};

} // namespace rankscope::adapter

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/adapter/delta.h"
#include "core/adapter/parameter_store.h"
#include "core/checkpoint/model_config.h"
#include "kernels/low_rank/op.h"

#include <string>

namespace rankscope::adapter {

/// LoRA pairs of N experts on one linear: A [N, r, in] Kaiming-uniform, B [N, out, r] zero.
class ExpertStack
{
public:
    /// Tensors are named <path>.<label>_A.weight and <path>.<label>_B.weight.
    ExpertStack(ParameterStore& store, const checkpoint::LinearShape& shape, const std::string& label,
                std::int64_t experts, std::int64_t rank);

    static std::int64_t count(const checkpoint::LinearShape& shape, std::int64_t experts, std::int64_t rank)
    {
        return experts * rank * (shape.in + shape.out);
    }

    /// base [M, out] + scale * B_e A_e x for rows sorted by expert (offsets [N + 1]).
    [[nodiscard]] at::Tensor add(const at::Tensor& base, const at::Tensor& x, const std::vector<std::int64_t>& offsets,
                                 double scale) const
    {
        return kernels::groupedLowRank(base, x, m_a, m_b, offsets, scale);
    }
    [[nodiscard]] LowRankDelta delta(std::int64_t expert, double scale) const
    {
        return {m_b.detach()[expert], m_a.detach()[expert], {}, scale};
    }

private:
    at::Tensor m_a;
    at::Tensor m_b;
};

} // namespace rankscope::adapter

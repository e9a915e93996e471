// SPDX-License-Identifier: Apache-2.0
#include "core/analysis/mpo_measures.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/matmul.h>

namespace rankscope::analysis
{

at::Tensor cutSpectrum(const adapter::MpoDelta& delta, std::int64_t cut)
{
    std::int64_t left = 1;
    for (std::int64_t k = 0; k < cut; ++k)
        left *= delta.legs.rows[k] * delta.legs.columns[k];
    const at::Tensor grouped =
        kernels::mpoRegroup(delta.expertMatrix().detach(), delta.legs.grouping(delta.transposed))
            .reshape({left, -1})
            .to(at::kCPU, at::kDouble);
    // One side of a cut is small: its Gram matrix gives the values at a fraction of a decomposition's cost.
    const at::Tensor gram = grouped.size(0) <= grouped.size(1) ? at::matmul(grouped, grouped.t())
                                                               : at::matmul(grouped.t(), grouped);
    return at::linalg_eigvalsh(gram).clamp_min(0).sqrt().flip(0);
}

double coreDrift(const adapter::MpoDelta& delta, std::size_t core)
{
    if (!delta.cores[core].defined())
        return 0;
    const at::Tensor initial = delta.initial[core].detach().to(at::kDouble);
    return ((delta.cores[core].detach().to(at::kDouble) - initial).norm() / initial.norm()).item<double>();
}

} // namespace rankscope::analysis

// SPDX-License-Identifier: Apache-2.0
#include "core/analysis/mpo_measures.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/matmul.h>

namespace rankscope::analysis
{

std::vector<at::Tensor> cutSpectra(const adapter::MpoDelta& delta)
{
    const at::Tensor matrix =
        kernels::mpoRegroup(delta.expertMatrix().detach(), delta.legs.grouping(delta.transposed))
            .to(at::kCPU, at::kDouble);
    std::vector<at::Tensor> spectra;
    std::int64_t left = 1;
    for (std::size_t core = 0; core + 1 < delta.legs.cores(); ++core) {
        left *= delta.legs.rows[core] * delta.legs.columns[core];
        const at::Tensor grouped = matrix.reshape({left, -1});
        // One side of a cut is small: its Gram matrix gives the values at a fraction of a decomposition's
        // cost.
        const at::Tensor gram = grouped.size(0) <= grouped.size(1) ? at::matmul(grouped, grouped.t())
                                                                   : at::matmul(grouped.t(), grouped);
        spectra.push_back(at::linalg_eigvalsh(gram).clamp_min(0).sqrt().flip(0).contiguous());
    }
    return spectra;
}

double coreDrift(const adapter::MpoDelta& delta, std::size_t core)
{
    if (!delta.cores[core].defined())
        return 0;
    const at::Tensor initial = delta.initial[core].detach().to(at::kDouble);
    return ((delta.cores[core].detach().to(at::kDouble) - initial).norm() / initial.norm()).item<double>();
}

} // namespace rankscope::analysis

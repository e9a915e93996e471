// SPDX-License-Identifier: Apache-2.0
// Expert matrices in matrix-product-operator form around a frozen centre (REMoE, "OperA").
//
// With L [pL, d] and R [e, pR] the initial orthonormal side blocks of the frozen weight W, its centre core is
// L^T W R^T. The expert with side blocks Lj, Rj is therefore
//     E_j = (Lj L^T) W (R^T Rj)        (W regrouped as [left legs, centre legs, right legs]),
// and the centre itself is never stored.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <vector>

namespace rankscope::kernels
{

/// How a matrix [rows, columns] is regrouped: rows = left * centre * right legs, columns likewise.
struct MpoGrouping {
    std::int64_t leftCores = 0; ///< cores left of the centre
    std::vector<std::int64_t> rowLegs;
    std::vector<std::int64_t> columnLegs;
    bool transposed = false; ///< the weight lies as [columns, rows] (down projections)
};

/// [out, in] as it lies in the model -> [pL, pC, pR], p = products of row leg times column leg, legs
/// interleaved (r1, c1, r2, c2, ...).
at::Tensor mpoRegroup(const at::Tensor& weight, const MpoGrouping& grouping);

/// Every E_j as it lies in the model, [N, out, in]. left [N, pL, d], left0 [pL, d]; right [N, e, pR], right0
/// [e, pR].
at::Tensor mpoExpertMatrices(const at::Tensor& weight, const at::Tensor& left, const at::Tensor& right,
                             const at::Tensor& left0, const at::Tensor& right0, const MpoGrouping& grouping);

/// y[m] = 1/2 base[m] + 1/2 E_e x[m] for the expert e of row m. base [M, out] = W x; x [M, in]; left [N, pL,
/// d]; right [N, e, pR]; offsets [N + 1] over rows sorted by expert. Expert matrices are dense: they are
/// formed one at a time, only for experts with rows, and again in the backward pass.
at::Tensor mpoExperts(const at::Tensor& base, const at::Tensor& x, const at::Tensor& weight,
                      const at::Tensor& left, const at::Tensor& right, const at::Tensor& left0,
                      const at::Tensor& right0, const MpoGrouping& grouping,
                      const std::vector<std::int64_t>& offsets);

/// The same without gradients, by the matrices of mpoExpertMatrices: for callers that keep them.
at::Tensor mpoMergedExperts(const at::Tensor& base, const at::Tensor& x, const at::Tensor& matrices,
                            const std::vector<std::int64_t>& offsets);

} // namespace rankscope::kernels

// SPDX-License-Identifier: Apache-2.0
// Matrix-product-operator form of a matrix: legs, bond dimensions and exact TT-SVD in mixed-canonical gauge
// (Oseledets 2011; Schollwoeck 2011, section 4.4).
#pragma once

#include "core/base/result.h"
#include "kernels/mpo_experts/op.h"

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>
#include <vector>

namespace rankscope::adapter
{

struct MpoLegs {
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> columns;

    [[nodiscard]] std::size_t cores() const { return rows.size(); }
    [[nodiscard]] std::size_t centre() const { return rows.size() / 2; }
    /// d_0 .. d_n with d_0 = d_n = 1, d_k = min(product of the legs left of the cut, right of it): no
    /// truncation.
    [[nodiscard]] std::vector<std::int64_t> bonds() const;
    /// Elements of every core but the centre: what one expert trains.
    [[nodiscard]] std::int64_t sideElements() const;
    [[nodiscard]] std::int64_t coreElements(std::size_t core) const;
    [[nodiscard]] kernels::MpoGrouping grouping(bool transposed) const;
};

/// "2:6:32:2:2" -> {2, 6, 32, 2, 2}. Errors: not numbers, fewer than 3 or an even number of legs, a leg below
/// 1, a product other than `size`.
Result<std::vector<std::int64_t>> parseLegs(const std::string& text, std::int64_t size,
                                            const std::string& what);

/// Five legs each for a matrix [rows, columns] whose side cores hold about as many elements as a LoRA pair of
/// rank `equivalentRank`: the frozen centre keeps the large legs.
Result<MpoLegs> chooseLegs(std::int64_t rows, std::int64_t columns, double equivalentRank);

/// Cores [d_{k-1}, r_k, c_k, d_k] left and right of the centre, orthonormal: every left core as [d r c, d']
/// has orthonormal columns, every right core as [d, r c d'] orthonormal rows. The centre is left undefined
/// (it is L^T W R^T). Computed in float64.
std::vector<at::Tensor> sideCores(const at::Tensor& weight, const MpoLegs& legs, bool transposed);

/// The cores left (or right) of the centre as one block [pL, d] (or [e, pR]). Cores may have a leading expert
/// dimension: then so has the block.
at::Tensor leftBlock(const std::vector<at::Tensor>& cores, std::size_t centre);
at::Tensor rightBlock(const std::vector<at::Tensor>& cores, std::size_t centre);

} // namespace rankscope::adapter

// SPDX-License-Identifier: Apache-2.0
// What an adapter changes in a weight, in its cheapest exact form.
#pragma once

#include "core/adapter/mpo.h"

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace rankscope::adapter
{

/// scale * B C A: B [out, r], A [r, in]; C [r, r], or [r] for a diagonal, or undefined for the identity.
struct LowRankDelta {
    at::Tensor b;
    at::Tensor a;
    at::Tensor core;
    double scale = 1;

    /// C A, [r, in].
    [[nodiscard]] at::Tensor down() const;
};

/// scale * (E - W) with E = (L_j L^T) W (R^T R_j), the matrix-product operator of these cores around W's own
/// centre.
struct MpoDelta {
    MpoLegs legs;
    std::vector<at::Tensor> cores;   ///< [d_{k-1}, r_k, c_k, d_k]; the centre is undefined: it never changes
    std::vector<at::Tensor> initial; ///< the same before training
    at::Tensor weight;               ///< W as it lies in the model
    bool transposed = false;         ///< W lies as [columns, rows]
    double scale = 0.5;

    /// E as it lies in the model.
    [[nodiscard]] at::Tensor expertMatrix() const;
};

/// diag(m / ||V||_row) V - W with V = W + update (DoRA): each row of V brought to a length of its own.
struct MagnitudeDelta {
    LowRankDelta update;
    at::Tensor magnitude; ///< m [out]
    at::Tensor weight;    ///< W [out, in] as it lies in the model
};

struct DenseDelta {
    at::Tensor matrix; ///< [out, in]
};

using Delta = std::variant<LowRankDelta, MpoDelta, MagnitudeDelta, DenseDelta>;

/// ||W + s B C A|| of each row, [out] in the update's type (W's rows alone where the update has rank 0).
/// Goes through the rows in blocks: exact, and never holds a second W.
at::Tensor rowNorms(const at::Tensor& weight, const LowRankDelta& update);

/// m / norm of each row, [out]; a row of zeros keeps its zeros.
at::Tensor rowScale(const at::Tensor& magnitude, const at::Tensor& norm);

/// The update as a matrix [out, in]. For small shapes and tests; live measures use the factors.
at::Tensor denseDelta(const Delta& delta);

/// sum_j weights[j] * deltas[j], low-rank where all of them are (as one pair with their ranks side by side),
/// else dense. weights [N]. Errors: none; there is at least one.
Delta mixDeltas(const std::vector<Delta>& deltas, const at::Tensor& weights);

/// A weight that the adapter changes, and in how many ways (one for each expert; 1 where there are none).
struct DeltaSite {
    std::int64_t layer = 0;
    std::string module;
    std::int64_t experts = 1;
    std::string router; ///< of the RoutingTrace that mixes these experts; without meaning for one expert
    /// False: what the adapter adds is a curved function of x, and its delta is that function's derivative at
    /// x = 0. Such an update cannot be merged into the weight.
    bool linear = true;
};

} // namespace rankscope::adapter

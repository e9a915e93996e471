// SPDX-License-Identifier: Apache-2.0
// The principal part of a weight as a low-rank pair (PiSSA, Meng et al. 2024).
#pragma once

#include "core/adapter/delta.h"
#include "core/adapter/settings.h"
#include "core/base/result.h"
#include "core/checkpoint/model_config.h"

#include <cstdint>
#include <vector>

namespace rankscope::adapter
{

/// How the leading singular triplets are found.
struct PrincipalOptions {
    bool exact = false;                ///< the whole SVD
    std::int64_t powerIterations = 16; ///< of the randomised one (Halko et al. 2011, algorithm 4.4)

    /// Reads svd and powerIterations.
    static PrincipalOptions read(const Settings& settings);
};

/// Errors: a rank that a linear does not have.
Status checkPrincipalRank(const std::vector<checkpoint::LinearShape>& linears, std::int64_t rank);

/// A = sqrt(S_r / s) V_r^T, B = U_r sqrt(S_r / s): s B A is the best approximation of W of that rank.
/// Computed in float32 (float64 for a float64 weight); rank is at most min(in, out). `seed` draws the
/// randomised SVD's probes.
LowRankDelta principalPair(const at::Tensor& weight, std::int64_t rank, double scale,
                           const PrincipalOptions& options, std::uint64_t seed);

} // namespace rankscope::adapter

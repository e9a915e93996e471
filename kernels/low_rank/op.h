// SPDX-License-Identifier: Apache-2.0
// Low-rank updates (Hu et al. 2021, eq. 3), added to what the frozen weight gives, without a temporary of the
// output's size. Adapter tensors are float32 (float64 in gradient checks) whatever the base computes in: x is
// cast up, then dropped, and the sum is cast back down. What is kept for the backward pass is x as it is: a
// cast copy would cost twice its memory, and the mask of a dropout is made again.
#pragma once

#include "kernels/dropout/op.h"

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <optional>
#include <vector>

namespace rankscope::kernels
{

/// y = W x + bias + scale * B A drop(x).  x [T, in]; W [out, in] frozen; A [r, in]; B [out, r].
at::Tensor lowRankLinear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         const at::Tensor& a, const at::Tensor& b, double scale,
                         const DropoutMask& drop = {});

/// h = A drop(x) in the adapter's type: x [T, in] of any type, A [r, in] -> [T, r]. Also a router's logits.
at::Tensor lowRankDown(const at::Tensor& x, const at::Tensor& a, const DropoutMask& drop = {});

/// y = W x + bias + scale * B h: x [T, in], h [T, r] in the adapter's type, B [out, r]. For the families that
/// do something of their own between A and B: gates, masks, cores. y is of x's type, or, `wide`, stays in the
/// adapter's for a family that goes on with the sum.
at::Tensor lowRankUp(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                     const at::Tensor& h, const at::Tensor& b, double scale, bool wide = false);

/// Rows sorted by expert: rows offsets[e] .. offsets[e + 1] belong to expert e.
struct ExpertGroups {
    at::Tensor token;   ///< [M] int64: the token each row stands for
    at::Tensor inverse; ///< [T, k] int64: the rows of each token; undefined if their number varies
    at::Tensor source;  ///< [M] int64: the flat index in choice [T, k] or kept [T, N] each row came from
    std::vector<std::int64_t> offsets; ///< [N + 1]
    std::int64_t tokens = 0;           ///< T

    [[nodiscard]] std::int64_t experts() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
    /// The same rows for neighbouring experts taken together: expert e belongs to group e * groups /
    /// experts().
    [[nodiscard]] std::vector<std::int64_t> merged(std::int64_t groups) const;
};

/// How often each number below `count` occurs in `values`, int64 of any shape: [count] int64. Unlike
/// LibTorch's bincount() it does not make the host wait for a GPU to learn the largest.
at::Tensor countEach(const at::Tensor& values, std::int64_t count);

/// choice [T, k] int64, the experts of each token -> rows sorted by expert, stable in the token.
ExpertGroups groupByExpert(const at::Tensor& choice, std::int64_t experts);
/// kept [T, N] bool: any number of experts for each token.
ExpertGroups groupByMask(const at::Tensor& kept);

/// Rows of tokens: x [T, d] -> [M, d], row m = x[token[m]].
at::Tensor gatherTokens(const at::Tensor& x, const ExpertGroups& groups);
/// Adds rows back to their tokens: y [M, d] -> [T, d].
at::Tensor scatterTokens(const at::Tensor& y, const ExpertGroups& groups);

/// y[m] = base[m] + scale * B_e A_e drop(x)[m] for the expert e of row m.  base [M, out], x [M, in],
/// A [N, r, in], B [N, out, r]; offsets as in ExpertGroups. An expert without rows receives a zero gradient.
at::Tensor groupedLowRank(const at::Tensor& base, const at::Tensor& x, const at::Tensor& a,
                          const at::Tensor& b, const std::vector<std::int64_t>& offsets, double scale,
                          const DropoutMask& drop = {});

} // namespace rankscope::kernels

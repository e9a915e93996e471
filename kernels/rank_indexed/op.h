// SPDX-License-Identifier: Apache-2.0
// Low-rank updates of which every token uses its own k of r ranks (SMoRA: Zhao et al. 2025; FlyLoRA). Where k
// is small beside r, k rows of A and k columns of B are read for a token and nothing is computed for the
// others; where it is not, both products are taken whole and masked. Types, dropout and the base weight as in
// kernels/low_rank/op.h.
#pragma once

#include "kernels/dropout/op.h"

#include <ATen/core/Tensor.h>

namespace rankscope::kernels
{

/// h[t, j] = A[choice[t, j]] . drop(x)[t].  x [T, in] of any type, A [r, in], choice [T, k] int64, the ranks
/// of a token all different -> [T, k] in the adapter's type.
at::Tensor rankIndexedDown(const at::Tensor& x, const at::Tensor& a, const at::Tensor& choice,
                           const DropoutMask& drop = {});

/// y[t] = W x[t] + bias + scale * sum_j h[t, j] B[:, choice[t, j]].  x [T, in], h and choice [T, k], B [out,
/// r]
/// -> [T, out] of x's type.
at::Tensor rankIndexedUp(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         const at::Tensor& h, const at::Tensor& b, const at::Tensor& choice, double scale);

} // namespace rankscope::kernels

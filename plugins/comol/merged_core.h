// SPDX-License-Identifier: Apache-2.0
// CoMoL's merged path: a core matrix for each token.
#pragma once

#include <ATen/core/Tensor.h>

namespace rankscope::plugins
{

/// u_t = drop(sum_j G_tj M_j) x_t: weights [T, N], cores [N, r, r], x [T, r] -> [T, r]. The merged cores of a
/// few hundred tokens at a time are all that is ever held: the backward pass merges them again and draws the
/// same mask.
at::Tensor mergedCore(const at::Tensor& weights, const at::Tensor& cores, const at::Tensor& x,
                      double dropout);

} // namespace rankscope::plugins

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>

namespace rankscope::kernels
{

/// Inverted dropout (Srivastava et al. 2014): each element is zero with probability p, else scaled by 1 / (1
/// - p). The mask is a function of one number drawn from the default generator and the element's place, so
/// nothing but that number is kept for the backward pass, and drawing it runs on all cores.
at::Tensor dropout(const at::Tensor& x, double p);

/// The number that makes a mask, from the default generator.
std::int64_t drawDropoutSeed();
/// x under the mask of `seed`, without autograd: for ops that keep the seed and make the mask again.
at::Tensor dropoutWith(const at::Tensor& x, double p, std::int64_t seed);

} // namespace rankscope::kernels

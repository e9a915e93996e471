// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>

namespace rankscope::kernels
{

/// One draw of inverted dropout (Srivastava et al. 2014): each element is zero with probability p, else
/// scaled by 1 / (1 - p). The mask is a function of the seed and of the element's place alone, so nothing but
/// these two numbers is kept for the backward pass, and making the mask runs on all cores.
struct DropoutMask {
    double p = 0; ///< 0: everything is kept
    std::int64_t seed = 0;
};

/// Draws a mask from the default generator of the CPU; p = 0 draws nothing. p in [0, 1).
DropoutMask drawDropout(double p);

/// x under the mask.
at::Tensor dropout(const at::Tensor& x, const DropoutMask& mask);
/// The same without autograd: for ops that keep the mask and make it again.
at::Tensor applyDropout(const at::Tensor& x, const DropoutMask& mask);

} // namespace rankscope::kernels

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace rankscope::kernels {

/// Inverted dropout (Srivastava et al. 2014): each element is zero with probability p, else scaled by 1 / (1 - p). The mask
/// is a function of one number drawn from the default generator and the element's place, so nothing but that number is
/// kept for the backward pass, and drawing it runs on all cores.
at::Tensor dropout(const at::Tensor& x, double p);

} // namespace rankscope::kernels

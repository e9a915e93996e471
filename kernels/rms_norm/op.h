// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace rankscope::kernels
{

/// x / sqrt(mean(x^2) + epsilon) * weight over the last dimension (Zhang & Sennrich 2019), computed in
/// float32 (float64 for float64). x [..., d], weight [d] frozen: only x receives a gradient. Keeps x and one
/// number a row.
at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

} // namespace rankscope::kernels

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace rankscope::kernels
{

/// Rotary position embedding in the half-split layout of Llama (Su et al. 2021, eq. 34, pairs (i, i + d/2)).
/// x [T, heads, d]; cosine, sine [T, d/2] in float32 (float64 for float64). Keeps only cosine and sine.
at::Tensor rotary(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine);

} // namespace rankscope::kernels

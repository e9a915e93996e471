// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace rankscope::kernels
{

/// silu(gate) * up (Shazeer 2020, "GLU variants improve Transformer"), elementwise over equal shapes. Only
/// the two inputs are kept for the backward pass.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

} // namespace rankscope::kernels

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <utility>

namespace rankscope::kernels
{

/// Negative log-likelihood of `labels` under softmax(hidden * embedding^T), at supervised positions only.
/// hidden [S, d] in the base's type; embedding [V, d] frozen; labels [S] int64 -> {sum [] , each [S]} in
/// float32 (float64 for float64). `each` carries no gradient. The S x V logits never exist at once: they are
/// made in pieces, and the gradient with respect to hidden is formed from each piece before it is dropped.
std::pair<at::Tensor, at::Tensor> lossHead(const at::Tensor& hidden, const at::Tensor& embedding,
                                           const at::Tensor& labels);

} // namespace rankscope::kernels

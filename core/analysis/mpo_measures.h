// SPDX-License-Identifier: Apache-2.0
// What a matrix-product operator looks like inside: spectra at its cuts, drift of its cores.
#pragma once

#include "core/adapter/delta.h"

#include <ATen/core/Tensor.h>
#include <cstddef>
#include <vector>

namespace rankscope::analysis
{

/// Singular values of the expert matrix at each cut, from that behind the first core to that before the last,
/// largest first: those of the matrix regrouped as [legs left of the cut, legs right of it].
std::vector<at::Tensor> cutSpectra(const adapter::MpoDelta& delta);

/// ||core - initial||_F / ||initial||_F of core k (from 0); 0 for the frozen centre.
double coreDrift(const adapter::MpoDelta& delta, std::size_t core);

} // namespace rankscope::analysis

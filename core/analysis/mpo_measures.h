// SPDX-License-Identifier: Apache-2.0
// What a matrix-product operator looks like inside: spectra at its cuts, drift of its cores.
#pragma once

#include "core/adapter/delta.h"

#include <ATen/core/Tensor.h>
#include <cstdint>

namespace rankscope::analysis
{

/// Singular values of the expert matrix at cut k (between core k and k + 1, k from 1), largest first: the
/// matrix regrouped as [legs left of the cut, legs right of it].
at::Tensor cutSpectrum(const adapter::MpoDelta& delta, std::int64_t cut);

/// ||core - initial||_F / ||initial||_F of core k (from 0); 0 for the frozen centre.
double coreDrift(const adapter::MpoDelta& delta, std::size_t core);

} // namespace rankscope::analysis

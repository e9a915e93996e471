// SPDX-License-Identifier: Apache-2.0
// What a measure from outside may be called and how large it may be.
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <string>

namespace rankscope::record
{

inline constexpr std::size_t maxMeasureAxes = 16;
/// Values of one measure at one step: what fits into one event of the journal.
inline constexpr std::size_t maxMeasureSize = std::size_t{1} << 24;

/// "group/name", each of letters, digits, '_', '-' and '.': also a path in an HDF5 file.
Status checkMeasureName(const std::string& name);

} // namespace rankscope::record

// SPDX-License-Identifier: Apache-2.0
// A run as one file.
#pragma once

#include "app/engine/exit_code.h"

#include <filesystem>

namespace rankscope::engine
{

/// Writes the run (a run directory, a journal or a snapshot) as an HDF5 snapshot. The run is read in a
/// process of its own: the HDF5 library may crash on a damaged file, or never come back from it.
ExitCode snapshotCommand(const std::filesystem::path& run, const std::filesystem::path& output);

} // namespace rankscope::engine

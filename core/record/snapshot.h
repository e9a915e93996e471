// SPDX-License-Identifier: Apache-2.0
// A run as one HDF5 file: self-describing, documented in README.md beside this file.
#pragma once

#include "core/base/result.h"
#include "core/record/run_record.h"

#include <filesystem>

namespace rankscope::record
{

/// Writes the run beside `path`, flushes it and renames it into place. May be called from any thread.
Status writeSnapshot(const RunRecord& run, const std::filesystem::path& path);

/// An error if no snapshot can be written there: the folder is missing, or something that is no file has the
/// name. writeSnapshot() looks too; this is for asking before the work.
Status checkSnapshotTarget(const std::filesystem::path& path);

/// Reads a snapshot. Damage since it was written is found by the checksum at its end before HDF5 sees the
/// file. In a file from elsewhere, links out of it, foreign filters, and sizes that it cannot hold are
/// refused before anything is allocated; against bytes forged below that level stands only the HDF5 library
/// itself.
Result<RunRecord> readSnapshot(const std::filesystem::path& path);

} // namespace rankscope::record

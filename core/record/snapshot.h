// SPDX-License-Identifier: Apache-2.0
// A run as one HDF5 file: self-describing, documented in README.md beside this file.
#pragma once

#include "core/base/result.h"
#include "core/record/run_record.h"

#include <filesystem>
#include <functional>

namespace rankscope::record
{

/// Writes the run beside `path`, flushes it and renames it into place. May be called from any thread.
Status writeSnapshot(const RunRecord& run, const std::filesystem::path& path);

/// An error if no snapshot can be written there: the folder is missing, or something that is no file has the
/// name. writeSnapshot() looks too; this is for asking before the work.
Status checkSnapshotTarget(const std::filesystem::path& path);

/// Reads a snapshot that has no checksum at its end: another program wrote or changed it.
using UnsealedReader = std::function<Result<RunRecord>(const std::filesystem::path&)>;

/// Reads a snapshot. Damage since it was written is found by the checksum at its end before HDF5 sees the
/// file. In a file from elsewhere, links out of it, foreign filters, and sizes that it cannot hold are
/// refused before anything is allocated; bytes forged below that level can crash the HDF5 library. A program
/// that must survive them hands such files to `unsealed`, which reads them in another process
/// (`rankscope-engine snapshot` does, and writes a snapshot with a checksum).
Result<RunRecord> readSnapshot(const std::filesystem::path& path, const UnsealedReader& unsealed = {});

} // namespace rankscope::record

// SPDX-License-Identifier: GPL-3.0-or-later
// HDF5 files that something else wrote or changed.
#pragma once

#include "core/base/result.h"
#include "core/record/run_record.h"

#include <QString>

#include <filesystem>

namespace rankscope::workbench
{

/// Reads a snapshot without a checksum through `rankscope-engine snapshot`: bytes that crash the HDF5 library
/// then cost an error message, not the window. `engineProgram`: empty for the one beside this program.
/// Blocks; for any thread but the window's.
Result<record::RunRecord> readUnsealedSnapshot(const std::filesystem::path& path,
                                               const QString& engineProgram);

} // namespace rankscope::workbench

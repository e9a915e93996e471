// SPDX-License-Identifier: Apache-2.0
// From what a user asks for to a run directory. Everything that can be wrong is found before anything is
// written.
#pragma once

#include "app/engine/worker_program.h"
#include "core/protocol/job.h"
#include "core/record/run_directory.h"

#include <filesystem>
#include <string>

namespace rankscope::engine
{

/// Reads a job file and makes its paths absolute: they start at the file's folder, or else at the working
/// folder.
Result<protocol::Job> readJobFile(const std::filesystem::path& file);

/// Parses a job whose relative paths start at `folder`.
Result<protocol::Job> parseJob(const std::string& json, const std::filesystem::path& folder);

/// Writes the family's defaults into the settings, if a manifest that can be used is found: the one whose
/// library the worker loads. A wrong setting is an error.
Status completeSettings(protocol::Job& job);

/// Everything about a job that trains: its data, its settings, room and permission in the folder for the run,
/// and what the worker finds wrong. Writes nothing.
Status checkJob(protocol::Job& job, const std::filesystem::path& runs);

/// The same of a run that is to go on: its own job, in its own folder.
Status checkResume(const record::RunDirectory& run);

/// Paths go into JSON and messages of the protocol, which hold text only.
Status checkText(const std::filesystem::path& path);

/// Writes the complete job into its run directory.
Status writeJob(const record::RunDirectory& run, const protocol::Job& job);

} // namespace rankscope::engine

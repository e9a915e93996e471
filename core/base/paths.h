// SPDX-License-Identifier: Apache-2.0
// Where the programs, their plugins and the user's own files are.
#pragma once

#include "core/base/result.h"

#include <filesystem>
#include <string>
#include <vector>

namespace rankscope::base
{

/// The folder that holds the running program.
std::filesystem::path programFolder();

/// A program of ours (rankscope-worker, rankscope-engine): it lies beside the running one.
Result<std::filesystem::path> siblingProgram(const std::string& name);

/// Folders searched for plugins: `plugins/` beside the program's folder, then those named in
/// RANKSCOPE_PLUGINS (separated by colons). Nowhere else.
std::vector<std::filesystem::path> pluginFolders();

/// A folder in the user's runtime area that only this user can enter (created with mode 0700 if missing).
Result<std::filesystem::path> runtimeFolder();

/// The supervisor's socket when none is named.
Result<std::filesystem::path> defaultSocket();

/// $XDG_STATE_HOME/rankscope or ~/.local/state/rankscope.
std::filesystem::path stateFolder();

/// Absolute, without detours and without the slash that a shell completes a folder's name with. Relative
/// paths start at the working folder: an error where that is gone.
Result<std::filesystem::path> absolutePath(const std::filesystem::path& path);

/// Where runs go, absolute: the named folder; else RANKSCOPE_RUNS, or `runs` under the working folder.
Result<std::filesystem::path> runsFolder(const std::filesystem::path& named = {});

/// The base model the product ships with: RANKSCOPE_MODEL, or the one that `setup` put beside the build.
std::filesystem::path defaultModel();

/// A model named in a job: as given (relative to `base`), or, where that is a bare name and no such file is
/// there, among the installed models.
std::filesystem::path resolveModel(const std::string& name, const std::filesystem::path& base);

} // namespace rankscope::base

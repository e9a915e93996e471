// SPDX-License-Identifier: Apache-2.0
// What the worker says about jobs and plugins without training: check, plan, families.
#pragma once

#include <filesystem>

namespace rankscope::worker
{

/// Prints what the job will need ({"checkpointBytes": N}, of one checkpoint on disk); 2 with one sentence on
/// stderr if the job is wrong.
int checkCommand(const std::filesystem::path& jobFile);
/// Prints the plan as one JSON object; 2 with one sentence on stderr if the job is wrong.
int planCommand(const std::filesystem::path& jobFile);
/// Answers {"job": {...}} lines on stdin with a plan or {"error": "..."} each, until stdin ends.
int servePlans();
/// Prints every plugin found with its state.
int familiesCommand();

} // namespace rankscope::worker

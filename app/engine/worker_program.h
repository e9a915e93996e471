// SPDX-License-Identifier: Apache-2.0
// rankscope-worker, the program that does the work of one job.
#pragma once

#include "app/engine/exit_code.h"
#include "core/protocol/job.h"
#include "core/record/run_directory.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/types.h>
#include <vector>

namespace rankscope::engine
{

/// What a job will need.
struct JobNeeds {
    std::int64_t checkpointBytes = 0; ///< on disk, of one checkpoint
};

class WorkerProgram
{
public:
    /// The worker beside this program, or the one named by RANKSCOPE_WORKER (which only this lookup honours:
    /// for tests and for workers built against another LibTorch).
    static Result<WorkerProgram> find();

    [[nodiscard]] const std::filesystem::path& path() const { return m_path; }

    /// Everything that can be wrong about a job, without training and without writing anything.
    [[nodiscard]] Result<JobNeeds> check(const protocol::Job& job) const;
    /// The plan as a JSON object. An error is a wrong request.
    [[nodiscard]] Result<std::string> plan(const protocol::Job& job) const;
    /// The JSON list of the families.
    [[nodiscard]] Result<std::string> families() const;
    /// Starts training in a session of its own; output and errors go to the end of the run's log. A request
    /// to stop waits until the worker takes it.
    [[nodiscard]] Result<pid_t> train(const record::RunDirectory& run, bool resume) const;
    /// Becomes the worker, under this program's name: returns only if that failed.
    [[nodiscard]] Error become(const std::vector<std::string>& arguments) const;

private:
    explicit WorkerProgram(std::filesystem::path path) : m_path(std::move(path)) {}
    /// Runs it on a job in a file only this user can read.
    [[nodiscard]] Result<std::string> onJob(const char* command, const protocol::Job& job) const;

    std::filesystem::path m_path;
};

} // namespace rankscope::engine

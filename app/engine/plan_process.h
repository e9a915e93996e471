// SPDX-License-Identifier: Apache-2.0
// One worker kept waiting for plans (`rankscope-worker plan --serve`): a form asks at every keystroke, and a
// new process would need a second each time.
#pragma once

#include "app/engine/child_process.h"
#include "core/protocol/job.h"

#include <filesystem>
#include <mutex>
#include <string>
#include <sys/types.h>

namespace rankscope::engine
{

class PlanProcess
{
public:
    explicit PlanProcess(std::filesystem::path worker) : m_worker(std::move(worker)) {}
    ~PlanProcess();
    PlanProcess(const PlanProcess&) = delete;
    PlanProcess& operator=(const PlanProcess&) = delete;

    struct Answer {
        std::string json;
        std::string wrong; ///< what is wrong with the job; empty if nothing
    };
    /// One request at a time; starts the worker when there is none. An error means that the worker failed.
    Result<Answer> plan(const protocol::Job& job);

private:
    Status start();
    void end();
    Result<std::string> exchange(const std::string& request);

    std::filesystem::path m_worker;
    std::mutex m_mutex;
    pid_t m_pid = 0;
    Descriptor m_socket;
    std::string m_received;
};

} // namespace rankscope::engine

// SPDX-License-Identifier: Apache-2.0
// The queue: runs in order of submission, so many at a time, each as a process of its own.
#pragma once

#include "app/engine/plan_process.h"
#include "app/engine/supervised_run.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace rankscope::engine
{

/// What a failed call was: the service's status codes.
enum class Refusal { WrongRequest, UnknownRun, WrongState, WorkFailed };

struct RefusedCall {
    Refusal kind = Refusal::WorkFailed;
    std::string message;
};

template <typename T>
using CallResult = tl::expected<T, RefusedCall>;

class Supervisor
{
public:
    /// Finds the runs in the folder again: queued ones wait on, running ones are watched.
    static Result<std::unique_ptr<Supervisor>> open(std::filesystem::path runs, int jobs,
                                                    WorkerProgram worker);
    /// Starts what is queued, and watches what runs, from now on.
    void begin();
    /// Leaves running jobs alone.
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    CallResult<protocol::RunStatus> submit(const std::string& jobJson, const std::filesystem::path& folder);
    /// `now` kills the job instead of asking it.
    CallResult<protocol::RunStatus> stop(const std::string& run, bool now);
    CallResult<protocol::RunStatus> resume(const std::string& run);
    CallResult<std::string> plan(const std::string& jobJson, const std::filesystem::path& folder);
    CallResult<std::string> families();

    /// A list and its number; numbers grow with every change.
    struct Listing {
        std::uint64_t version = 0;
        protocol::RunList list;
    };
    [[nodiscard]] Listing list() const;
    /// Waits until the list is newer than `version`, or for so long.
    void waitForChange(std::uint64_t version, std::chrono::milliseconds patience) const;

    /// Where a run's journal is and whether more may come.
    struct JournalSource {
        std::filesystem::path path;
        bool active = false;
    };
    [[nodiscard]] CallResult<JournalSource> journal(const std::string& run) const;

private:
    Supervisor(std::filesystem::path runs, int jobs, WorkerProgram worker, Descriptor lock, Descriptor wake);
    void loop();
    bool rescan();
    bool startQueued();
    void changed();
    void wake() const;
    [[nodiscard]] SupervisedRun* find(const std::string& run) const;
    /// The run, if it can go into the queue again.
    [[nodiscard]] CallResult<SupervisedRun*> findResumable(const std::string& run) const;
    [[nodiscard]] std::int64_t lastQueuedUs() const;

    std::filesystem::path m_runsFolder;
    int m_jobs;
    WorkerProgram m_worker;
    Descriptor m_lock; ///< held while this supervisor owns the folder
    Descriptor m_wake;
    PlanProcess m_planner;
    mutable std::mutex m_mutex;
    mutable std::condition_variable m_change;
    std::uint64_t m_version = 1;
    std::map<std::string, std::unique_ptr<SupervisedRun>> m_runs;
    std::filesystem::file_time_type m_folderTime{};
    std::atomic<bool> m_quit{false};
    std::thread m_thread;
};

} // namespace rankscope::engine

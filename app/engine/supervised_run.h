// SPDX-License-Identifier: Apache-2.0
// One run as the supervisor knows it: its files, its process if it has one, and what its journal says so far.
#pragma once

#include "app/engine/child_process.h"
#include "app/engine/supervision_file.h"
#include "app/engine/worker_program.h"
#include "core/protocol/engine.pb.h"
#include "core/record/journal.h"
#include "core/record/run_directory.h"

#include <chrono>
#include <cstdint>
#include <future>
#include <optional>
#include <string>

namespace rankscope::engine
{

/// Not thread-safe: the supervisor's mutex guards it.
class SupervisedRun
{
public:
    /// A run directory that is there already: queued, running without us, or over.
    explicit SupervisedRun(record::RunDirectory run);

    [[nodiscard]] const record::RunDirectory& directory() const { return m_run; }
    [[nodiscard]] std::string id() const { return m_run.name(); }
    [[nodiscard]] const std::string& state() const { return m_state; }
    /// queued, running or stopping: more may come.
    [[nodiscard]] bool active() const;
    [[nodiscard]] bool queued() const { return m_state == "queued"; }
    [[nodiscard]] bool hasProcess() const { return m_process.valid(); }
    /// Readable when the process has ended; -1 without one.
    [[nodiscard]] int processDescriptor() const { return m_process.get(); }
    [[nodiscard]] std::int64_t queuedUs() const { return m_supervision.queuedUs; }
    [[nodiscard]] std::int64_t submittedUs() const { return m_supervision.submittedUs; }
    [[nodiscard]] protocol::RunStatus status() const;

    /// Puts the run into the queue, for the first time or to go on, behind one that was queued at
    /// `lastQueuedUs`.
    Status enqueue(bool resume, std::int64_t lastQueuedUs);
    /// Starts its process, unless another program took the run out of the queue.
    Status start(const WorkerProgram& worker);
    /// Asks the process to stop, or takes the run out of the queue. `now` kills it.
    Status stop(bool now);
    /// Reads what the journal has got since the last call. True if something is new. After a read that failed
    /// the next calls wait a while before they try again.
    bool readJournal();
    /// Looks whether the process has ended. True if it has.
    bool checkProcess();
    /// Looks again at a run that another program looks after. True if something is new.
    bool refresh();
    /// The run could not be started or followed.
    void failWith(const std::string& reason);

private:
    void adopt();
    void digest(const protocol::JournalEvent& event, std::int64_t position);
    void settle(std::optional<int> waitStatus);
    void readOn();
    void die(const Ending& ending);
    void startSnapshot();
    void enter(const std::string& state, const std::string& reason);
    Status save();
    /// Where the work goes on without: what is lost is only what the next supervisor would know.
    void saveOrWarn();
    [[nodiscard]] bool endedByJournal() const;
    [[nodiscard]] bool recentlyActive() const;

    record::RunDirectory m_run;
    Supervision m_supervision;
    std::string m_state;
    std::string m_reason;
    std::string m_name;
    std::string m_family;
    std::string m_phase;
    double m_remainingSeconds = -1;
    std::optional<std::uint32_t> m_lossId;
    record::JournalFollower m_follower;
    record::JournalReader m_reader;
    std::int64_t m_lastStatePosition = 0;
    std::string m_readProblem; ///< why the last read of the journal failed; empty if it did not
    std::chrono::seconds m_readPause{0};
    std::chrono::steady_clock::time_point m_nextRead{};
    std::future<void> m_snapshot; ///< being written for a job that could not; its destructor waits
    Descriptor m_process;
    bool m_ours = false; ///< our own child: its exit status comes to us
    std::filesystem::file_time_type m_supervisionTime{};
};

} // namespace rankscope::engine

// SPDX-License-Identifier: Apache-2.0
// Talks to a supervisor (`rankscope-engine serve`) over its unix socket: local, or forwarded from another
// machine by SSH.
//
// Every call blocks until the answer is there or its deadline has passed and may be made from any thread,
// several at once. Watches deliver on a thread of their own; a window posts what it gets to its own thread.
#pragma once

#include "core/base/result.h"
#include "core/protocol/journal.pb.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rankscope::client
{

/// One line of the run list.
struct RunStatus {
    std::string id;    ///< the run directory's name; what every call below takes
    std::string path;  ///< of the run directory, on the supervisor's machine
    std::string name;  ///< as the user gave it
    std::string state; ///< "queued", "running", "stopping", "stopped", "done", "failed", "lost"
    std::string reason;
    std::int64_t pid = 0;
    std::int64_t step = 0;
    std::int64_t totalSteps = 0;
    double loss = 0;              ///< last training loss; NaN before the first
    double remainingSeconds = -1; ///< negative: unknown
    std::string family;
    std::string phase; ///< "loading", "evaluating", "training"
    std::int64_t submittedUs = 0;

    bool operator==(const RunStatus&) const = default;
};

/// A stretch of a run's journal, in order and without gaps.
struct JournalPart {
    std::vector<protocol::JournalEvent> events; ///< each goes to record::applyEvent()
    std::int64_t position = 0;                  ///< byte position after these events: resume a watch here
    bool ended = false;                         ///< the run is over and nothing more will come
};

/// A running watch. Cancelled when destroyed. Movable.
class Watch
{
public:
    Watch();
    ~Watch();
    Watch(Watch&& other) noexcept;
    Watch& operator=(Watch&& other) noexcept;
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    /// Ends the watch. On return no callback is running and none will come (from inside one of its own
    /// callbacks: none after this one). Harmless if it is over already.
    void cancel();
    /// Still delivering.
    [[nodiscard]] bool active() const;

private:
    friend class EngineClient;
    struct State;
    explicit Watch(std::shared_ptr<State> state);
    std::shared_ptr<State> m_state;
};

/// A connection to one supervisor. Copies share it.
class EngineClient
{
public:
    /// How a supervisor is started when none answers. Empty paths mean the defaults of core/base/paths.h.
    struct StartOptions {
        std::filesystem::path socket;
        std::filesystem::path runsFolder;
        std::filesystem::path program; ///< rankscope-engine; empty: the one beside this program
        std::chrono::milliseconds patience{10000};
    };

    /// Connects to a supervisor that answers on the socket; an error that names the socket if none does.
    static Result<EngineClient> connect(const std::filesystem::path& socket,
                                        std::chrono::milliseconds patience = std::chrono::milliseconds(3000));
    /// Connects, and starts a supervisor in the background first if none answers. It outlives this program.
    static Result<EngineClient> startIfNeeded(const StartOptions& options);
    static Result<EngineClient> startIfNeeded();

    /// Did the last call of this thread fail because of what it asked for (and not because of the work or the
    /// line)?
    [[nodiscard]] static bool requestWasWrong();

    /// Is a supervisor answering now?
    [[nodiscard]] bool alive() const;
    [[nodiscard]] const std::filesystem::path& socket() const;

    /// Checks the job, makes its run directory and queues it. Relative paths of the job start at
    /// `baseFolder`.
    [[nodiscard]] Result<RunStatus> submit(const std::string& jobJson,
                                           const std::filesystem::path& baseFolder) const;
    /// Every run the supervisor knows, the newest first.
    [[nodiscard]] Result<std::vector<RunStatus>> list() const;
    /// Asks a job to finish its step, checkpoint and stop; a queued job leaves the queue. `now` kills one
    /// that does not answer: what it did since its last checkpoint is lost.
    [[nodiscard]] Result<RunStatus> stop(const std::string& run, bool now = false) const;
    /// Checks a stopped, failed or lost run's job and queues it again, from its last checkpoint.
    [[nodiscard]] Result<RunStatus> resume(const std::string& run) const;
    /// What training would cost: the JSON object of `rankscope-engine plan --json`.
    [[nodiscard]] Result<std::string> plan(const std::string& jobJson,
                                           const std::filesystem::path& baseFolder) const;
    /// The JSON list of `rankscope-engine families --json`.
    [[nodiscard]] Result<std::string> families() const;
    /// Ends the supervisor; running jobs go on and are found again by the next one.
    [[nodiscard]] Status shutdown() const;

    /// Called once at the end of a watch that was not cancelled: no error when the run is over, an error when
    /// the supervisor is gone or refused. A lost watch is taken up again with a new call.
    using EndCallback = std::function<void(Status)>;

    /// The run list now, and again whenever it changes.
    [[nodiscard]] Watch watchList(std::function<void(std::vector<RunStatus>)> changed,
                                  EndCallback ended = {}) const;
    /// The journal of a run from byte `position` on (0: all of it), and what is appended until the run ends.
    [[nodiscard]] Watch watchRun(const std::string& run, std::int64_t position,
                                 std::function<void(JournalPart)> arrived, EndCallback ended = {}) const;

private:
    struct Connection;
    explicit EngineClient(std::shared_ptr<Connection> connection);
    std::shared_ptr<Connection> m_connection;
};

} // namespace rankscope::client

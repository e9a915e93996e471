// SPDX-License-Identifier: Apache-2.0
#include "app/engine/supervised_run.h"

#include "core/base/json.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <limits>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <system_error>

namespace rankscope::engine
{
namespace fs = std::filesystem;
namespace
{

/// A run without a process on this machine (a cluster's, on a shared file system) counts as going on for so
/// long after its journal last grew.
constexpr std::chrono::minutes silenceOfTheLiving{2};
/// A journal that cannot be read is tried again after a pause that doubles from a second up to this: a
/// damaged one must not be read at every look.
constexpr std::chrono::seconds longestReadPause{64};

bool isFinal(const std::string& state)
{
    return state == "done" || state == "stopped" || state == "failed";
}

std::int64_t microseconds(fs::file_time_type time)
{
    const auto system = std::chrono::file_clock::to_sys(time);
    return std::chrono::duration_cast<std::chrono::microseconds>(system.time_since_epoch()).count();
}

} // namespace

SupervisedRun::SupervisedRun(record::RunDirectory run) : m_run(std::move(run)), m_follower(m_run.journal())
{
    if (const auto json = base::readJsonFile(m_run.job(), std::uintmax_t{16} << 20)) {
        if (const auto job = protocol::Job::fromJson(*json)) {
            m_name = job->name;
            m_family = job->adapter.family;
            m_supervision.digest.totalSteps = job->training.steps;
        }
    }
    if (m_name.empty())
        m_name = m_run.name();
    adopt();
}

bool SupervisedRun::active() const
{
    return m_state == "queued" || m_state == "running" || m_state == "stopping";
}

void SupervisedRun::adopt()
{
    std::error_code code;
    m_supervisionTime = fs::last_write_time(supervisionFile(m_run), code);
    const std::int64_t totalSteps = m_supervision.digest.totalSteps;
    if (auto saved = readSupervision(m_run)) {
        const auto size = fs::file_size(m_run.journal(), code);
        const auto before = m_supervision.digest;
        m_supervision = *saved;
        if (m_follower.position() > 0) {
            m_supervision.digest = before;
        } else if (saved->digest.journalBytes > 0 && !code &&
                   saved->digest.journalBytes == static_cast<std::int64_t>(size) &&
                   isFinal(saved->digest.state)) {
            // Nothing was written since it was read to its end.
            m_follower = record::JournalFollower(m_run.journal(), saved->digest.journalBytes);
            m_reader = record::JournalReader(saved->digest.journalBytes);
            m_lastStatePosition = saved->digest.journalBytes;
        } else {
            m_supervision.digest = {};
            m_supervision.digest.totalSteps = totalSteps;
        }
    }
    if (m_supervision.submittedUs == 0) {
        const auto time = fs::last_write_time(m_run.job(), code);
        if (!code)
            m_supervision.submittedUs = microseconds(time);
    }
    readJournal();
    if (m_supervision.state == "queued") {
        enter("queued", m_supervision.reason);
        return;
    }
    const bool here = m_supervision.host == hostName();
    if (here && (m_supervision.state == "running" || m_supervision.state == "stopping") &&
        isAlive(m_supervision.process)) {
        m_process = watchProcess(static_cast<pid_t>(m_supervision.process.pid));
        if (m_process.valid()) {
            m_ours = false;
            enter(m_supervision.state, {});
            return;
        }
    }
    settle(std::nullopt);
}

bool SupervisedRun::endedByJournal() const
{
    return isFinal(m_supervision.digest.state) && m_lastStatePosition > m_supervision.startPosition;
}

bool SupervisedRun::recentlyActive() const
{
    if (m_supervision.host == hostName())
        return false; // its process would be seen
    std::error_code code;
    auto newest = fs::last_write_time(m_run.job(), code);
    if (const auto time = fs::last_write_time(m_run.journal(), code); !code)
        newest = std::max(newest, time);
    return fs::file_time_type::clock::now() - newest < silenceOfTheLiving;
}

/// The state of a run that has no living process here: what its journal says last, or why it says nothing.
void SupervisedRun::settle(std::optional<int> waitStatus)
{
    readOn();
    const auto& digest = m_supervision.digest;
    if (endedByJournal()) {
        enter(digest.state, digest.reason);
    } else if (waitStatus && WIFEXITED(*waitStatus) && journalIsHeld(m_run)) {
        // Its worker found the run taken: it is another process's, and goes on.
        m_supervision.host.clear();
        m_supervision.process = {};
        enter("running", {});
    } else if (waitStatus && WIFEXITED(*waitStatus) && WEXITSTATUS(*waitStatus) == 0 &&
               !m_readProblem.empty()) {
        // It ended well; done or stopped is in the journal, for a later look.
        enter("lost", "its process ended well, but its journal cannot be read: " + m_readProblem);
    } else if (waitStatus) {
        die(endingOf(m_run, *waitStatus, m_supervision.stopSignal));
    } else if (m_supervision.stopSignal == SIGKILL && !isFinal(m_supervision.state)) {
        die(endedAtOnce(m_run));
        saveOrWarn();
    } else if (isFinal(m_supervision.state)) {
        enter(m_supervision.state, m_supervision.reason);
    } else if (recentlyActive()) {
        enter("running", {});
    } else if (!m_readProblem.empty()) {
        enter("lost", "its process is gone and its journal cannot be read: " + m_readProblem);
    } else {
        enter("lost", "its process is gone and its journal does not say how it ended");
    }
}

/// The state of a run whose process did not say how it ended.
void SupervisedRun::die(const Ending& ending)
{
    recordEnding(m_run, ending);
    readOn();
    enter(ending.state, ending.reason);
    startSnapshot();
}

/// Writes run.h5 in a thread: a long journal takes seconds, and the other runs go on meanwhile.
void SupervisedRun::startSnapshot()
{
    const auto write = [run = m_run] {
        if (const auto written = snapshotEnding(run); !written)
            spdlog::warn("{}: {}", run.name(), written.error().message);
    };
    try {
        m_snapshot = std::async(std::launch::async, write);
    } catch (const std::system_error& error) {
        spdlog::warn("{}: run.h5 is not up to date: {}", id(), error.what());
    }
}

void SupervisedRun::enter(const std::string& state, const std::string& reason)
{
    m_state = state;
    m_reason = reason;
    if (!active()) {
        m_phase.clear();
        m_remainingSeconds = -1;
    }
}

Status SupervisedRun::save()
{
    m_supervision.state = m_state;
    m_supervision.reason = m_reason;
    m_supervision.digest.journalBytes = m_follower.position();
    RANKSCOPE_CHECK(writeSupervision(m_run, m_supervision));
    std::error_code code;
    m_supervisionTime = fs::last_write_time(supervisionFile(m_run), code);
    return {};
}

void SupervisedRun::saveOrWarn()
{
    if (const auto status = save(); !status)
        spdlog::warn("{}: {}", id(), status.error().message);
}

protocol::RunStatus SupervisedRun::status() const
{
    protocol::RunStatus status;
    status.set_id(m_run.name());
    status.set_path(m_run.folder().string());
    status.set_name(m_name);
    status.set_state(m_state);
    status.set_reason(m_reason);
    status.set_pid(m_process.valid() ? m_supervision.process.pid : 0);
    status.set_step(m_supervision.digest.step);
    status.set_total_steps(m_supervision.digest.totalSteps);
    status.set_loss(m_supervision.digest.loss.value_or(std::numeric_limits<double>::quiet_NaN()));
    status.set_remaining_seconds(m_remainingSeconds);
    status.set_family(m_family);
    status.set_phase(m_phase);
    status.set_submitted_us(m_supervision.submittedUs);
    return status;
}

Status SupervisedRun::enqueue(bool resume, std::int64_t lastQueuedUs)
{
    const std::int64_t now = nowMicroseconds();
    if (m_supervision.submittedUs == 0 || !resume)
        m_supervision.submittedUs = now;
    m_supervision.queuedUs = std::max(now, lastQueuedUs + 1); // the clock may have been set back
    std::error_code code;
    m_supervision.resume = resume && fs::exists(m_run.journal(), code);
    m_supervision.process = {};
    m_supervision.stopSignal = 0;
    const std::string before = m_state;
    const std::string reason = m_reason;
    enter("queued", {});
    const auto saved = save();
    if (!saved)
        enter(before, reason); // a queue that is not on disk would be forgotten
    return saved;
}

Status SupervisedRun::start(const WorkerProgram& worker)
{
    const Descriptor lock = lockRun(m_run);
    if (const auto saved = readSupervision(m_run); saved && saved->state != "queued") {
        adopt();
        return {};
    }
    if (m_snapshot.valid())
        m_snapshot.wait(); // else it could replace a newer one
    readOn();
    m_supervision.startPosition = m_follower.position();
    RANKSCOPE_TRY(const pid_t pid, worker.train(m_run, m_supervision.resume));
    m_process = watchProcess(pid);
    m_ours = true;
    m_supervision.host = hostName();
    m_supervision.process = identify(pid).value_or(ProcessIdentity{pid, 0, {}});
    enter("running", {});
    saveOrWarn();
    return {};
}

Status SupervisedRun::stop(bool now)
{
    if (queued()) {
        enter("stopped", "taken out of the queue");
        saveOrWarn();
        return {};
    }
    if (m_state == "stopping" && !now)
        return {};
    if (m_state != "running" && m_state != "stopping")
        return fail("the run " + id() + " is " + m_state + "; only a queued or running one can be stopped");
    if (!m_process.valid())
        return fail("the run " + id() + " goes on elsewhere, out of this supervisor's reach");
    m_supervision.stopSignal = now ? SIGKILL : SIGTERM;
    enter("stopping", {});
    // Before the signal: whoever started the process reads there why it ended.
    saveOrWarn();
    if (!signalProcess(m_process, static_cast<int>(m_supervision.stopSignal)))
        return fail("the run " + id() + " cannot be told to stop; has it just ended?");
    return {};
}

void SupervisedRun::digest(const protocol::JournalEvent& event, std::int64_t position)
{
    auto& digest = m_supervision.digest;
    switch (event.body_case()) {
    case protocol::JournalEvent::kRun:
        digest.totalSteps = event.run().total_steps();
        break;
    case protocol::JournalEvent::kMeasureDefined:
        if (event.measure_defined().name() == "train/loss")
            m_lossId = event.measure_defined().id();
        else if (m_lossId == event.measure_defined().id())
            m_lossId.reset();
        break;
    case protocol::JournalEvent::kMeasureValues:
        if (m_lossId == event.measure_values().id() && event.measure_values().values_size() == 1) {
            digest.loss = event.measure_values().values(0);
            if (!std::isfinite(*digest.loss))
                digest.loss.reset();
        }
        digest.step = std::max(digest.step, event.measure_values().step());
        break;
    case protocol::JournalEvent::kState:
        digest.state = event.state().state();
        digest.reason = event.state().reason();
        m_lastStatePosition = position;
        break;
    case protocol::JournalEvent::kRewound:
        digest.step = event.rewound().step();
        break;
    case protocol::JournalEvent::kProgress:
        m_phase = event.progress().phase();
        m_remainingSeconds = event.progress().remaining_seconds();
        break;
    default:
        break;
    }
}

bool SupervisedRun::readJournal()
{
    const auto now = std::chrono::steady_clock::now();
    if (now < m_nextRead)
        return false;
    const auto bytes = m_follower.next();
    const auto events = bytes ? m_reader.feed(*bytes) : Result<std::vector<protocol::JournalEvent>>{};
    if (!bytes || !events) {
        // Too many open files, or a file server that lags: it may pass. The figures stay as they are.
        m_readProblem = bytes ? events.error().message : bytes.error().message;
        m_readPause = std::clamp(2 * m_readPause, std::chrono::seconds(1), longestReadPause);
        m_nextRead = now + m_readPause;
        return false;
    }
    m_readProblem.clear();
    m_readPause = {};
    for (const auto& event : *events)
        digest(event, m_reader.position());
    return !events->empty();
}

/// To the journal's present end.
void SupervisedRun::readOn()
{
    while (readJournal()) {
    }
}

bool SupervisedRun::checkProcess()
{
    if (!m_process.valid())
        return false;
    std::optional<int> waitStatus;
    if (m_ours) {
        int status = 0;
        if (::waitpid(static_cast<pid_t>(m_supervision.process.pid), &status, WNOHANG) == 0)
            return false;
        waitStatus = status;
    } else if (isAlive(m_supervision.process)) {
        return false;
    }
    m_process.reset();
    m_nextRead = {}; // what it wrote last says how it ended
    settle(waitStatus);
    if (m_ours)
        saveOrWarn();
    m_ours = false;
    return true;
}

bool SupervisedRun::refresh()
{
    if (m_process.valid() || queued())
        return false;
    std::error_code code;
    const auto time = fs::last_write_time(supervisionFile(m_run), code);
    const std::string before = m_state;
    if (!code && time != m_supervisionTime) {
        adopt();
        return true;
    }
    if (m_state == "running" || m_state == "lost") {
        const bool grew = readJournal();
        settle(std::nullopt);
        return grew || m_state != before;
    }
    return false;
}

void SupervisedRun::failWith(const std::string& reason)
{
    enter("failed", reason);
    saveOrWarn();
}

} // namespace rankscope::engine

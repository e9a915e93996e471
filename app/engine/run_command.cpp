// SPDX-License-Identifier: Apache-2.0
#include "app/engine/run_command.h"

#include "app/engine/child_process.h"
#include "app/engine/job_request.h"
#include "app/engine/run_report.h"
#include "app/engine/stop_signals.h"
#include "app/engine/supervision_file.h"
#include "app/engine/worker_program.h"
#include "core/base/paths.h"
#include "core/record/journal.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rankscope::engine
{
namespace fs = std::filesystem;
namespace
{

/// How often the journal is looked at while the job runs.
constexpr int pollMilliseconds = 200;

/// SIGINT, SIGTERM and SIGHUP as something to read, for as long as the object lives.
class Signals
{
public:
    Signals()
    {
        sigset_t signals;
        ::sigemptyset(&signals);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP})
            ::sigaddset(&signals, signal);
        ::pthread_sigmask(SIG_BLOCK, &signals, &m_before);
        m_descriptor = Descriptor(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    }
    ~Signals() { ::pthread_sigmask(SIG_SETMASK, &m_before, nullptr); }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    [[nodiscard]] int descriptor() const { return m_descriptor.get(); }
    /// One that has come since the last call; 0 if none.
    [[nodiscard]] int take() const
    {
        signalfd_siginfo info{};
        const ssize_t count = ::read(m_descriptor.get(), &info, sizeof info);
        return count == static_cast<ssize_t>(sizeof info) ? static_cast<int>(info.ssi_signo) : 0;
    }

private:
    sigset_t m_before{};
    Descriptor m_descriptor;
};

/// May a process be started in this run? Asked again under the run's lock.
Status checkFree(const record::RunDirectory& run)
{
    const auto supervision = readSupervision(run);
    if (supervision && supervision->host == hostName() && isAlive(supervision->process))
        return fail("the run " + run.name() + " is still going, as process " +
                    std::to_string(supervision->process.pid));
    if (supervision && supervision->state == "queued")
        return fail("the run " + run.name() + " waits in a supervisor's queue; `rankscope-engine stop " +
                    run.name() + "` takes it out of it");
    if (journalIsHeld(run))
        return fail("the run " + run.name() + " is still going: another process writes its journal");
    return {};
}

/// One worker, from its start to its end.
class ForegroundRun
{
public:
    ForegroundRun(record::RunDirectory run, const RunOptions& options)
        : m_run(std::move(run)),
          m_options(options),
          m_follower(m_run.journal()),
          m_display(options.json)
    {
    }

    ExitCode execute(const WorkerProgram& worker)
    {
        Descriptor lock = lockRun(m_run);
        if (const auto status = checkFree(m_run); !status)
            return report(ExitCode::WrongRequest, status.error());
        // What an earlier process of this run wrote is not news.
        if (const auto status = readJournal(); !status)
            return report(ExitCode::WrongRequest, status.error());
        m_before = readSupervision(m_run);
        if (m_before)
            m_supervision.submittedUs = m_before->submittedUs;
        m_supervision.startPosition = m_follower.position();
        m_statesBefore = m_record.states.size();
        const Signals signals;
        const auto pid = worker.train(m_run, m_options.resume);
        if (!pid)
            return report(ExitCode::Failed, pid.error());
        m_supervision.state = "running";
        if (m_supervision.submittedUs == 0)
            m_supervision.submittedUs = nowMicroseconds();
        m_supervision.host = hostName();
        if (const auto process = identify(*pid))
            m_supervision.process = *process;
        if (const auto status = writeSupervision(m_run, m_supervision); !status)
            m_display.say("warning: " + status.error().message);
        lock.reset();
        return finish(follow(*pid, signals));
    }

private:
    Status readJournal()
    {
        for (;;) {
            RANKSCOPE_TRY(const auto news, record::readOn(m_record, m_follower, m_reader));
            if (!news.any)
                return {};
        }
    }

    /// What the ended worker wrote last. Where a read failed once, events behind it may be missing: all of
    /// the journal is read again.
    Status readToTheEnd()
    {
        if (const auto status = readJournal(); status && !m_missed)
            return {};
        RANKSCOPE_TRY(auto whole, record::loadJournal(m_run.journal()));
        m_record = std::move(whole);
        return {};
    }

    void onSignal(int signal, pid_t pid)
    {
        switch (m_stopSignals.take(signal, std::chrono::steady_clock::now())) {
        case StopSignals::Asks::Nothing:
            break;
        case StopSignals::Asks::Stop:
            m_supervision.stopSignal = SIGINT;
            m_display.say("finishing the step and checkpointing; press again to kill");
            ::kill(pid, SIGINT);
            break;
        case StopSignals::Asks::Kill:
            m_supervision.stopSignal = SIGKILL;
            ::kill(pid, SIGKILL);
            break;
        }
    }

    /// Shows the run until its worker ends; gives the wait status.
    int follow(pid_t pid, const Signals& signals)
    {
        const Descriptor ended = watchProcess(pid);
        for (;;) {
            pollfd polled[] = {{signals.descriptor(), POLLIN, 0}, {ended.get(), POLLIN, 0}};
            ::poll(polled, 2, pollMilliseconds);
            while (const int signal = signals.take())
                onSignal(signal, pid);
            int waitStatus = 0;
            const bool over = ::waitpid(pid, &waitStatus, WNOHANG) == pid;
            if (const auto status = readJournal(); !status && !m_missed) {
                m_display.say("warning: " + status.error().message);
                m_missed = true; // it may pass: the next look tries again
            }
            // An earlier process's end is not how this one stands.
            if (m_record.states.empty() || m_follower.position() > m_supervision.startPosition)
                m_display.show(m_record);
            if (over)
                return waitStatus;
        }
    }

    ExitCode finish(int waitStatus)
    {
        m_display.finish();
        const Status read = readToTheEnd();
        const bool said =
            m_record.states.size() > m_statesBefore &&
            (m_record.state() == "done" || m_record.state() == "stopped" || m_record.state() == "failed");
        const bool clean = WIFEXITED(waitStatus) && WEXITSTATUS(waitStatus) == 0;
        const bool wrong = WIFEXITED(waitStatus) && WEXITSTATUS(waitStatus) == 2;
        if (!said && WIFEXITED(waitStatus) && journalIsHeld(m_run))
            return leaveAsItWas(ExitCode::Failed, "goes on in another process");
        if (!said && wrong && m_options.resume)
            return leaveAsItWas(ExitCode::WrongRequest, "cannot be resumed");
        if (!said && clean && !read)
            return leaveUnread(read.error());
        // A supervisor that was told to end the job says so there.
        if (const auto saved = readSupervision(m_run); saved && saved->stopSignal != 0)
            m_supervision.stopSignal = saved->stopSignal;
        Ending ending = endingOf(m_run, waitStatus, m_supervision.stopSignal);
        if (said && m_record.state() == "failed" && WIFEXITED(waitStatus))
            ending.reason = m_record.states.back().reason;
        if (!said) {
            recordEnding(m_run, ending);
            (void)snapshotEnding(m_run); // the journal says it too
            m_record.states.push_back({nowMicroseconds(), ending.state, ending.reason});
        }
        m_supervision.state = m_record.state();
        m_supervision.reason = m_record.states.back().reason;
        (void)writeSupervision(m_run, m_supervision);
        if (m_options.json)
            std::puts(resultJson(m_record, m_run.name(), m_run.folder().string()).dump(2).c_str());
        else if (said)
            std::printf("%srun directory: %s\n", resultTable(m_record).c_str(), m_run.folder().c_str());
        std::fflush(stdout);
        if (clean && said && m_record.state() != "failed")
            return ExitCode::Done;
        const std::string verb = WIFSIGNALED(waitStatus) ? "the job was " : "the job failed: ";
        return report(wrong ? ExitCode::WrongRequest : ExitCode::Failed,
                      Error{verb + ending.reason + "; see " + m_run.log().string()});
    }

    /// The worker ended well, but whether the run is done or stopped cannot be read now.
    ExitCode leaveUnread(const Error& why)
    {
        const std::string reason = "its process ended well, but its journal cannot be read: " + why.message;
        m_record.states.push_back({nowMicroseconds(), "lost", reason});
        m_supervision.state = "lost";
        m_supervision.reason = reason;
        (void)writeSupervision(m_run, m_supervision);
        m_display.say("warning: the run " + m_run.name() + " cannot be shown: " + reason);
        if (m_options.json)
            std::puts(resultJson(m_record, m_run.name(), m_run.folder().string()).dump(2).c_str());
        else
            std::printf("run directory: %s\n", m_run.folder().c_str());
        std::fflush(stdout);
        return ExitCode::Done;
    }

    /// The worker did not take the run: what is written about it stays as it was.
    ExitCode leaveAsItWas(ExitCode code, const std::string& why)
    {
        std::error_code ignored;
        if (m_before)
            (void)writeSupervision(m_run, *m_before);
        else
            fs::remove(supervisionFile(m_run), ignored);
        return report(code, Error{"the run " + m_run.name() + " " + why + ": " + lastLineOf(m_run.log())});
    }

    record::RunDirectory m_run;
    RunOptions m_options;
    record::JournalFollower m_follower;
    record::JournalReader m_reader;
    record::RunRecord m_record;
    ProgressDisplay m_display;
    Supervision m_supervision;
    std::optional<Supervision> m_before; ///< as it was found
    std::size_t m_statesBefore = 0;
    bool m_missed = false; ///< a read of the journal failed
    StopSignals m_stopSignals;
};

/// The run directory to continue: named by --run-dir, or in place of the job.
Result<record::RunDirectory> directoryToResume(const RunOptions& options)
{
    std::error_code code;
    fs::path folder = options.runDirectory;
    if (folder.empty() && fs::is_directory(options.job, code))
        folder = options.job;
    if (folder.empty())
        return fail("--resume needs the run directory to continue: name it with --run-dir");
    RANKSCOPE_TRY(const fs::path absolute, base::absolutePath(folder));
    RANKSCOPE_TRY(record::RunDirectory run, record::RunDirectory::open(absolute));
    RANKSCOPE_CHECK(checkFree(run));
    const auto record = record::openRun(run.folder());
    if (!record)
        return fail(record.error().within("the run " + run.name() + " cannot be resumed"));
    if (record->state() == "done")
        return fail("the run " + run.name() + " is done; there is nothing to resume");
    RANKSCOPE_CHECK(checkResume(run));
    return run;
}

Result<record::RunDirectory> newDirectory(const RunOptions& options)
{
    if (options.job.empty())
        return fail("name the job file to run");
    RANKSCOPE_TRY(protocol::Job job, readJobFile(options.job));
    const bool named = !options.runDirectory.empty();
    RANKSCOPE_TRY(const fs::path folder,
                  named ? base::absolutePath(options.runDirectory) : base::runsFolder(options.runs));
    if (named && record::RunDirectory::isRunDirectory(folder))
        return fail(folder.string() +
                    " already holds a run; add --resume to continue it, or name another folder");
    RANKSCOPE_CHECK(checkJob(job, folder));
    RANKSCOPE_TRY(
        record::RunDirectory run,
        named ? record::RunDirectory::createAt(folder)
              : record::RunDirectory::create(folder, protocol::runFolderName(job, std::time(nullptr))));
    RANKSCOPE_CHECK(writeJob(run, job));
    return run;
}

} // namespace

ExitCode runCommand(const RunOptions& options)
{
    auto run = options.resume ? directoryToResume(options) : newDirectory(options);
    if (!run)
        return report(ExitCode::WrongRequest, run.error());
    const auto worker = WorkerProgram::find();
    if (!worker)
        return report(ExitCode::WrongRequest, worker.error());
    return ForegroundRun(std::move(*run), options).execute(*worker);
}

} // namespace rankscope::engine

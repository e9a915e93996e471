// SPDX-License-Identifier: Apache-2.0
#include "app/engine/run_command.h"

#include "app/engine/child_process.h"
#include "app/engine/job_request.h"
#include "app/engine/run_report.h"
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
    /// Has one come since the last call?
    [[nodiscard]] bool take() const
    {
        signalfd_siginfo info{};
        return ::read(m_descriptor.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info);
    }

private:
    sigset_t m_before{};
    Descriptor m_descriptor;
};

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
        // What an earlier process of this run wrote is not news.
        if (const auto status = readJournal(); !status)
            return report(ExitCode::WrongRequest, status.error());
        if (const auto before = readSupervision(m_run))
            m_supervision.submittedUs = before->submittedUs;
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
        return finish(follow(*pid, signals));
    }

private:
    Status readJournal()
    {
        for (;;) {
            RANKSCOPE_TRY(const std::string bytes, m_follower.next());
            if (bytes.empty())
                return {};
            RANKSCOPE_TRY(const auto events, m_reader.feed(bytes));
            for (const auto& event : events)
                RANKSCOPE_CHECK(record::applyEvent(m_record, event));
        }
    }

    void onSignal(pid_t pid)
    {
        if (++m_interrupts == 1) {
            m_display.say("finishing the step and checkpointing; press again to kill");
            ::kill(pid, SIGINT);
        } else {
            ::kill(pid, SIGKILL);
        }
    }

    /// Shows the run until its worker ends; gives the wait status.
    int follow(pid_t pid, const Signals& signals)
    {
        const Descriptor ended = watchProcess(pid);
        bool readable = true;
        for (;;) {
            pollfd polled[] = {{signals.descriptor(), POLLIN, 0}, {ended.get(), POLLIN, 0}};
            ::poll(polled, 2, pollMilliseconds);
            while (signals.take())
                onSignal(pid);
            int waitStatus = 0;
            const bool over = ::waitpid(pid, &waitStatus, WNOHANG) == pid;
            if (readable) {
                if (const auto status = readJournal(); !status) {
                    m_display.say("warning: " + status.error().message);
                    readable = false;
                }
                m_display.show(m_record);
            }
            if (over)
                return waitStatus;
        }
    }

    ExitCode finish(int waitStatus)
    {
        m_display.finish();
        const bool said =
            m_record.states.size() > m_statesBefore &&
            (m_record.state() == "done" || m_record.state() == "stopped" || m_record.state() == "failed");
        const bool clean = WIFEXITED(waitStatus) && WEXITSTATUS(waitStatus) == 0;
        std::string why;
        if (!clean || !said) {
            why = m_record.state() == "failed" && said ? m_record.states.back().reason : std::string();
            if (WIFSIGNALED(waitStatus))
                why = describeExit(waitStatus);
            else if (why.empty())
                why = lastLineOf(m_run.log());
            if (why.empty())
                why = describeExit(waitStatus);
        }
        if (!said) {
            recordDeath(m_run, why);
            if (const auto status = readJournal(); !status || m_record.state() != "failed")
                m_record.states.push_back({nowMicroseconds(), "failed", why});
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
        const bool wrong = WIFEXITED(waitStatus) && WEXITSTATUS(waitStatus) == 2;
        const std::string verb = WIFSIGNALED(waitStatus) ? "the job was " : "the job failed: ";
        return report(wrong ? ExitCode::WrongRequest : ExitCode::Failed,
                      Error{verb + why + "; see " + m_run.log().string()});
    }

    record::RunDirectory m_run;
    RunOptions m_options;
    record::JournalFollower m_follower;
    record::JournalReader m_reader;
    record::RunRecord m_record;
    ProgressDisplay m_display;
    Supervision m_supervision;
    std::size_t m_statesBefore = 0;
    int m_interrupts = 0;
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
    RANKSCOPE_TRY(record::RunDirectory run,
                  record::RunDirectory::open(fs::absolute(folder).lexically_normal()));
    const auto supervision = readSupervision(run);
    if (supervision && supervision->host == hostName() && isAlive(supervision->process))
        return fail("the run " + run.name() + " is still going, as process " +
                    std::to_string(supervision->process.pid));
    if (!fs::exists(run.job(), code))
        return fail("the run " + run.name() + " cannot be resumed: its job.json is missing");
    RANKSCOPE_TRY(const record::RunRecord record, record::openRun(run.folder()));
    if (record.state() == "done")
        return fail("the run " + run.name() + " is done; there is nothing to resume");
    return run;
}

Result<record::RunDirectory> newDirectory(const RunOptions& options)
{
    if (options.job.empty())
        return fail("name the job file to run");
    RANKSCOPE_TRY(protocol::Job job, readJobFile(options.job));
    const bool named = !options.runDirectory.empty();
    const fs::path folder = named ? fs::absolute(options.runDirectory).lexically_normal() : fs::path();
    if (named && record::RunDirectory::isRunDirectory(folder))
        return fail(folder.string() +
                    " already holds a run; add --resume to continue it, or name another folder");
    const fs::path runs = fs::absolute(options.runs.empty() ? base::defaultRunsFolder() : options.runs);
    RANKSCOPE_CHECK(checkJob(job, named ? folder : runs));
    RANKSCOPE_TRY(record::RunDirectory run,
                  named
                      ? record::RunDirectory::createAt(folder)
                      : record::RunDirectory::create(runs, protocol::runFolderName(job, std::time(nullptr))));
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

// SPDX-License-Identifier: Apache-2.0
#include "app/engine/supervisor.h"

#include "app/engine/job_request.h"
#include "core/base/files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

namespace rankscope::engine
{
namespace fs = std::filesystem;
namespace
{

/// How often journals of running jobs are looked at, and how often the folder for runs that others made.
constexpr std::chrono::milliseconds journalInterval{200};
constexpr std::chrono::seconds folderInterval{1};

tl::unexpected<RefusedCall> refuse(Refusal kind, const std::string& message)
{
    return tl::unexpected<RefusedCall>(RefusedCall{kind, message});
}

tl::unexpected<RefusedCall> unknown(const std::string& run)
{
    return refuse(Refusal::UnknownRun,
                  "there is no run named '" + run + "' here; `rankscope-engine list` lists them");
}

/// Two supervisors of one folder would start each job twice.
Result<Descriptor> lockFolder(const fs::path& runs)
{
    const fs::path path = runs / ".supervisor.lock";
    Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock.valid())
        return fail("cannot write " + path.string() + ": " + std::strerror(errno));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return fail("another supervisor looks after the runs in " + runs.string() +
                    "; use that one, or name another folder with --runs");
    return lock;
}

} // namespace

Supervisor::Supervisor(fs::path runs, int jobs, WorkerProgram worker, Descriptor lock, Descriptor wake)
    : m_runsFolder(std::move(runs)),
      m_jobs(jobs),
      m_worker(std::move(worker)),
      m_lock(std::move(lock)),
      m_wake(std::move(wake)),
      m_planner(m_worker.path())
{
}

Result<std::unique_ptr<Supervisor>> Supervisor::open(fs::path runs, int jobs, WorkerProgram worker)
{
    RANKSCOPE_CHECK(base::ensureWritableFolder(runs));
    RANKSCOPE_TRY(Descriptor lock, lockFolder(runs));
    Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake.valid())
        return fail(std::string("cannot make an event descriptor: ") + std::strerror(errno));
    std::unique_ptr<Supervisor> supervisor(
        new Supervisor(std::move(runs), jobs, std::move(worker), std::move(lock), std::move(wake)));
    supervisor->rescan();
    return supervisor;
}

void Supervisor::begin()
{
    m_thread = std::thread([this] { loop(); });
}

Supervisor::~Supervisor()
{
    m_quit = true;
    wake();
    if (m_thread.joinable())
        m_thread.join();
}

void Supervisor::wake() const
{
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t count = ::write(m_wake.get(), &one, sizeof one);
}

void Supervisor::changed()
{
    ++m_version;
    m_change.notify_all();
}

SupervisedRun* Supervisor::find(const std::string& run) const
{
    const auto found = m_runs.find(run);
    return found == m_runs.end() ? nullptr : found->second.get();
}

void Supervisor::loop()
{
    auto lastScan = std::chrono::steady_clock::now();
    while (!m_quit) {
        std::vector<pollfd> polled{{m_wake.get(), POLLIN, 0}};
        {
            const std::scoped_lock guard(m_mutex);
            for (const auto& [id, run] : m_runs) {
                if (run->hasProcess())
                    polled.push_back({run->processDescriptor(), POLLIN, 0});
            }
        }
        ::poll(polled.data(), polled.size(), static_cast<int>(journalInterval.count()));
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t drained = ::read(m_wake.get(), &count, sizeof count);

        const std::scoped_lock guard(m_mutex);
        bool news = false;
        for (const auto& [id, run] : m_runs) {
            if (!run->hasProcess())
                continue;
            news = run->readJournal() || news;
            if (run->checkProcess()) {
                spdlog::info("{}: {}{}", id, run->state(),
                             run->status().reason().empty() ? "" : ": " + run->status().reason());
                news = true;
            }
        }
        if (const auto now = std::chrono::steady_clock::now(); now - lastScan >= folderInterval) {
            news = rescan() || news;
            lastScan = now;
        }
        news = startQueued() || news;
        if (news)
            changed();
    }
}

/// Takes in runs that others put into the folder, and forgets those that were removed.
bool Supervisor::rescan()
{
    bool news = false;
    for (const auto& [id, run] : m_runs)
        news = run->refresh() || news;
    std::error_code code;
    const auto time = fs::last_write_time(m_runsFolder, code);
    if (code || time == m_folderTime)
        return news;
    m_folderTime = time;
    for (fs::directory_iterator entry(m_runsFolder, code), end; !code && entry != end;
         entry.increment(code)) {
        const std::string id = entry->path().filename().string();
        if (id.starts_with('.') || m_runs.contains(id) || !checkText(id))
            continue;
        if (!record::RunDirectory::isRunDirectory(entry->path())) {
            m_folderTime = {}; // may be one that is just being made: look again
            continue;
        }
        m_runs.emplace(id, std::make_unique<SupervisedRun>(record::RunDirectory(entry->path())));
        news = true;
    }
    for (auto run = m_runs.begin(); run != m_runs.end();) {
        const bool gone = !run->second->hasProcess() && !fs::exists(run->second->directory().folder(), code);
        news = news || gone;
        run = gone ? m_runs.erase(run) : std::next(run);
    }
    return news;
}

bool Supervisor::startQueued()
{
    bool news = false;
    for (;;) {
        int running = 0;
        SupervisedRun* next = nullptr;
        for (const auto& [id, run] : m_runs) {
            if (run->hasProcess())
                ++running;
            else if (run->queued() && (!next || run->queuedUs() < next->queuedUs()))
                next = run.get();
        }
        if (!next || running >= m_jobs)
            return news;
        if (const auto status = next->start(m_worker); !status) {
            spdlog::error("{}: {}", next->id(), status.error().message);
            next->failWith(status.error().message);
        } else {
            spdlog::info("{}: {}", next->id(), next->state());
        }
        news = true;
    }
}

CallResult<protocol::RunStatus> Supervisor::submit(const std::string& jobJson, const fs::path& folder)
{
    auto job = parseJob(jobJson, folder);
    if (!job)
        return refuse(Refusal::WrongRequest, job.error().message);
    // Reading every data row may take a while; the list and other calls go on meanwhile.
    if (const auto status = checkJob(*job, m_runsFolder); !status)
        return refuse(Refusal::WrongRequest, status.error().message);

    const std::scoped_lock guard(m_mutex);
    const auto directory =
        record::RunDirectory::create(m_runsFolder, protocol::runFolderName(*job, std::time(nullptr)));
    if (!directory)
        return refuse(Refusal::WorkFailed, directory.error().message);
    if (const auto status = writeJob(*directory, *job); !status)
        return refuse(Refusal::WorkFailed, status.error().message);
    auto run = std::make_unique<SupervisedRun>(*directory);
    if (const auto status = run->enqueue(false, lastQueuedUs()); !status)
        return refuse(Refusal::WorkFailed, status.error().message);
    const auto status = run->status();
    m_runs[run->id()] = std::move(run);
    spdlog::info("{}: queued", status.id());
    changed();
    wake();
    return status;
}

CallResult<protocol::RunStatus> Supervisor::stop(const std::string& id, bool now)
{
    const std::scoped_lock guard(m_mutex);
    SupervisedRun* run = find(id);
    if (!run)
        return unknown(id);
    const bool again = run->state() == "stopping" && !now;
    if (const auto status = run->stop(now); !status)
        return refuse(Refusal::WrongState, status.error().message);
    changed();
    auto status = run->status();
    if (again)
        status.set_reason("it was asked before and finishes its step; `rankscope-engine stop " + id +
                          " --now` ends it at once");
    return status;
}

std::int64_t Supervisor::lastQueuedUs() const
{
    std::int64_t last = 0;
    for (const auto& [id, run] : m_runs)
        last = run->queued() ? std::max(last, run->queuedUs()) : last;
    return last;
}

CallResult<SupervisedRun*> Supervisor::findResumable(const std::string& id) const
{
    SupervisedRun* run = find(id);
    if (!run)
        return unknown(id);
    run->refresh(); // another program may just have started it
    if (run->active())
        return refuse(Refusal::WrongState, "the run " + id + " is " + run->state() + " already");
    if (run->state() == "done")
        return refuse(Refusal::WrongState, "the run " + id + " is done; there is nothing to resume");
    return run;
}

CallResult<protocol::RunStatus> Supervisor::resume(const std::string& id)
{
    std::optional<record::RunDirectory> directory;
    {
        const std::scoped_lock guard(m_mutex);
        const auto run = findResumable(id);
        if (!run)
            return tl::unexpected<RefusedCall>(run.error());
        directory = (*run)->directory();
    }
    // Reading every data row may take a while; the list and other calls go on meanwhile.
    if (const auto status = checkResume(*directory); !status)
        return refuse(Refusal::WrongRequest, status.error().message);

    const std::scoped_lock guard(m_mutex);
    const auto run = findResumable(id);
    if (!run)
        return tl::unexpected<RefusedCall>(run.error());
    if (const auto status = (*run)->enqueue(true, lastQueuedUs()); !status)
        return refuse(Refusal::WorkFailed, status.error().message);
    changed();
    wake();
    return (*run)->status();
}

CallResult<std::string> Supervisor::plan(const std::string& jobJson, const fs::path& folder)
{
    auto job = parseJob(jobJson, folder);
    if (!job)
        return refuse(Refusal::WrongRequest, job.error().message);
    if (const auto status = completeSettings(*job); !status)
        return refuse(Refusal::WrongRequest, status.error().message);
    auto answer = m_planner.plan(*job);
    if (!answer)
        return refuse(Refusal::WorkFailed, answer.error().message);
    if (!answer->wrong.empty())
        return refuse(Refusal::WrongRequest, answer->wrong);
    return answer->json;
}

CallResult<std::string> Supervisor::families()
{
    auto list = m_worker.families();
    if (!list)
        return refuse(Refusal::WorkFailed, list.error().message);
    return *list;
}

Supervisor::Listing Supervisor::list() const
{
    const std::scoped_lock guard(m_mutex);
    Listing listing;
    listing.version = m_version;
    std::vector<const SupervisedRun*> runs;
    for (const auto& [id, run] : m_runs)
        runs.push_back(run.get());
    std::ranges::stable_sort(runs, std::ranges::greater(), &SupervisedRun::submittedUs);
    for (const auto* run : runs)
        *listing.list.add_runs() = run->status();
    return listing;
}

void Supervisor::waitForChange(std::uint64_t version, std::chrono::milliseconds patience) const
{
    std::unique_lock guard(m_mutex);
    m_change.wait_for(guard, patience, [&] { return m_version > version || m_quit; });
}

CallResult<Supervisor::JournalSource> Supervisor::journal(const std::string& id) const
{
    const std::scoped_lock guard(m_mutex);
    const SupervisedRun* run = find(id);
    if (!run)
        return unknown(id);
    return JournalSource{run->directory().journal(), run->active()};
}

} // namespace rankscope::engine

// SPDX-License-Identifier: Apache-2.0
#include "app/worker/train_command.h"

#include "core/base/files.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/paths.h"
#include "core/train/device.h"
#include "core/train/trainer.h"

#include <ATen/Parallel.h>
#include <algorithm>
#include <atomic>
#include <c10/core/DeviceType.h>
#include <csignal>
#include <iostream>
#include <thread>

namespace rankscope::worker
{
namespace
{

std::atomic<bool> stopRequested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set from a signal handler");

void requestStop(int)
{
    stopRequested.store(true);
}

void installSignalHandlers()
{
    struct sigaction action {
    };
    action.sa_handler = requestStop;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGHUP, SIG_IGN); // the terminal or the supervisor may go; the job stays
    // Whoever started this program held them back until now: loading its libraries takes a while.
    sigset_t held;
    ::sigemptyset(&held);
    ::sigaddset(&held, SIGINT);
    ::sigaddset(&held, SIGTERM);
    ::pthread_sigmask(SIG_UNBLOCK, &held, nullptr);
}

Result<protocol::RunDescribed> describe(const train::JobSession& session)
{
    protocol::RunDescribed description;
    description.set_job_json(session.job.toJson().dump(2));
    description.set_program_version(RANKSCOPE_VERSION);
    description.set_device(train::describe(session.model->device()));
    description.set_dtype(session.model->dtype() == at::kBFloat16 ? "bfloat16" : "float32");
    description.set_base_model(session.job.model.path);
    RANKSCOPE_TRY(const std::string hash, checkpoint::identityHash(session.identityFiles));
    description.set_base_model_sha256(hash);
    description.set_base_parameters(session.model->config().parameters());
    description.set_trainable_parameters(session.adapter->parameters().trainableElements());
    description.set_total_steps(session.job.training.steps);
    description.set_layers(session.model->config().layers);
    for (const auto& task : session.data.tasks)
        description.add_tasks(task);
    for (const auto& module : session.adapter->modules())
        description.add_modules(module);
    for (const auto& file : session.data.files) {
        auto* out = description.add_data();
        out->set_path(file.path);
        out->set_sha256(file.sha256);
        out->set_rows(file.rows);
        out->set_task(file.task);
        out->set_split(file.split);
    }
    return description;
}

std::string kindOf(const c10::Device& device)
{
    return c10::DeviceTypeName(device.type(), /*lower_case=*/true);
}

/// What "auto" came to when a run was begun, beside what it was begun with: the bits of a run depend on it.
/// Absent fields (a run of an earlier version) pin nothing.
struct Origin {
    std::string dtype;
    std::string device;
    std::int64_t threads = 0;

    static Result<Origin> of(const record::RunDirectory& directory)
    {
        Origin origin;
        RANKSCOPE_TRY(const base::Json job, base::readJsonFile(directory.job(), std::uintmax_t{16} << 20));
        const auto found = job.find(protocol::recordedKey);
        if (found == job.end() || !found->is_object())
            return origin;
        base::ObjectReader reader(*found, protocol::recordedKey);
        reader.text("dtype", origin.dtype)
            .text("device", origin.device)
            .integer("threads", origin.threads, 0, 4096);
        RANKSCOPE_CHECK(reader.finishLenient());
        return origin;
    }

    /// Fills in what the job leaves open. An error if it asks for what the run was not begun with.
    Status applyTo(protocol::Job& job) const
    {
        if (dtype.empty())
            return {};
        if (job.model.dtype != "auto" && job.model.dtype != dtype)
            return fail("model.dtype of the run's job.json is " + job.model.dtype +
                        ", but the run was begun in " + dtype + "; put it back, or start a new run");
        job.model.dtype = dtype;
        if (job.training.threads == 0)
            job.training.threads = threads;
        return {};
    }
};

/// A resumed run goes on as if it had never stopped only with the base model and the rows it began with.
Status checkUnchanged(const record::RunDescription& before, const protocol::RunDescribed& now)
{
    const std::string advice = " since this run began; put the old one back, or start a new run";
    if (!before.baseModelSha256.empty() && before.baseModelSha256 != now.base_model_sha256())
        return fail("the base model " + now.base_model() + " has changed" + advice);
    for (const auto& file : now.data()) {
        const auto known = std::ranges::find_if(before.data, [&](const record::DataFile& other) {
            return other.path == file.path() && other.split == file.split();
        });
        if (known != before.data.end() && known->sha256 != file.sha256())
            return fail("the data file " + file.path() + " has changed" + advice);
    }
    return {};
}

/// Adds to the run's own job.json with what it was begun: a run that goes on keeps what stands there.
Status recordOrigin(const record::RunDirectory& directory, const protocol::RunDescribed& description,
                    const c10::Device& device)
{
    RANKSCOPE_TRY(const std::string text, base::readFile(directory.job(), std::uintmax_t{16} << 20));
    RANKSCOPE_TRY(base::OrderedJson job, base::parseOrderedJson(text));
    if (job.contains(protocol::recordedKey))
        return {};
    base::OrderedJson files = base::OrderedJson::array();
    for (const auto& file : description.data())
        files.push_back({{"path", file.path()}, {"split", file.split()}, {"sha256", file.sha256()}});
    job[protocol::recordedKey] = {{"programVersion", description.program_version()},
                                  {"baseModelSha256", description.base_model_sha256()},
                                  {"dtype", description.dtype()},
                                  {"device", kindOf(device)},
                                  {"threads", at::get_num_threads()},
                                  {"data", std::move(files)}};
    return base::writeFileAtomically(directory.job(), job.dump(2) + "\n");
}

Status introduce(const train::JobSession& session, const protocol::RunDescribed& description,
                 const Origin& origin, train::RunLog& log)
{
    RANKSCOPE_CHECK(log.describe(description));
    if (const std::string now = kindOf(session.model->device());
        !origin.device.empty() && origin.device != now)
        RANKSCOPE_CHECK(
            log.notice("warning", "the run was begun on " + origin.device + " and goes on on " + now +
                                      ": it will not be the run, bit for bit, that was never interrupted"));
    for (const auto& sentence : session.warnings())
        RANKSCOPE_CHECK(log.notice("warning", sentence));
    return {};
}

} // namespace

int trainCommand(const std::filesystem::path& runDir, bool resume)
{
    installSignalHandlers();
    const record::RunDirectory directory(runDir);
    auto job = protocol::Job::read(directory.job());
    if (!job) {
        std::cerr << job.error().message << '\n';
        return 2;
    }
    Origin origin;
    if (resume) {
        auto begun = Origin::of(directory);
        const Status pinned = begun ? begun->applyTo(*job) : Status(fail(begun.error()));
        if (!pinned) {
            std::cerr << pinned.error().message << '\n';
            return 2;
        }
        origin = *begun;
    }
    const auto cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    at::set_num_threads(job->training.threads > 0 ? static_cast<int>(job->training.threads) : cores);
    auto log = train::RunLog::open(directory);
    if (!log) {
        std::cerr << log.error().message << '\n';
        return 1;
    }
    // The journal first: it is the truth, and a snapshot may find no room.
    auto end = [&](const char* state, const std::string& reason) {
        (void)log->state(state, reason);
        (void)log->writeSnapshot();
    };
    auto failed = [&](const std::string& message) {
        std::cerr << message << '\n';
        end("failed", message);
        return 1;
    };
    try {
        adapter::PluginLoader plugins(base::pluginFolders());
        bool cancelled = false;
        auto session = train::JobSession::open(std::move(*job), plugins, /*train=*/true,
                                               [&](std::int64_t done, std::int64_t total) {
                                                   if (done % 32 == 0)
                                                       (void)log->progress("loading", done, total, -1);
                                                   cancelled = stopRequested.load();
                                                   return !cancelled;
                                               });
        if (!session && cancelled) {
            end("stopped", "stopped while the model was being loaded");
            return 0;
        }
        if (!session)
            return failed(session.error().message);
        const auto description = describe(*session);
        if (!description)
            return failed(description.error().message);
        if (const auto status = checkUnchanged(log->run().description, *description); resume && !status) {
            std::cerr << status.error().message << '\n';
            return 2;
        }
        if (const auto status = recordOrigin(directory, *description, session->model->device()); !status)
            return failed(status.error().message);
        if (const auto status = introduce(*session, *description, origin, *log); !status)
            return failed(status.error().message);
        train::Trainer trainer(*session, directory, *log, stopRequested);
        const auto outcome = trainer.run(resume);
        return outcome ? 0 : failed(outcome.error().message);
    } catch (const c10::Error& error) {
        return failed(std::string("the job failed: ") + error.what_without_backtrace());
    } catch (const std::exception& error) {
        return failed(std::string("the job failed: ") + error.what());
    }
}

} // namespace rankscope::worker

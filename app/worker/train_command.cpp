// SPDX-License-Identifier: Apache-2.0
#include "app/worker/train_command.h"

#include "core/base/hash.h"
#include "core/base/paths.h"
#include "core/train/device.h"
#include "core/train/trainer.h"

#include <ATen/Parallel.h>
#include <atomic>
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
}

Result<protocol::RunDescribed> describe(const train::JobSession& session)
{
    protocol::RunDescribed description;
    description.set_job_json(session.job.toJson().dump(2));
    description.set_program_version(RANKSCOPE_VERSION);
    description.set_device(train::describe(session.model->device()));
    description.set_dtype(session.model->dtype() == at::kBFloat16 ? "bfloat16" : "float32");
    description.set_base_model(session.job.model.path);
    RANKSCOPE_TRY(const std::string hash, base::sha256File(session.identityFile));
    description.set_base_model_sha256(hash);
    description.set_base_parameters(session.model->config().parameters());
    description.set_trainable_parameters(session.adapter->parameters().trainableElements());
    description.set_total_steps(session.job.training.steps);
    description.set_layers(session.model->config().layers);
    for (const auto& task : session.data.tasks)
        description.add_tasks(task);
    std::vector<std::string> modules;
    for (const auto& site : session.adapter->deltaSites()) {
        if (std::find(modules.begin(), modules.end(), site.module) == modules.end())
            modules.push_back(site.module);
    }
    for (const auto& module : modules)
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

Result<train::Outcome> trainJob(protocol::Job job, const record::RunDirectory& directory, train::RunLog& log,
                                bool resume)
{
    adapter::PluginLoader plugins(base::pluginFolders());
    RANKSCOPE_TRY(auto session, train::JobSession::open(
                                    std::move(job), plugins, [&](std::int64_t done, std::int64_t total) {
                                        if (done % 32 == 0)
                                            (void)log.progress("loading", done, total, -1);
                                        return !stopRequested.load();
                                    }));
    RANKSCOPE_TRY(const auto description, describe(session));
    RANKSCOPE_CHECK(log.describe(description));
    if (session.data.droppedBytes > 0)
        RANKSCOPE_CHECK(log.notice(
            "warning", std::to_string(session.data.droppedBytes) +
                           " bytes of the data have no token in the model's vocabulary and are left out"));
    train::Trainer trainer(session, directory, log, stopRequested);
    return trainer.run(resume);
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
    const auto cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    at::set_num_threads(job->training.threads > 0 ? static_cast<int>(job->training.threads) : cores);
    auto log = train::RunLog::open(directory);
    if (!log) {
        std::cerr << log.error().message << '\n';
        return 1;
    }
    auto failed = [&](const std::string& message) {
        std::cerr << message << '\n';
        (void)log->state("failed", message);
        return 1;
    };
    try {
        const auto outcome = trainJob(std::move(*job), directory, *log, resume);
        if (outcome)
            return 0;
        if (stopRequested.load()) {
            (void)log->state("stopped", outcome.error().message);
            return 0;
        }
        return failed(outcome.error().message);
    } catch (const c10::Error& error) {
        return failed(std::string("the job failed: ") + error.what_without_backtrace());
    } catch (const std::exception& error) {
        return failed(std::string("the job failed: ") + error.what());
    }
}

} // namespace rankscope::worker

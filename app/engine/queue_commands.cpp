// SPDX-License-Identifier: Apache-2.0
#include "app/engine/queue_commands.h"

#include "app/engine/client/engine_client.h"
#include "app/engine/job_request.h"
#include "app/engine/run_report.h"
#include "app/engine/text_table.h"
#include "core/base/json.h"
#include "core/record/journal.h"

#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <mutex>

namespace rankscope::engine
{
namespace
{

using client::EngineClient;
using client::RunStatus;

base::OrderedJson statusJson(const RunStatus& run)
{
    base::OrderedJson json;
    json["id"] = run.id;
    json["path"] = run.path;
    json["name"] = run.name;
    json["family"] = run.family;
    json["state"] = run.state;
    json["reason"] = run.reason;
    json["pid"] = run.pid;
    json["step"] = run.step;
    json["totalSteps"] = run.totalSteps;
    json["loss"] = std::isfinite(run.loss) ? base::OrderedJson(run.loss) : base::OrderedJson();
    json["remainingSeconds"] =
        run.remainingSeconds >= 0 ? base::OrderedJson(run.remainingSeconds) : base::OrderedJson();
    json["phase"] = run.phase;
    json["submittedUs"] = run.submittedUs;
    return json;
}

ExitCode failure(const Error& error)
{
    return report(EngineClient::requestWasWrong() ? ExitCode::WrongRequest : ExitCode::Failed, error);
}

/// One call about one run, and its new state in a line.
ExitCode changeRun(const QueueOptions& options,
                   Result<RunStatus> (EngineClient::*call)(const std::string&) const)
{
    const auto client = EngineClient::connect(options.socket);
    if (!client)
        return report(ExitCode::Failed, client.error());
    const auto run = ((*client).*call)(options.run);
    if (!run)
        return failure(run.error());
    if (options.json)
        std::puts(statusJson(*run).dump(2).c_str());
    else
        std::printf("%s: %s\n", run->id.c_str(), run->state.c_str());
    return ExitCode::Done;
}

/// What arrives on the watch's thread, for the one that waits for it.
struct WatchedRun {
    std::mutex mutex;
    std::condition_variable news;
    record::RunRecord record;
    Status problem;
    bool changed = false;
    bool ended = false;
};

} // namespace

ExitCode submitCommand(const QueueOptions& options)
{
    const auto job = readJobFile(options.job);
    if (!job)
        return report(ExitCode::WrongRequest, job.error());
    EngineClient::StartOptions start;
    start.socket = options.socket;
    start.runsFolder = options.runs;
    const auto client = EngineClient::startIfNeeded(start);
    if (!client)
        return report(ExitCode::Failed, client.error());
    const auto run = client->submit(job->toJson().dump(), std::filesystem::current_path());
    if (!run)
        return failure(run.error());
    if (options.json)
        std::puts(statusJson(*run).dump(2).c_str());
    else
        std::printf("%s\n", run->id.c_str());
    return ExitCode::Done;
}

ExitCode listCommand(const QueueOptions& options)
{
    const auto client = EngineClient::connect(options.socket);
    if (!client)
        return report(ExitCode::Failed, client.error());
    const auto runs = client->list();
    if (!runs)
        return failure(runs.error());
    if (options.json) {
        base::OrderedJson json;
        json["runs"] = base::OrderedJson::array();
        for (const auto& run : *runs)
            json["runs"].push_back(statusJson(run));
        std::puts(json.dump(2).c_str());
        return ExitCode::Done;
    }
    TextTable table;
    table.add({"RUN", "STATE", "STEP", "LOSS", "LEFT", "NAME"});
    for (const auto& run : *runs) {
        char loss[32] = "";
        if (std::isfinite(run.loss))
            std::snprintf(loss, sizeof loss, "%.4f", run.loss);
        const std::string state = run.reason.empty() ? run.state : run.state + ": " + run.reason;
        table.add({run.id, state, std::to_string(run.step) + "/" + std::to_string(run.totalSteps), loss,
                   run.remainingSeconds >= 0 ? formatDuration(run.remainingSeconds) : "", run.name});
    }
    std::fputs(table.text().c_str(), stdout);
    return ExitCode::Done;
}

ExitCode watchCommand(const QueueOptions& options)
{
    const auto client = EngineClient::connect(options.socket);
    if (!client)
        return report(ExitCode::Failed, client.error());
    const auto runs = client->list();
    if (!runs)
        return failure(runs.error());
    std::string path;
    for (const auto& run : *runs) {
        if (run.id == options.run)
            path = run.path;
    }
    if (path.empty())
        return report(ExitCode::WrongRequest, Error{"there is no run named '" + options.run +
                                                    "'; `rankscope-engine list` lists them"});
    WatchedRun watched;
    const auto watch = client->watchRun(
        options.run, 0,
        [&watched](client::JournalPart part) {
            const std::scoped_lock guard(watched.mutex);
            for (const auto& event : part.events) {
                if (const auto status = record::applyEvent(watched.record, event); !status)
                    watched.problem = status;
            }
            watched.changed = true;
            watched.news.notify_one();
        },
        [&watched](const Status& status) {
            const std::scoped_lock guard(watched.mutex);
            if (!status)
                watched.problem = status;
            watched.ended = true;
            watched.news.notify_one();
        });
    ProgressDisplay display(options.json);
    std::unique_lock guard(watched.mutex);
    while (!watched.ended) {
        watched.news.wait(guard, [&] { return watched.changed || watched.ended; });
        watched.changed = false;
        display.show(watched.record);
    }
    display.finish();
    if (!watched.problem)
        return report(ExitCode::Failed, watched.problem.error());
    if (options.json)
        std::puts(resultJson(watched.record, options.run, path).dump(2).c_str());
    else
        std::fputs(resultTable(watched.record).c_str(), stdout);
    const std::string state = watched.record.state();
    if (state == "done" || state == "stopped")
        return ExitCode::Done;
    const std::string why = watched.record.states.empty() ? "" : ": " + watched.record.states.back().reason;
    return report(ExitCode::Failed,
                  Error{"the run " + options.run + " is " + (state.empty() ? "lost" : state) + why});
}

ExitCode stopCommand(const QueueOptions& options)
{
    return changeRun(options, &EngineClient::stop);
}

ExitCode resumeCommand(const QueueOptions& options)
{
    return changeRun(options, &EngineClient::resume);
}

} // namespace rankscope::engine

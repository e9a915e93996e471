// SPDX-License-Identifier: Apache-2.0
#include "app/engine/queue_commands.h"

#include "app/engine/client/engine_client.h"
#include "app/engine/job_request.h"
#include "app/engine/run_report.h"
#include "app/engine/text_table.h"
#include "core/base/json.h"
#include "core/base/paths.h"
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

/// A shell completes the name of a folder with a slash.
std::string runName(const QueueOptions& options)
{
    return options.run.substr(0, options.run.find_last_not_of('/') + 1);
}

std::string stateText(const RunStatus& run)
{
    return run.reason.empty() ? run.state : run.state + ": " + run.reason;
}

/// A run's new state in a line.
ExitCode answer(const Result<RunStatus>& run, bool json)
{
    if (!run)
        return failure(run.error());
    if (json)
        std::puts(statusJson(*run).dump(2).c_str());
    else
        std::printf("%s: %s\n", run->id.c_str(), stateText(*run).c_str());
    return ExitCode::Done;
}

/// The job as a supervisor will check it, and where it will put its run.
Result<EngineClient::StartOptions> checkedStart(const QueueOptions& options, protocol::Job job)
{
    EngineClient::StartOptions start;
    start.socket = options.socket;
    RANKSCOPE_TRY(start.runsFolder, base::runsFolder(options.runs));
    RANKSCOPE_CHECK(checkJob(job, start.runsFolder));
    return start;
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
    auto client = EngineClient::connect(options.socket);
    if (!client) {
        // Checked first: a wrong job leaves no supervisor behind.
        const auto start = checkedStart(options, *job);
        if (!start)
            return report(ExitCode::WrongRequest, start.error());
        client = EngineClient::startIfNeeded(*start);
    }
    if (!client)
        return report(ExitCode::Failed, client.error());
    const auto run = client->submit(job->toJson().dump(), "/"); // its paths are absolute
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
        table.add({run.id, stateText(run), std::to_string(run.step) + "/" + std::to_string(run.totalSteps),
                   loss, run.remainingSeconds >= 0 ? formatDuration(run.remainingSeconds) : "", run.name});
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
    const std::string name = runName(options);
    std::string path;
    for (const auto& run : *runs) {
        if (run.id == name)
            path = run.path;
    }
    if (path.empty())
        return report(ExitCode::WrongRequest,
                      Error{"there is no run named '" + name + "'; `rankscope-engine list` lists them"});
    WatchedRun watched;
    const auto watch = client->watchRun(
        name, 0,
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
        std::puts(resultJson(watched.record, name, path).dump(2).c_str());
    else
        std::fputs(resultTable(watched.record).c_str(), stdout);
    const std::string state = watched.record.state();
    if (state == "done" || state == "stopped")
        return ExitCode::Done;
    const std::string why = watched.record.states.empty() ? "" : ": " + watched.record.states.back().reason;
    return report(ExitCode::Failed,
                  Error{"the run " + name + " is " + (state.empty() ? "lost" : state) + why});
}

ExitCode stopCommand(const QueueOptions& options)
{
    const auto client = EngineClient::connect(options.socket);
    if (!client)
        return report(ExitCode::Failed, client.error());
    return answer(client->stop(runName(options), options.now), options.json);
}

ExitCode resumeCommand(const QueueOptions& options)
{
    const auto client = EngineClient::connect(options.socket);
    if (!client)
        return report(ExitCode::Failed, client.error());
    return answer(client->resume(runName(options)), options.json);
}

} // namespace rankscope::engine

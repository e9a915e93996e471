// SPDX-License-Identifier: Apache-2.0
#include "app/engine/run_report.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <limits>
#include <optional>
#include <sys/ioctl.h>
#include <unistd.h>

namespace rankscope::engine
{
namespace
{

__attribute__((format(printf, 1, 2))) std::string format(const char* pattern, ...)
{
    char buffer[512];
    va_list arguments;
    va_start(arguments, pattern);
    std::vsnprintf(buffer, sizeof buffer, pattern, arguments);
    va_end(arguments);
    return buffer;
}

std::optional<double> lastOf(const record::RunRecord& run, const char* name)
{
    const record::Measure* measure = run.measure(name);
    if (!measure || measure->info().size() != 1 || measure->empty() || std::isnan(measure->last()))
        return std::nullopt;
    return measure->last();
}

base::OrderedJson number(std::optional<double> value)
{
    return value && std::isfinite(*value) ? base::OrderedJson(*value) : base::OrderedJson();
}

/// One task's value of an evaluation measure at a recorded row.
std::optional<double> taskValue(const record::Measure* measure, std::size_t row, std::size_t task)
{
    if (!measure || row >= measure->steps().size() || task >= measure->info().size())
        return std::nullopt;
    const float value = measure->row(row)[task];
    return std::isnan(value) ? std::nullopt : std::optional<double>(value);
}

struct TaskResult {
    std::string task;
    std::optional<double> accuracyBefore;
    std::optional<double> accuracyAfter;
    std::optional<double> lossBefore;
    std::optional<double> lossAfter;
};

/// Step 0 is the untouched base model; the last row after it is the result.
void pick(const record::Measure* measure, std::size_t task, std::optional<double>& before,
          std::optional<double>& after)
{
    if (!measure || measure->empty())
        return;
    if (measure->steps().front() == 0)
        before = taskValue(measure, 0, task);
    if (measure->steps().back() > 0)
        after = taskValue(measure, measure->steps().size() - 1, task);
}

std::vector<TaskResult> taskResults(const record::RunRecord& run)
{
    const record::Measure* accuracy = run.measure("eval/accuracy");
    const record::Measure* loss = run.measure("eval/loss");
    const record::Measure* either = accuracy ? accuracy : loss;
    std::vector<TaskResult> results;
    if (!either || either->info().axes.size() != 1)
        return results;
    for (std::size_t task = 0; task < either->info().size(); ++task) {
        TaskResult result;
        result.task = either->info().axes[0].labels[task];
        pick(accuracy, task, result.accuracyBefore, result.accuracyAfter);
        pick(loss, task, result.lossBefore, result.lossAfter);
        results.push_back(std::move(result));
    }
    return results;
}

std::optional<double> mean(const std::vector<TaskResult>& results, std::optional<double> TaskResult::*field)
{
    double sum = 0;
    int count = 0;
    for (const auto& result : results) {
        if (result.*field) {
            sum += *(result.*field);
            ++count;
        }
    }
    return count > 0 ? std::optional<double>(sum / count) : std::nullopt;
}

std::string percent(std::optional<double> value)
{
    return value ? format("%.1f%%", 100 * *value) : "-";
}

std::string plain(std::optional<double> value)
{
    return value ? format("%.4f", *value) : "-";
}

/// The last thing the journal says in [start, end): when a process was last seen that did not say how it
/// ended.
std::int64_t lastSeen(const record::RunRecord& run, std::int64_t start, std::int64_t end)
{
    std::int64_t last = start;
    const auto see = [&](std::int64_t time) { last = time < end ? std::max(last, time) : last; };
    see(run.progress.timeUs);
    for (const auto& checkpoint : run.checkpoints)
        see(checkpoint.timeUs);
    for (const auto& notice : run.notices)
        see(notice.timeUs);
    return last;
}

/// Seconds in which the run was running, without those in which it lay stopped. A clock that was set back
/// takes nothing away.
double elapsed(const record::RunRecord& run)
{
    const auto& states = run.states;
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < states.size(); ++i) {
        if (states[i].state != "running")
            continue;
        std::size_t next = i + 1;
        while (next < states.size() && states[next].state == "stopping")
            ++next;
        std::int64_t end =
            next < states.size() ? states[next].timeUs : std::numeric_limits<std::int64_t>::max();
        if (next == states.size() || states[next].state == "running")
            end = lastSeen(run, states[i].timeUs, end);
        sum += std::max<std::int64_t>(0, end - states[i].timeUs);
    }
    return static_cast<double>(sum) / 1e6;
}

std::size_t terminalWidth()
{
    winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 10 ? size.ws_col : 120;
}

} // namespace

std::string formatDuration(double seconds)
{
    const auto whole = static_cast<long long>(std::llround(std::max(0.0, seconds)));
    if (whole >= 3600)
        return format("%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
    return format("%lld:%02lld", whole / 60, whole % 60);
}

std::string formatBytes(double bytes)
{
    if (bytes >= 1e9)
        return format("%.1f GB", bytes / 1e9);
    return format("%.0f MB", bytes / 1e6);
}

std::string progressLine(const record::RunRecord& run)
{
    const auto& progress = run.progress;
    std::string line;
    const std::int64_t step = run.lastStep();
    if (step > 0 || progress.phase == "training")
        line = "step " + std::to_string(step) + "/" + std::to_string(run.description.totalSteps);
    if (!progress.phase.empty() && progress.phase != "training") {
        line += (line.empty() ? "" : "  ") + progress.phase;
        if (progress.total > 0)
            line += " " + std::to_string(progress.done) + "/" + std::to_string(progress.total);
    }
    if (line.empty())
        line = run.state().empty() ? "starting" : run.state();
    if (const auto loss = lastOf(run, "train/loss"))
        line += format("  loss %.4f", *loss);
    if (const auto speed = lastOf(run, "train/tokens_per_second"))
        line += format("  %.0f tok/s", *speed);
    if (const auto memory = lastOf(run, "train/memory"))
        line += "  " + formatBytes(*memory);
    if (progress.remainingSeconds >= 0)
        line += "  " + formatDuration(progress.remainingSeconds) + " left";
    return line;
}

std::string resultTable(const record::RunRecord& run)
{
    std::string text;
    const auto results = taskResults(run);
    if (!results.empty()) {
        std::size_t width = 4;
        for (const auto& result : results)
            width = std::max(width, result.task.size());
        const auto row = [&](const std::string& task, const std::string& a, const std::string& b,
                             const std::string& c, const std::string& d) {
            text += task + std::string(width - std::min(width, task.size()), ' ');
            text += format("  %9s  %9s  %9s  %9s\n", a.c_str(), b.c_str(), c.c_str(), d.c_str());
        };
        row("", "accuracy", "", "loss", "");
        row("task", "before", "after", "before", "after");
        for (const auto& result : results)
            row(result.task, percent(result.accuracyBefore), percent(result.accuracyAfter),
                plain(result.lossBefore), plain(result.lossAfter));
        if (results.size() > 1)
            row("mean", percent(mean(results, &TaskResult::accuracyBefore)),
                percent(mean(results, &TaskResult::accuracyAfter)),
                plain(mean(results, &TaskResult::lossBefore)), plain(mean(results, &TaskResult::lossAfter)));
    }
    text += run.state() + " at step " + std::to_string(run.lastStep()) + " of " +
            std::to_string(run.description.totalSteps) + " after " + formatDuration(elapsed(run));
    if (const auto loss = lastOf(run, "train/loss"))
        text += format(", training loss %.4f", *loss);
    return text + "\n";
}

base::OrderedJson resultJson(const record::RunRecord& run, const std::string& name, const std::string& path)
{
    base::OrderedJson json;
    json["run"] = name;
    json["path"] = path;
    json["state"] = run.state();
    json["reason"] = run.states.empty() ? "" : run.states.back().reason;
    json["step"] = run.lastStep();
    json["totalSteps"] = run.description.totalSteps;
    json["trainableParameters"] = run.description.trainableParameters;
    json["baseParameters"] = run.description.baseParameters;
    json["seconds"] = elapsed(run);
    json["trainLoss"] = number(lastOf(run, "train/loss"));
    json["tokensSeen"] = number(lastOf(run, "train/tokens_seen"));
    json["tokensPerSecond"] = number(lastOf(run, "train/tokens_per_second"));
    json["samplesPerSecond"] = number(lastOf(run, "train/samples_per_second"));
    json["peakMemoryBytes"] = number(lastOf(run, "train/memory"));
    const auto results = taskResults(run);
    json["meanAccuracyBefore"] = number(mean(results, &TaskResult::accuracyBefore));
    json["meanAccuracyAfter"] = number(mean(results, &TaskResult::accuracyAfter));
    json["tasks"] = base::OrderedJson::array();
    for (const auto& result : results) {
        base::OrderedJson task;
        task["task"] = result.task;
        task["accuracyBefore"] = number(result.accuracyBefore);
        task["accuracyAfter"] = number(result.accuracyAfter);
        task["lossBefore"] = number(result.lossBefore);
        task["lossAfter"] = number(result.lossAfter);
        json["tasks"].push_back(std::move(task));
    }
    return json;
}

ProgressDisplay::ProgressDisplay(bool quiet) : m_quiet(quiet), m_terminal(::isatty(STDERR_FILENO) == 1) {}

ProgressDisplay::~ProgressDisplay()
{
    finish();
}

void ProgressDisplay::clear()
{
    if (m_drawn)
        std::fputs("\r\033[K", stderr);
    m_drawn = false;
}

void ProgressDisplay::say(const std::string& line)
{
    clear();
    std::fprintf(stderr, "%s\n", line.c_str());
    m_last.clear();
}

void ProgressDisplay::show(const record::RunRecord& run)
{
    for (; m_notices < run.notices.size(); ++m_notices) {
        const auto& notice = run.notices[m_notices];
        if (notice.severity != "info")
            say(notice.severity + ": " + notice.text);
    }
    if (m_quiet)
        return;
    std::string line = progressLine(run);
    const auto now = std::chrono::steady_clock::now();
    if (!m_terminal) {
        // A log wants a line now and then, not one for every step.
        if (line == m_last || now - m_lastTime < std::chrono::seconds(10))
            return;
        std::fprintf(stderr, "%s\n", line.c_str());
    } else {
        if (line == m_last && m_drawn)
            return;
        clear();
        std::fputs(line.substr(0, terminalWidth() - 1).c_str(), stderr);
        std::fflush(stderr);
        m_drawn = true;
    }
    m_last = std::move(line);
    m_lastTime = now;
}

void ProgressDisplay::finish()
{
    if (m_drawn)
        std::fputs("\n", stderr);
    m_drawn = false;
}

} // namespace rankscope::engine

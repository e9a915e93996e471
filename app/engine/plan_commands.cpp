// SPDX-License-Identifier: Apache-2.0
#include "app/engine/plan_commands.h"

#include "app/engine/job_request.h"
#include "app/engine/run_report.h"
#include "app/engine/text_table.h"
#include "app/engine/worker_program.h"
#include "core/base/json.h"

#include <cstdio>
#include <iomanip>
#include <sstream>

namespace rankscope::engine
{
namespace fs = std::filesystem;
namespace
{

/// A field of a JSON object as a person reads it; empty if it is absent or null.
std::string fieldText(const base::OrderedJson& object, const char* key)
{
    const auto found = object.find(key);
    if (found == object.end() || found->is_null())
        return {};
    return found->is_string() ? found->get<std::string>() : found->dump();
}

/// 26311680 -> "26,311,680"
std::string grouped(std::int64_t number)
{
    std::string digits = std::to_string(number);
    for (auto at = std::ssize(digits) - 3; at > 0; at -= 3)
        digits.insert(static_cast<std::size_t>(at), ",");
    return digits;
}

std::string percent(double value)
{
    std::ostringstream text;
    text << std::setprecision(3) << value << " %";
    return text.str();
}

/// The plan for a person.
std::string planText(const base::OrderedJson& plan)
{
    const auto trainable = plan.value("trainableParameters", std::int64_t{0});
    const auto activated = plan.value("activatedParameters", trainable);
    TextTable table;
    table.add(
        {"trainable parameters",
         grouped(trainable) +
             (activated < trainable ? ", " + grouped(activated) + " of them for one token" : std::string())});
    table.add({"base model", grouped(plan.value("baseParameters", std::int64_t{0})) + " parameters"});
    table.add({"share", percent(plan.value("percentOfBase", 0.0)) + " of the base model, " +
                            percent(plan.value("trainablePercent", 0.0)) + " of all parameters"});
    const auto tokens = plan.value("batchTokens", std::int64_t{0});
    table.add({"memory",
               "about " + formatBytes(plan.value("memoryBytes", 0.0)) +
                   (tokens > 0 ? " for batches of up to " + grouped(tokens) + " tokens" : std::string())});
    return table.text();
}

} // namespace

ExitCode planCommand(const fs::path& file, bool json)
{
    auto job = readJobFile(file);
    if (!job)
        return report(ExitCode::WrongRequest, job.error());
    if (const auto status = completeSettings(*job); !status)
        return report(ExitCode::WrongRequest, status.error());
    const auto worker = WorkerProgram::find();
    if (!worker)
        return report(ExitCode::WrongRequest, worker.error());
    const auto text = worker->plan(*job);
    if (!text)
        return report(ExitCode::WrongRequest, text.error());
    const auto plan = base::parseOrderedJson(*text);
    if (!plan || !plan->is_object())
        return report(ExitCode::Failed, Error{"rankscope-worker plan did not print a JSON object"});
    if (json) {
        std::puts(plan->dump(2).c_str());
        return ExitCode::Done;
    }
    std::fputs(planText(*plan).c_str(), stdout);
    return ExitCode::Done;
}

ExitCode familiesCommand(bool json)
{
    const auto worker = WorkerProgram::find();
    if (!worker)
        return report(ExitCode::WrongRequest, worker.error());
    const auto text = worker->families();
    if (!text)
        return report(ExitCode::Failed, text.error());
    const auto list = base::parseOrderedJson(*text);
    if (!list)
        return report(ExitCode::Failed,
                      Error{"rankscope-worker families did not print JSON: " + list.error().message});
    if (json) {
        std::puts(list->dump(2).c_str());
        return ExitCode::Done;
    }
    const auto families = list->is_object() ? list->find("families") : list->end();
    const base::OrderedJson& rows = list->is_object() && families != list->end() ? *families : *list;
    TextTable table;
    table.add({"FAMILY", "STATE", "TITLE OR ERROR"});
    for (const auto& family : rows) {
        const std::string error = family.is_object() ? fieldText(family, "error") : std::string();
        if (family.is_object())
            table.add({fieldText(family, "name"), fieldText(family, "state"),
                       error.empty() ? fieldText(family, "title") : error});
    }
    std::fputs(table.text().c_str(), stdout);
    return ExitCode::Done;
}

} // namespace rankscope::engine

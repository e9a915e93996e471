// SPDX-License-Identifier: Apache-2.0
#include "app/worker/describe_commands.h"

#include "core/base/paths.h"
#include "core/train/job_session.h"

#include <iostream>

namespace rankscope::worker
{
namespace
{

base::OrderedJson planJson(const train::JobPlan& plan)
{
    return {{"trainableParameters", plan.trainableParameters},
            {"activatedParameters", plan.activatedParameters},
            {"baseParameters", plan.baseParameters},
            {"trainablePercent", plan.trainablePercent},
            {"percentOfBase", plan.percentOfBase},
            {"memoryBytes", plan.memoryBytes},
            {"batchTokens", plan.batchTokens}};
}

} // namespace

int checkCommand(const std::filesystem::path& jobFile)
{
    auto job = protocol::Job::read(jobFile);
    adapter::PluginLoader plugins(base::pluginFolders());
    const auto needs = job ? train::checkJob(*job, plugins) : tl::unexpected<Error>(job.error());
    if (!needs) {
        std::cerr << needs.error().message << '\n';
        return 2;
    }
    std::cout << base::OrderedJson{{"checkpointBytes", needs->checkpointBytes}}.dump() << '\n';
    return 0;
}

int planCommand(const std::filesystem::path& jobFile)
{
    const auto job = protocol::Job::read(jobFile);
    adapter::PluginLoader plugins(base::pluginFolders());
    const auto plan = job ? train::planJob(*job, plugins) : Result<train::JobPlan>(fail(job.error()));
    if (!plan) {
        std::cerr << plan.error().message << '\n';
        return 2;
    }
    std::cout << planJson(*plan).dump() << '\n';
    return 0;
}

int servePlans()
{
    adapter::PluginLoader plugins(base::pluginFolders());
    std::string line;
    while (std::getline(std::cin, line)) {
        auto answer = [&]() -> Result<train::JobPlan> {
            RANKSCOPE_TRY(const base::Json request, base::parseJson(line));
            if (!request.is_object() || !request.contains("job"))
                return fail("a plan request is a JSON object with the field job");
            RANKSCOPE_TRY(const auto job, protocol::Job::fromJson(request.at("job")));
            return train::planJob(job, plugins);
        }();
        const base::OrderedJson json =
            answer ? planJson(*answer) : base::OrderedJson{{"error", answer.error().message}};
        std::cout << json.dump() << std::endl; // flushed: the other side waits for the line
    }
    return 0;
}

int familiesCommand()
{
    adapter::PluginLoader plugins(base::pluginFolders());
    plugins.loadAll();
    base::OrderedJson list = base::OrderedJson::array();
    for (const auto& plugin : plugins.plugins()) {
        base::OrderedJson entry{{"name", plugin.manifest.name},
                                {"title", plugin.manifest.title},
                                {"state", adapter::name(plugin.state)},
                                {"path", plugin.manifest.folder.string()},
                                {"error", plugin.error},
                                {"scope", plugin.manifest.scope},
                                {"routing", plugin.manifest.routing},
                                {"mergeable", plugin.manifest.mergeable}};
        base::OrderedJson settings = base::OrderedJson::object();
        for (const auto& setting : plugin.manifest.settings)
            settings[setting.name] = {{"title", setting.title},
                                      {"default", setting.defaultValue},
                                      {"description", setting.description}};
        entry["settings"] = std::move(settings);
        list.push_back(std::move(entry));
    }
    std::cout << list.dump(2) << '\n';
    return 0;
}

} // namespace rankscope::worker

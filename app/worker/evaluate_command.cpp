// SPDX-License-Identifier: Apache-2.0
#include "app/worker/evaluate_command.h"

#include "app/worker/located_checkpoint.h"
#include "app/worker/report.h"
#include "core/base/paths.h"
#include "core/train/checkpoint.h"
#include "core/train/evaluation.h"
#include "core/train/job_session.h"

#include <iomanip>
#include <iostream>

namespace rankscope::worker
{
int evaluateCommand(const std::filesystem::path& runOrCheckpoint, const std::vector<std::string>& data,
                    bool json)
{
    auto located = LocatedCheckpoint::find(runOrCheckpoint);
    if (!located)
        return report(located.error().message, 2);
    if (!data.empty()) {
        located->job.data.test = data;
        located->job.data.testRows = 0; // the run's own limit is on its own files
    }
    adapter::PluginLoader plugins(base::pluginFolders());
    auto session = train::JobSession::open(located->job, plugins, /*train=*/false, {});
    if (!session)
        return report(session.error().message, 2);
    if (const auto status = located->checkBase(session->identityFiles); !status)
        return report(status.error().message, 2);
    if (session->data.test.empty())
        return report("there is nothing to evaluate on: name files with --data", 2);
    if (const auto status = train::loadAdapter(located->folder, session->job, session->adapter->parameters());
        !status)
        return report(status.error().message, 1);
    for (const auto& sentence : session->warnings())
        std::cerr << sentence << '\n';
    const train::Evaluator evaluator = session->evaluator();
    base::OrderedJson result{{"checkpoint", located->folder.string()},
                             {"tasks", base::OrderedJson::object()}};
    for (std::size_t i = 0; i < session->data.test.size(); ++i) {
        const auto& file = session->data.test[i];
        const auto score = evaluator.evaluate(
            file, [](std::int64_t) { return true; }, session->data.trainedTask(i));
        result["tasks"][file.task] = {
            {"accuracy", score->accuracy}, {"loss", score->loss}, {"rows", score->rows}};
        if (!json)
            std::cout << std::left << std::setw(24) << file.task << std::right << std::fixed
                      << std::setprecision(1) << std::setw(7) << 100 * score->accuracy << " %   loss "
                      << std::setprecision(3) << score->loss << "   " << score->rows << " rows" << std::endl;
    }
    if (json)
        std::cout << result.dump() << '\n';
    return 0;
}

} // namespace rankscope::worker

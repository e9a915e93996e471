// SPDX-License-Identifier: Apache-2.0
#include "app/worker/evaluate_command.h"

#include "core/base/paths.h"
#include "core/record/run_directory.h"
#include "core/train/checkpoint.h"
#include "core/train/evaluation.h"
#include "core/train/job_session.h"

#include <iomanip>
#include <iostream>

namespace rankscope::worker {
namespace {

struct Located {
    protocol::Job job;
    std::filesystem::path checkpoint;
};

/// The checkpoint meant by a path, and the job of the run it belongs to.
Result<Located> locate(const std::filesystem::path& path)
{
    const bool isCheckpoint = std::filesystem::exists(path / "adapter_model.safetensors");
    const auto folder = isCheckpoint ? std::filesystem::absolute(path).lexically_normal().parent_path().parent_path() : path;
    RANKSCOPE_TRY(const auto directory, record::RunDirectory::open(folder));
    Located located;
    RANKSCOPE_TRY(located.job, protocol::Job::read(directory.job()));
    if (isCheckpoint) {
        located.checkpoint = path;
    } else {
        const auto last = directory.lastCheckpoint();
        if (!last)
            return fail("the run " + folder.string() + " has no complete checkpoint to evaluate");
        located.checkpoint = last->folder;
    }
    return located;
}

} // namespace

int evaluateCommand(const std::filesystem::path& runOrCheckpoint, const std::vector<std::string>& data, bool json)
{
    auto wrong = [](const Error& error, int status) {
        std::cerr << error.message << '\n';
        return status;
    };
    auto located = locate(runOrCheckpoint);
    if (!located)
        return wrong(located.error(), 2);
    if (!data.empty())
        located->job.data.test = data;
    adapter::PluginLoader plugins(base::pluginFolders());
    auto session = train::JobSession::open(located->job, plugins, {});
    if (!session)
        return wrong(session.error(), 2);
    if (session->data.test.empty())
        return wrong(Error{"there is nothing to evaluate on: name files with --data"}, 2);
    if (const auto status = train::loadAdapter(located->checkpoint, session->adapter->parameters()); !status)
        return wrong(status.error(), 1);
    const train::Evaluator evaluator(*session->model, *session->tokenizer, session->chat, session->job);
    base::OrderedJson result{{"checkpoint", located->checkpoint.string()}, {"tasks", base::OrderedJson::object()}};
    for (std::size_t i = 0; i < session->data.test.size(); ++i) {
        const auto& file = session->data.test[i];
        const auto score = evaluator.evaluate(file, [](std::int64_t) { return true; }, session->data.testTask[i]);
        result["tasks"][file.task] = {{"accuracy", score->accuracy}, {"loss", score->loss}, {"rows", score->rows}};
        if (!json)
            std::cout << std::left << std::setw(24) << file.task << std::right << std::fixed << std::setprecision(1)
                      << std::setw(7) << 100 * score->accuracy << " %   loss " << std::setprecision(3) << score->loss
                      << "   " << score->rows << " rows" << std::endl;
    }
    if (json)
        std::cout << result.dump() << '\n';
    return 0;
}

} // namespace rankscope::worker

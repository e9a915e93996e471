// SPDX-License-Identifier: Apache-2.0
#include "core/train/task_data.h"

#include "core/base/hash.h"

#include <algorithm>

namespace rankscope::train
{

Result<TaskData> TaskData::read(const protocol::Job& job, const text::Tokenizer& tokenizer,
                                const text::ChatTemplate& chat, bool train)
{
    TaskData data;
    auto taskIndex = [&](const std::string& name) {
        const auto found = std::find(data.tasks.begin(), data.tasks.end(), name);
        if (found == data.tasks.end())
            data.tasks.push_back(name);
        return static_cast<std::int32_t>(std::find(data.tasks.begin(), data.tasks.end(), name) -
                                         data.tasks.begin());
    };
    auto note = [&](const text::TaskFile& file, const std::string& split) -> Status {
        RANKSCOPE_TRY(const std::string hash, base::sha256File(file.path));
        data.files.push_back(
            {file.path.string(), hash, static_cast<std::int64_t>(file.rows.size()), file.task, split});
        return {};
    };
    if (job.data.train.empty())
        return fail("data.train names no file; give at least one .json or .jsonl file of training rows");
    for (const auto& path : job.data.train) {
        if (!train) {
            taskIndex(text::taskName(path));
            continue;
        }
        RANKSCOPE_TRY(const auto file, text::readTaskFile(path, job.data.trainRows));
        const std::int32_t task = taskIndex(file.task);
        RANKSCOPE_CHECK(note(file, "train"));
        for (std::size_t row = 0; row < file.rows.size(); ++row) {
            auto example =
                text::makeExample(file.rows[row], tokenizer, chat, job.data.maxLength, &data.omissions);
            example.task = task;
            example.row = static_cast<std::int64_t>(row);
            data.train.push_back(std::move(example));
        }
    }
    data.trainedTasks = static_cast<std::int64_t>(data.tasks.size());
    for (const auto& path : job.data.test) {
        RANKSCOPE_TRY(auto file, text::readTaskFile(path, job.data.testRows));
        for (const auto& other : data.test) {
            if (other.task == file.task)
                return fail("the test files " + other.path.string() + " and " + file.path.string() +
                            " are both of the task " + file.task +
                            ", whose accuracy is one number; join them, or rename one or its folder");
        }
        RANKSCOPE_CHECK(note(file, "test"));
        for (const auto& row : file.rows)
            text::makeTestExample(row, tokenizer, chat, job.data.maxLength, &data.testOmissions);
        data.testTask.push_back(taskIndex(file.task));
        data.test.push_back(std::move(file));
    }
    return data;
}

std::int64_t TaskData::trainedTask(std::size_t file) const
{
    const std::int64_t task = testTask[file];
    return task < trainedTasks ? task : -1;
}

std::vector<std::string> TaskData::losses(std::int64_t maxLength) const
{
    std::vector<std::string> sentences;
    const std::string limit = std::to_string(maxLength) + " tokens";
    if (const std::size_t bytes = omissions.bytes + testOmissions.bytes; bytes > 0)
        sentences.push_back(std::to_string(bytes) +
                            " bytes of the data have no token in the model's vocabulary and are left out");
    if (omissions.rows > 0)
        sentences.push_back(std::to_string(omissions.rows) + " of " + std::to_string(train.size()) +
                            " training rows are longer than " + limit +
                            " and are cut; raise data.maxLength to keep them whole");
    if (testOmissions.rows > 0) {
        std::size_t rows = 0;
        for (const auto& file : test)
            rows += file.rows.size();
        sentences.push_back(std::to_string(testOmissions.rows) + " of " + std::to_string(rows) +
                            " test rows have a prompt or an answer longer than " + limit +
                            ", which is cut; raise data.maxLength to keep it whole");
    }
    return sentences;
}

} // namespace rankscope::train

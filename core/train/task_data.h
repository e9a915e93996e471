// SPDX-License-Identifier: Apache-2.0
// The rows of a job, tokenised, with the task of each.
#pragma once

#include "core/base/result.h"
#include "core/protocol/job.h"
#include "core/record/run_record.h"
#include "core/text/dataset.h"

#include <memory>
#include <string>
#include <vector>

namespace rankscope::train
{

struct TaskData {
    std::vector<std::string> tasks; ///< names; the index is the task of a row
    std::vector<text::Example> train;
    std::vector<text::TaskFile> test;    ///< in the order of the job; rows as text
    std::vector<std::int32_t> testTask;  ///< task of each test file
    std::int64_t trainedTasks = 0;       ///< of `tasks`, the first so many have training rows
    std::vector<record::DataFile> files; ///< for the journal
    text::Omissions omissions;           ///< of the training rows
    text::Omissions testOmissions;

    /// Reads and checks every row. `train` false: the training files are taken by name alone, for what is
    /// done with a trained adapter. Errors name file and line; two test files of one task.
    static Result<TaskData> read(const protocol::Job& job, const text::Tokenizer& tokenizer,
                                 const text::ChatTemplate& chat, bool train = true);

    /// The task of a test file for a router that has learned a gate for each task: -1 for one that it was not
    /// trained on.
    [[nodiscard]] std::int64_t trainedTask(std::size_t file) const;

    /// What the rows lost on their way to tokens, a sentence for each kind; `maxLength` is the job's.
    [[nodiscard]] std::vector<std::string> losses(std::int64_t maxLength) const;
};

} // namespace rankscope::train

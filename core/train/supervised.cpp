// SPDX-License-Identifier: Apache-2.0
#include "core/train/supervised.h"

#include <ATen/ops/tensor.h>
#include <algorithm>

namespace rankscope::train
{
namespace
{

/// The first answer token that has a predecessor to be predicted from.
std::int64_t firstLabel(const text::Example& example)
{
    return std::max<std::int64_t>(1, example.promptLength);
}

} // namespace

SupervisedPass makeSupervisedPass(const std::vector<const text::Example*>& examples,
                                  const SupervisedOptions& options, at::Device device)
{
    const std::int64_t left = options.wholeRows ? 0 : 1; // out, of each row
    std::vector<std::vector<std::int32_t>> rows;
    std::vector<std::int64_t> positions;
    std::vector<std::int64_t> labels;
    std::vector<std::int64_t> task;
    std::vector<std::int64_t> tasks;
    std::vector<std::int64_t> prompts;
    std::int64_t start = 0;
    for (const auto* example : examples) {
        const auto size = static_cast<std::int64_t>(example->ids.size());
        for (std::int64_t label = firstLabel(*example); label < size; ++label) {
            positions.push_back(start + label - 1);
            labels.push_back(example->ids[label]);
            task.push_back(example->task);
        }
        rows.emplace_back(example->ids.begin(), example->ids.end() - left);
        tasks.push_back(example->task);
        prompts.push_back(std::min(example->promptLength, size - left));
        start += size - left;
    }
    SupervisedPass result;
    result.pass = model::makePass(rows, options.training, device);
    result.pass.tasks = std::move(tasks);
    result.pass.promptLengths = std::move(prompts);
    result.positions = at::tensor(positions, at::kLong).to(device);
    result.labels = at::tensor(labels, at::kLong).to(device);
    result.task = at::tensor(task, at::kLong);
    return result;
}

std::int64_t supervisedTokens(const std::vector<const text::Example*>& examples)
{
    std::int64_t total = 0;
    for (const auto* example : examples)
        total +=
            std::max<std::int64_t>(0, static_cast<std::int64_t>(example->ids.size()) - firstLabel(*example));
    return total;
}

} // namespace rankscope::train

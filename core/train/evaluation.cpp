// SPDX-License-Identifier: Apache-2.0
#include "core/train/evaluation.h"

#include "core/train/supervised.h"
#include "kernels/loss_head/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <algorithm>
#include <c10/core/GradMode.h>
#include <numeric>

namespace rankscope::train
{
namespace
{

/// Indices sorted by length: rows of one batch are then of like length.
template <typename Length>
std::vector<std::size_t> byLength(std::size_t count, Length length)
{
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return length(a) < length(b); });
    return order;
}

model::KvCache makeCache(const model::Decoder& model, const std::vector<std::vector<text::TokenId>>& prompts,
                         std::int64_t more)
{
    std::size_t longest = 0;
    for (const auto& prompt : prompts)
        longest = std::max(longest, prompt.size());
    const auto& config = model.config();
    return {config.layers,
            static_cast<std::int64_t>(prompts.size()),
            static_cast<std::int64_t>(longest) + more,
            config.kvHeads,
            config.headDim,
            model.dtype(),
            model.device()};
}

/// Hidden states of the last token of each row.
at::Tensor lastTokens(const at::Tensor& hidden, const model::Pass& pass)
{
    std::vector<std::int64_t> last;
    for (std::int64_t row = 0; row < pass.rows(); ++row)
        last.push_back(pass.starts[row + 1] - 1);
    return hidden.index_select(0, at::tensor(last, at::kLong).to(hidden.device()));
}

/// Of each row with its candidates.
std::vector<std::int64_t> tasksOf(const std::vector<std::vector<text::Example>>& examples)
{
    std::vector<std::int64_t> tasks;
    for (const auto& candidates : examples)
        tasks.push_back(candidates.front().task);
    return tasks;
}

} // namespace

text::Example Evaluator::example(const text::Row& row, std::int64_t task) const
{
    text::Example result = text::makeTestExample(row, m_tokenizer, m_chat, m_job.data.maxLength);
    result.task = static_cast<std::int32_t>(task);
    return result;
}

model::Pass Evaluator::makePass(const std::vector<std::vector<text::TokenId>>& rows) const
{
    model::Pass pass = model::makePass(rows, false, m_model.device());
    pass.bare = m_options.bare;
    return pass;
}

std::optional<TaskScore> Evaluator::evaluate(const text::TaskFile& file, const Progress& progress,
                                             std::int64_t task) const
{
    const at::NoGradGuard guard;
    std::vector<const text::Row*> compared;
    std::vector<const text::Row*> open;
    for (const auto& row : file.rows)
        (row.choices.empty() && file.choices.empty() ? open : compared).push_back(&row);
    Sum sum;
    if (!compareChoices(compared, file.choices, sum, progress, task) ||
        !answerOpen(open, sum, progress, task))
        return std::nullopt;
    return TaskScore{static_cast<double>(sum.right) / static_cast<double>(sum.rows),
                     sum.loss / static_cast<double>(sum.tokens), sum.rows};
}

std::vector<double> Evaluator::scoreWhole(const std::vector<std::vector<text::Example>>& examples) const
{
    std::vector<const text::Example*> rows;
    for (const auto& candidates : examples) {
        for (const auto& candidate : candidates)
            rows.push_back(&candidate);
    }
    const at::Tensor each = answerLosses(rows).second.to(at::kCPU, at::kDouble);
    std::vector<double> score;
    const auto* next = each.const_data_ptr<double>();
    for (const auto* row : rows) {
        score.push_back(0);
        for (auto t = row->promptLength; t < static_cast<std::int64_t>(row->ids.size()); ++t)
            score.back() -= *next++;
    }
    return score;
}

std::vector<double>
Evaluator::scoreBehindPrompts(const std::vector<std::vector<text::Example>>& examples) const
{
    std::vector<std::vector<text::TokenId>> prompts;
    std::int64_t longestAnswer = 0;
    for (const auto& candidates : examples) {
        const auto& first = candidates.front();
        prompts.emplace_back(first.ids.begin(), first.ids.begin() + first.promptLength);
        for (const auto& candidate : candidates)
            longestAnswer = std::max(longestAnswer, static_cast<std::int64_t>(candidate.ids.size()) -
                                                        candidate.promptLength);
    }
    // The prompt once, then all its candidates behind copies of its keys and values.
    model::KvCache cache = makeCache(m_model, prompts, longestAnswer);
    model::Pass pass = makePass(prompts);
    pass.tasks = tasksOf(examples);
    pass.cache = &cache;
    const at::Tensor first = at::log_softmax(m_model.logits(lastTokens(m_model.forward(pass), pass)), -1);

    std::vector<std::int64_t> rowOf;
    std::vector<std::int64_t> firstToken; ///< of each answer, its place among the scores of all rows
    std::vector<std::vector<text::TokenId>> answers;
    for (std::size_t row = 0; row < examples.size(); ++row) {
        for (const auto& candidate : examples[row]) {
            rowOf.push_back(static_cast<std::int64_t>(row));
            answers.emplace_back(candidate.ids.begin() + candidate.promptLength, candidate.ids.end());
            firstToken.push_back(rowOf.back() * first.size(1) + answers.back().front());
        }
    }
    const at::Tensor firstScore = first.flatten()
                                      .index_select(0, at::tensor(firstToken, at::kLong).to(first.device()))
                                      .to(at::kCPU, at::kDouble);
    std::vector<double> score(firstScore.const_data_ptr<double>(),
                              firstScore.const_data_ptr<double>() + firstScore.numel());
    std::vector<std::int64_t> positions;
    std::vector<std::int64_t> labels;
    std::vector<std::vector<text::TokenId>> inputs;
    std::int64_t start = 0;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        for (std::size_t t = 1; t < answers[i].size(); ++t) {
            positions.push_back(start + static_cast<std::int64_t>(t) - 1);
            labels.push_back(answers[i][t]);
        }
        inputs.emplace_back(answers[i].begin(), answers[i].end() - 1);
        start += static_cast<std::int64_t>(inputs.back().size());
    }
    if (!positions.empty()) {
        cache.select(rowOf);
        model::Pass extension = makePass(inputs);
        for (const std::int64_t row : rowOf)
            extension.tasks.push_back(pass.tasks[static_cast<std::size_t>(row)]);
        extension.cache = &cache;
        const at::Tensor hidden = m_model.forward(extension);
        const at::Tensor chosen =
            hidden.index_select(0, at::tensor(positions, at::kLong).to(hidden.device()));
        const at::Tensor each = kernels::lossHead(chosen, m_model.outputEmbedding(),
                                                  at::tensor(labels, at::kLong).to(hidden.device()))
                                    .second.to(at::kCPU, at::kDouble);
        std::int64_t next = 0;
        for (std::size_t i = 0; i < answers.size(); ++i) {
            for (std::size_t t = 1; t < answers[i].size(); ++t)
                score[i] -= each.const_data_ptr<double>()[next++];
        }
    }
    return score;
}

Evaluator::Choice Evaluator::choose(const std::vector<std::vector<text::Example>>& examples,
                                    const std::vector<std::size_t>& gold) const
{
    const auto score = m_options.causal ? scoreBehindPrompts(examples) : scoreWhole(examples);
    Choice result;
    auto begin = score.begin();
    for (std::size_t row = 0; row < examples.size(); ++row) {
        const auto end = begin + static_cast<std::ptrdiff_t>(examples[row].size());
        const text::Example& right = examples[row][gold[row]];
        result.chosen.push_back(static_cast<std::size_t>(std::max_element(begin, end) - begin));
        result.loss -= begin[static_cast<std::ptrdiff_t>(gold[row])];
        result.tokens += static_cast<std::int64_t>(right.ids.size()) - right.promptLength;
        begin = end;
    }
    return result;
}

bool Evaluator::compareChoices(const std::vector<const text::Row*>& rows,
                               const std::vector<std::string>& choices, Sum& sum, const Progress& progress,
                               std::int64_t task) const
{
    std::vector<std::vector<text::Example>> candidates;
    std::vector<std::size_t> gold;
    for (const auto* row : rows) {
        const auto& outputs = row->choices.empty() ? choices : row->choices;
        std::vector<text::Example> examples;
        std::size_t right = outputs.size();
        for (std::size_t c = 0; c < outputs.size(); ++c) {
            text::Row candidate = *row;
            candidate.output = outputs[c];
            examples.push_back(example(candidate, task));
            if (right == outputs.size() && outputs[c] == row->output)
                right = c; // of equal candidates the first, which is also the one chosen
        }
        if (right == outputs.size())
            examples.push_back(
                example(*row, task)); // an output that the list forgot is a candidate all the same
        gold.push_back(right);
        candidates.push_back(std::move(examples));
    }
    const auto order =
        byLength(candidates.size(), [&](std::size_t i) { return candidates[i].front().promptLength; });
    const auto batch = static_cast<std::size_t>(m_job.evaluation.batchSize);
    for (std::size_t start = 0; start < order.size(); start += batch) {
        const std::size_t end = std::min(order.size(), start + batch);
        std::vector<std::vector<text::Example>> examples;
        std::vector<std::size_t> right;
        for (std::size_t i = start; i < end; ++i) {
            examples.push_back(candidates[order[i]]);
            right.push_back(gold[order[i]]);
        }
        const Choice choice = choose(examples, right);
        for (std::size_t i = 0; i < right.size(); ++i)
            sum.right += choice.chosen[i] == right[i] ? 1 : 0;
        sum.loss += choice.loss;
        sum.tokens += choice.tokens;
        sum.rows += static_cast<std::int64_t>(right.size());
        if (!progress(sum.rows))
            return false;
    }
    return true;
}

std::pair<at::Tensor, at::Tensor> Evaluator::answerLosses(const std::vector<const text::Example*>& rows) const
{
    auto supervised = makeSupervisedPass(rows, {.wholeRows = !m_options.causal}, m_model.device());
    supervised.pass.bare = m_options.bare;
    const at::Tensor hidden = m_model.forward(supervised.pass).index_select(0, supervised.positions);
    return kernels::lossHead(hidden, m_model.outputEmbedding(), supervised.labels);
}

bool Evaluator::answerOpen(const std::vector<const text::Row*>& rows, Sum& sum, const Progress& progress,
                           std::int64_t task) const
{
    std::vector<text::Example> examples;
    for (const auto* row : rows)
        examples.push_back(example(*row, task));
    const auto order = byLength(examples.size(), [&](std::size_t i) { return examples[i].promptLength; });
    const auto batch = static_cast<std::size_t>(m_job.evaluation.batchSize);
    for (std::size_t start = 0; start < order.size(); start += batch) {
        const std::size_t end = std::min(order.size(), start + batch);
        std::vector<std::vector<text::TokenId>> prompts;
        std::vector<const text::Example*> asked;
        for (std::size_t i = start; i < end; ++i) {
            const auto& one = examples[order[i]];
            prompts.emplace_back(one.ids.begin(), one.ids.begin() + one.promptLength);
            asked.push_back(&one);
        }
        const auto [loss, each] = answerLosses(asked);
        sum.loss += loss.item<double>();
        sum.tokens += each.size(0);
        const auto texts = generate(prompts, task);
        for (std::size_t i = 0; i < texts.size(); ++i)
            sum.right += text::answers(texts[i], *rows[order[start + i]]) ? 1 : 0;
        sum.rows += static_cast<std::int64_t>(texts.size());
        if (!progress(sum.rows))
            return false;
    }
    return true;
}

std::vector<std::string> Evaluator::generate(const std::vector<std::vector<text::TokenId>>& prompts,
                                             std::int64_t task) const
{
    const at::NoGradGuard guard;
    std::vector<text::TokenId> ends{m_tokenizer.endOfText()};
    if (const auto turn = m_tokenizer.encode(m_chat.endOfTurn()).ids; !turn.empty())
        ends.push_back(turn.front());
    model::KvCache cache = makeCache(m_model, prompts, m_job.evaluation.maxNewTokens);
    std::vector<std::vector<text::TokenId>> generated(prompts.size());
    std::vector<std::size_t> active(prompts.size()); ///< the prompt that each row of the cache belongs to
    std::iota(active.begin(), active.end(), 0);
    std::vector<std::vector<text::TokenId>> inputs = prompts;
    for (std::int64_t step = 0; step < m_job.evaluation.maxNewTokens && !active.empty(); ++step) {
        model::Pass pass = makePass(inputs);
        pass.tasks.assign(inputs.size(), task);
        pass.cache = &cache;
        const at::Tensor next = m_model.logits(lastTokens(m_model.forward(pass), pass)).argmax(-1).cpu();
        std::vector<std::int64_t> kept;
        std::vector<std::size_t> still;
        inputs.clear();
        for (std::size_t row = 0; row < active.size(); ++row) {
            const auto token = static_cast<text::TokenId>(next.const_data_ptr<std::int64_t>()[row]);
            if (std::find(ends.begin(), ends.end(), token) != ends.end())
                continue;
            generated[active[row]].push_back(token);
            inputs.push_back({token});
            kept.push_back(static_cast<std::int64_t>(row));
            still.push_back(active[row]);
        }
        if (still.size() < active.size() && !still.empty())
            cache.select(kept);
        active = std::move(still);
    }
    std::vector<std::string> texts;
    for (const auto& tokens : generated)
        texts.push_back(m_tokenizer.decode(tokens));
    return texts;
}

} // namespace rankscope::train

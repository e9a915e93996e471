// SPDX-License-Identifier: Apache-2.0
// Accuracy and loss on test rows, by task. Choices are compared by likelihood; open answers are decoded
// greedily.
#pragma once

#include "core/adapter/family.h"
#include "core/model/decoder.h"
#include "core/protocol/job.h"
#include "core/text/dataset.h"
#include "core/text/tokenizer.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rankscope::train
{

struct TaskScore {
    double accuracy = 0;
    double loss = 0; ///< mean negative log-likelihood of the answers' tokens, nats
    std::int64_t rows = 0;
};

struct EvaluatorOptions {
    /// No token sees a later one of its row. Where an adapter lets it (SMEAR merges its experts for the whole
    /// row), candidates are scored as whole rows, as in training, not behind a prompt kept from before.
    bool causal = true;
    /// The base model without its adapter.
    bool bare = false;
};

class Evaluator
{
public:
    Evaluator(const model::Decoder& model, const text::Tokenizer& tokenizer, const text::ChatTemplate& chat,
              const protocol::Job& job, const EvaluatorOptions& options = {})
        : m_model(model),
          m_tokenizer(tokenizer),
          m_chat(chat),
          m_job(job),
          m_options(options)
    {
    }

    /// Called with the rows done; false ends the evaluation early.
    using Progress = std::function<bool(std::int64_t rows)>;

    /// One task's rows. `task`: its number among the run's tasks, which routers may read; -1: none. nullopt
    /// if `progress` ended it.
    [[nodiscard]] std::optional<TaskScore> evaluate(const text::TaskFile& file, const Progress& progress,
                                                    std::int64_t task = -1) const;

    /// Greedy continuations of these prompts, up to the end of the turn.
    [[nodiscard]] std::vector<std::string> generate(const std::vector<std::vector<text::TokenId>>& prompts,
                                                    std::int64_t task = -1) const;

private:
    /// Rows whose answers are compared by likelihood: the chosen candidate of each, and the loss of the right
    /// one.
    struct Choice {
        std::vector<std::size_t> chosen;
        double loss = 0;
        std::int64_t tokens = 0;
    };
    /// examples[row][candidate]; every candidate of a row has the same prompt. gold[row]: the right
    /// candidate.
    [[nodiscard]] Choice choose(const std::vector<std::vector<text::Example>>& examples,
                                const std::vector<std::size_t>& gold) const;
    /// Log-likelihoods of the candidates' answers, one row's after the other's.
    [[nodiscard]] std::vector<double>
    scoreBehindPrompts(const std::vector<std::vector<text::Example>>& examples) const;
    [[nodiscard]] std::vector<double>
    scoreWhole(const std::vector<std::vector<text::Example>>& examples) const;
    /// The loss of the answers' tokens in one pass over whole rows: summed, and of each token.
    [[nodiscard]] std::pair<at::Tensor, at::Tensor>
    answerLosses(const std::vector<const text::Example*>& rows) const;
    /// What a task's rows add up to.
    struct Sum {
        std::int64_t right = 0;
        double loss = 0;
        std::int64_t tokens = 0;
        std::int64_t rows = 0;
    };
    /// Both add to `sum` and return false if `progress` ended them. `choices`: of rows that list none.
    [[nodiscard]] bool compareChoices(const std::vector<const text::Row*>& rows,
                                      const std::vector<std::string>& choices, Sum& sum,
                                      const Progress& progress, std::int64_t task) const;
    [[nodiscard]] bool answerOpen(const std::vector<const text::Row*>& rows, Sum& sum,
                                  const Progress& progress, std::int64_t task) const;
    [[nodiscard]] text::Example example(const text::Row& row, std::int64_t task) const;
    [[nodiscard]] model::Pass makePass(const std::vector<std::vector<text::TokenId>>& rows) const;

    const model::Decoder& m_model;
    const text::Tokenizer& m_tokenizer;
    const text::ChatTemplate& m_chat;
    const protocol::Job& m_job;
    EvaluatorOptions m_options;
};

} // namespace rankscope::train

// SPDX-License-Identifier: Apache-2.0
// The evaluator on the bundled model, against the slow and plain way: every sequence whole, no cache, full
// logits.
#include "core/base/paths.h"
#include "core/train/evaluation.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

namespace rankscope::train
{
namespace
{

class EvaluatorTest : public testing::Test
{
protected:
    static void SetUpTestSuite()
    {
        at::set_num_threads(2);
        const auto path = base::defaultModel();
        const auto files = checkpoint::BaseModelFiles::open(path);
        ASSERT_TRUE(files) << files.error().message;
        auto loaded = model::Decoder::load(**files, {});
        ASSERT_TRUE(loaded) << loaded.error().message;
        decoder = std::move(*loaded);
        tokenizer = *text::Tokenizer::open(path);
        chat = *text::ChatTemplate::forModel(path);
    }
    static void TearDownTestSuite() { decoder.reset(); }
    void SetUp() override
    {
        ASSERT_TRUE(decoder);
        m_job.data.maxLength = 96;
        m_job.evaluation.batchSize = 2; // fewer than the rows: several batches
        m_job.evaluation.maxNewTokens = 6;
    }

    static text::Row row(const std::string& question, const std::string& output,
                         const std::vector<std::string>& choices = {})
    {
        return {{{"user", question}}, output, output, choices};
    }
    [[nodiscard]] text::Example example(text::Row row, const std::string& output) const
    {
        row.output = output;
        return text::makeTestExample(row, *tokenizer, chat, m_job.data.maxLength);
    }
    /// Log-likelihood of an example's answer, from the logits of the whole sequence.
    static double logLikelihood(const text::Example& example)
    {
        const at::Tensor logProbability =
            decoder->logits(decoder->forward(model::makePass({example.ids}, false))).log_softmax(-1);
        double sum = 0;
        for (auto label = example.promptLength; label < static_cast<std::int64_t>(example.ids.size());
             ++label)
            sum += logProbability[label - 1][example.ids[label]].item<double>();
        return sum;
    }
    /// Nats a token of the right answers.
    [[nodiscard]] double meanLoss(const text::TaskFile& file) const
    {
        double loss = 0;
        std::size_t tokens = 0;
        for (const auto& each : file.rows) {
            const auto made = example(each, each.output);
            loss -= logLikelihood(made);
            tokens += made.ids.size() - static_cast<std::size_t>(made.promptLength);
        }
        return loss / static_cast<double>(tokens);
    }
    static std::string naiveDecode(std::vector<text::TokenId> ids, std::int64_t limit)
    {
        std::vector<text::TokenId> said;
        const text::TokenId turn = tokenizer->find("<|im_end|>");
        for (std::int64_t i = 0; i < limit; ++i) {
            const at::Tensor hidden = decoder->forward(model::makePass({ids}, false));
            const auto next = static_cast<text::TokenId>(
                decoder->logits(hidden.slice(0, -1)).argmax().item<std::int64_t>());
            if (next == turn || next == tokenizer->endOfText())
                break;
            ids.push_back(next);
            said.push_back(next);
        }
        return tokenizer->decode(said);
    }
    [[nodiscard]] TaskScore evaluate(const text::TaskFile& file, bool causal = true) const
    {
        const Evaluator evaluator(*decoder, *tokenizer, chat, m_job, {.causal = causal});
        const auto score = evaluator.evaluate(file, [](std::int64_t) { return true; });
        EXPECT_TRUE(score);
        return score.value_or(TaskScore{});
    }

    static inline std::unique_ptr<model::Decoder> decoder;
    static inline std::shared_ptr<const text::Tokenizer> tokenizer;
    static inline text::ChatTemplate chat{text::ChatTemplate::Format::Plain};
    protocol::Job m_job;
    at::NoGradGuard m_noGradients;
};

TEST_F(EvaluatorTest, ChoicesAreComparedByTheLikelihoodOfWholeSequences)
{
    text::TaskFile file;
    // Of different length, one the beginning of another.
    file.choices = {"yes", "no", "no, never", "the correct answer is answer2"};
    for (const char* question :
         {"Can a stone swim across the whole ocean?", "Is water wet?", "Do cats bark?"})
        file.rows.push_back(row(question, file.choices[file.rows.size() + 1]));

    const double loss = meanLoss(file);
    std::size_t right = 0;
    for (const auto& asked : file.rows) {
        std::vector<double> likelihoods;
        for (const auto& choice : file.choices)
            likelihoods.push_back(logLikelihood(example(asked, choice)));
        const auto best = std::max_element(likelihoods.begin(), likelihoods.end()) - likelihoods.begin();
        right += file.choices[static_cast<std::size_t>(best)] == asked.output ? 1 : 0;
    }
    for (const bool causal : {true, false}) { // behind a kept prompt, and as whole rows
        const TaskScore score = evaluate(file, causal);
        EXPECT_EQ(score.rows, 3);
        EXPECT_DOUBLE_EQ(score.accuracy, static_cast<double>(right) / 3);
        EXPECT_NEAR(score.loss, loss, 1e-4);
    }
}

TEST_F(EvaluatorTest, ARowsOwnChoicesGoBeforeTheTasks)
{
    text::TaskFile file;
    file.rows = {row("Name a colour.", "blue", {"blue", "seven hundred"}), row("Name a number.", "7", {"7"}),
                 row("Name an animal.", "cat", {"xq zzvk 83", "cat"})};
    file.choices = {"blue", "seven hundred", "7", "xq zzvk 83", "cat"};
    const TaskScore score = evaluate(file);
    EXPECT_EQ(score.rows, 3);
    EXPECT_DOUBLE_EQ(score.accuracy, 1);
}

/// A row that lists nothing beside rows that do is decoded: it is no choice among what they list.
TEST_F(EvaluatorTest, ARowWithoutChoicesAmongOthersIsAnOpenOne)
{
    const auto asked = example(row("What is the capital of France?", "x"), "x");
    const std::string said = naiveDecode({asked.ids.begin(), asked.ids.begin() + asked.promptLength},
                                         m_job.evaluation.maxNewTokens);
    text::TaskFile file;
    file.rows = {row("Say hi.", "xq zzvk 83"), row("Name a colour.", "blue", {"blue", "seven hundred"}),
                 row("What is the capital of France?", said)};
    std::vector<std::int64_t> seen;
    const Evaluator evaluator(*decoder, *tokenizer, chat, m_job);
    const auto score = evaluator.evaluate(file, [&](std::int64_t rows) {
        seen.push_back(rows);
        return true;
    });
    ASSERT_TRUE(score);
    EXPECT_EQ(seen, (std::vector<std::int64_t>{1, 3})) << "one count over both kinds";
    EXPECT_EQ(score->rows, 3);
    EXPECT_DOUBLE_EQ(score->accuracy, 2.0 / 3);
    EXPECT_NEAR(score->loss, meanLoss(file), 1e-4);

    // Compared with nothing but its own output it would always be right.
    file.rows = {row("Name a colour.", "blue", {"blue", "xq zzvk 83"}),
                 row("What is the capital of France?", "seven hundred")};
    EXPECT_DOUBLE_EQ(evaluate(file).accuracy, 0.5);
}

/// Equal candidates are one answer, whichever of them is taken.
TEST_F(EvaluatorTest, OfEqualChoicesEachIsTheRightOne)
{
    text::TaskFile file;
    file.rows = {row("Name a colour.", "blue", {"blue", "xq zzvk 83", "blue"})};
    EXPECT_DOUBLE_EQ(evaluate(file).accuracy, 1);
}

TEST_F(EvaluatorTest, GreedyDecodingIsTheArgmaxOfEachStep)
{
    std::vector<std::vector<text::TokenId>> prompts;
    std::vector<std::string> expected;
    for (const char* question :
         {"What is the capital of France?", "Say hi.", "Reply with the single word: blue"}) {
        const auto made = example(row(question, "x"), "x");
        prompts.emplace_back(made.ids.begin(), made.ids.begin() + made.promptLength);
        expected.push_back(naiveDecode(prompts.back(), m_job.evaluation.maxNewTokens));
        EXPECT_FALSE(expected.back().empty()) << question;
    }
    const Evaluator evaluator(*decoder, *tokenizer, chat, m_job);
    EXPECT_EQ(evaluator.generate(prompts), expected);
}

TEST_F(EvaluatorTest, OpenAnswersAreDecodedAndTheirLossIsThatOfWholeSequences)
{
    text::TaskFile file;
    const auto asked = example(row("What is the capital of France?", "x"), "x");
    const std::string said = naiveDecode({asked.ids.begin(), asked.ids.begin() + asked.promptLength},
                                         m_job.evaluation.maxNewTokens);
    file.rows = {row("Is it late in the evening already?", "vvv"),
                 row("What is the capital of France?", said),
                 row("Say hi.", "quite something else altogether"), row("Count.", "zzz qqq")};
    const TaskScore score = evaluate(file);
    EXPECT_EQ(score.rows, 4);
    EXPECT_DOUBLE_EQ(score.accuracy, 0.25);
    EXPECT_NEAR(score.loss, meanLoss(file), 1e-4);
}

TEST_F(EvaluatorTest, AnAnswerThatFillsTheWholeLengthStillHasSomethingToBePredictedFrom)
{
    m_job.data.maxLength = 8;
    text::TaskFile file;
    const std::string longAnswer = "one two three four five six seven eight nine ten";
    file.rows = {row("Count.", longAnswer, {longAnswer, "no"}),
                 row("Count again.", "no", {longAnswer, "no"})};
    EXPECT_EQ(evaluate(file).rows, 2);
    for (auto& each : file.rows)
        each.choices.clear();
    EXPECT_EQ(evaluate(file).rows, 2);
}

/// Sees the tasks of every pass.
class TaskSpy : public model::LinearAdapter
{
public:
    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override
    {
        EXPECT_EQ(pass.tasks, std::vector<std::int64_t>(static_cast<std::size_t>(pass.rows()), 5));
        ++passes;
        return base.forward(x);
    }
    int passes = 0;
};

TEST_F(EvaluatorTest, EveryPassSaysWhichTaskItsRowsBelongTo)
{
    text::TaskFile choices;
    choices.choices = {"yes", "never at all"};
    choices.rows = {row("Is water wet?", "yes"), row("Do cats bark?", "never at all"), row("Is it?", "yes")};
    text::TaskFile open;
    open.rows = {row("Say hi.", "hi"), row("Count to three.", "1 2 3")};
    const Evaluator evaluator(*decoder, *tokenizer, chat, m_job);
    TaskSpy spy;
    decoder->linear(0, "q_proj")->adapter = &spy;
    EXPECT_TRUE(evaluator.evaluate(
        choices, [](std::int64_t) { return true; }, 5));
    EXPECT_EQ(spy.passes, 4); // two batches of prompt and candidates
    EXPECT_TRUE(evaluator.evaluate(
        open, [](std::int64_t) { return true; }, 5));
    decoder->linear(0, "q_proj")->adapter = nullptr;
    EXPECT_GT(spy.passes, 5);
}

TEST_F(EvaluatorTest, StopsWhenAsked)
{
    text::TaskFile file;
    for (int i = 0; i < 4; ++i)
        file.rows.push_back(row("Is it?", "yes", {"yes", "no"}));
    const Evaluator evaluator(*decoder, *tokenizer, chat, m_job);
    std::int64_t seen = 0;
    const auto score = evaluator.evaluate(file, [&](std::int64_t rows) {
        seen = rows;
        return rows < 2;
    });
    EXPECT_FALSE(score);
    EXPECT_EQ(seen, 2);
}

} // namespace
} // namespace rankscope::train

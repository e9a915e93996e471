// SPDX-License-Identifier: Apache-2.0
#include "tests/parity/device/short_run.h"

#include "core/train/trainer.h"
#include "tests/unit/record/temporary_folder.h"

#include <gtest/gtest.h>

namespace rankscope::parity
{
namespace
{

using conformance::Variant;

constexpr std::int64_t interruptedAt = 2;

/// A character is a token.
class Characters : public text::Tokenizer
{
public:
    explicit Characters(std::int64_t vocabulary) : m_vocabulary(vocabulary) {}
    [[nodiscard]] Encoding encode(std::string_view text, bool) const override
    {
        Encoding encoding;
        for (const unsigned char c : text)
            encoding.ids.push_back(static_cast<text::TokenId>(1 + c % (m_vocabulary - 1)));
        return encoding;
    }
    [[nodiscard]] std::string decode(std::span<const text::TokenId> ids, bool) const override
    {
        std::string text;
        for (const text::TokenId id : ids)
            text += static_cast<char>('0' + id);
        return text;
    }
    [[nodiscard]] std::size_t vocabularySize() const override
    {
        return static_cast<std::size_t>(m_vocabulary);
    }
    [[nodiscard]] text::TokenId find(std::string_view) const override { return -1; }
    [[nodiscard]] text::TokenId endOfText() const override { return 0; }

private:
    std::int64_t m_vocabulary;
};

train::TaskData someData()
{
    train::TaskData data;
    data.tasks = {"one", "two", "untrained"};
    data.trainedTasks = 2;
    data.train = {{{5, 9, 2, 31, 7, 14}, 3, 0, 0},     {{11, 3, 3, 28}, 2, 1, 0},
                  {{1, 20, 4, 6, 8, 13, 22}, 4, 0, 1}, {{17, 2, 9}, 1, 1, 1},
                  {{12, 30, 2, 1, 38}, 2, 0, 2},       {{6, 7}, 1, 1, 2}};
    const auto row = [](const std::string& question, const std::string& output,
                        const std::vector<std::string>& choices) {
        return text::Row{{{"user", question}}, output, output, choices};
    };
    text::TaskFile compared{
        "one.jsonl", "one", {row("2+2", "no", {}), row("is it", "yes", {})}, {"yes", "no"}};
    compared.rows.push_back(row("a", "b", {"b", "cde"}));
    text::TaskFile open{"new.jsonl", "untrained", {row("why", "thus", {}), row("whence", "far", {})}, {}};
    data.test = {compared, open};
    data.testTask = {0, 2};
    return data;
}

train::JobSession sessionOf(const Variant& variant, const RunOptions& options, std::int64_t steps)
{
    const auto& manifest = conformance::plugin(variant.family).manifest;
    train::JobSession session;
    protocol::Job& job = session.job;
    job.name = variant.name();
    job.adapter = {variant.family, variant.settings};
    job.training.steps = steps;
    job.training.batchSize = 2;
    job.training.gradientAccumulation = 2;
    job.training.learningRate = 1e-2;
    job.training.schedule = "constant";
    job.training.warmup = 0;
    job.training.checkpointEvery = options.bare ? 0 : interruptedAt;
    job.evaluation = {options.bare ? 0 : interruptedAt, false, 3, 2};
    job.analysis = {options.bare ? 0 : 1, 1e6}; // all of them, however long they take
    session.tokenizer = std::make_shared<Characters>(variant.model.vocabulary);
    session.data = someData();
    if (options.bare)
        session.data.test.clear();
    conformance::Subject subject = conformance::attach(variant, 7, options.base, options.device);
    session.model = std::move(subject.model);
    session.adapter = std::move(subject.adapter);
    session.causal = !manifest.nonCausal.holds(variant.settings);
    session.routed = manifest.routing != "none";
    return session;
}

/// The settings with everything on that makes a training pass random.
Variant noisy(const Variant& variant)
{
    const auto& manifest = conformance::plugin(variant.family).manifest;
    Variant result = variant;
    for (const auto& name : conformance::noiseSettings(manifest))
        result.settings[name] = 0.1;
    const auto complete = manifest.complete(result.settings);
    EXPECT_TRUE(complete) << complete.error().message;
    return result;
}

} // namespace

ShortRun shortRun(const Variant& variant, const RunOptions& options)
{
    const test::TemporaryFolder folder;
    const record::RunDirectory directory(folder.path());
    const Variant trained = options.bare ? variant : noisy(variant);
    ShortRun result;
    const auto train = [&](std::int64_t steps, bool resume) {
        train::JobSession session = sessionOf(trained, options, steps);
        auto log = train::RunLog::open(directory).value();
        const std::atomic<bool> stop{false};
        train::Trainer trainer(session, directory, log, stop);
        const auto outcome = trainer.run(resume);
        ASSERT_TRUE(outcome) << outcome.error().message;
        result.record = log.run();
        if (!options.bare)
            result.answers = session.evaluator().generate({{3, 1, 4}, {1, 5}, {9, 2, 6, 5, 3}}, 1);
    };
    if (options.interrupted)
        train(interruptedAt, false);
    train(options.steps, options.interrupted);
    return result;
}

} // namespace rankscope::parity

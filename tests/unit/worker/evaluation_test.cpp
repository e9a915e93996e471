// SPDX-License-Identifier: Apache-2.0
// What is evaluated: which rows, with which model, and of which checkpoint.
#include "core/base/paths.h"
#include "core/text/tokenizer.h"
#include "tests/unit/worker/job_fixture.h"

#include <algorithm>
#include <cmath>
#include <fstream>

namespace rankscope::worker::test
{
namespace
{

namespace fs = std::filesystem;

class Evaluation : public JobTest
{
};

/// Test losses of step 0, by task.
std::vector<float> lossesBefore(const record::RunRecord& run)
{
    const auto* loss = run.measure("eval/loss");
    if (!loss || loss->empty() || loss->steps().front() != 0)
        return {};
    const auto row = loss->row(0);
    return {row.begin(), row.end()};
}

TEST_F(Evaluation, BeforeTrainingIsThatOfTheBaseModelWhateverTheAdapterStartsAs)
{
    const std::string job =
        R"({"data":{"test":["capitals.jsonl","sums.jsonl"]},"evaluation":{"before":true,"maxNewTokens":2},)"
        R"("training":{"steps":1,"learningRate":1e-9},)";
    const auto lora = train("lora", job + R"("adapter":{"family":"lora","settings":{"rank":1}}})");
    // A switch router weighs an expert's output by a probability: the block's output is not the base's.
    const auto changed = train(
        "switch", job + R"("adapter":{"family":"mixlora","settings":{"router":"switch","experts":2}}})");
    const auto expected = lossesBefore(read(lora));
    const auto actual = lossesBefore(read(changed));
    ASSERT_EQ(expected.size(), 2U);
    ASSERT_EQ(actual.size(), 2U);
    for (std::size_t task = 0; task < 2; ++task)
        EXPECT_NEAR(actual[task], expected[task], 1e-5);
    const auto after = read(changed).measure("eval/loss")->row(1);
    EXPECT_GT(std::abs(after[0] - expected[0]), 0.1) << "this adapter changes nothing: it tests nothing";
}

TEST_F(Evaluation, TakesEveryRowOfTheFilesItIsGiven)
{
    const auto run = train("run", R"({"data":{"testRows":1},"training":{"steps":1}})");
    const auto asked =
        engine({"evaluate", run.folder().string(), "--data", (m_folder / "sums.jsonl").string(), "--json"});
    ASSERT_EQ(asked.exitStatus(), 0) << asked.error;
    const auto answer = base::parseJson(asked.output);
    ASSERT_TRUE(answer) << asked.output;
    EXPECT_EQ(answer->at("tasks").at("sums").at("rows"), 2);
}

TEST_F(Evaluation, RefusesACheckpointThatIsNotWhatTheRunWrote)
{
    const auto run = train("run", R"({"data":{"test":["sums.jsonl"]},"training":{"steps":1}})");
    const auto refused = [&](const std::string& sentence) {
        for (const auto& command : {std::vector<std::string>{"evaluate", run.folder().string()},
                                    std::vector<std::string>{"export", run.folder().string(), "--format",
                                                             "peft", "--out", (m_folder / "out").string()}}) {
            const auto asked = engine(command);
            EXPECT_NE(asked.exitStatus(), 0) << command.front();
            EXPECT_NE(asked.error.find(sentence), std::string::npos)
                << command.front() << ": " << asked.error;
            EXPECT_FALSE(fs::exists(m_folder / "out"));
        }
    };
    const std::string job = bytes(run.job());
    auto other = base::Json::parse(job);
    other["adapter"]["settings"]["alpha"] = 9;
    std::ofstream(run.job()) << other.dump();
    refused("adapter.alpha");
    std::ofstream(run.job()) << job;

    const fs::path file = run.checkpoint(1) / "adapter_model.safetensors";
    std::string tensors = bytes(file);
    tensors[tensors.size() - 3] = static_cast<char>(tensors[tensors.size() - 3] ^ 4);
    std::ofstream(file, std::ios::binary) << tensors;
    refused("is damaged");
}

TEST_F(Evaluation, ARunGoesOnInTheTypeThatItWasBegunIn)
{
    const auto run = train("run", R"({"training":{"steps":2,"checkpointEvery":1}})");
    auto job = base::Json::parse(bytes(run.job()));
    EXPECT_EQ(job.at("recorded").at("dtype"), "float32");
    EXPECT_EQ(job.at("recorded").at("device"), "cpu");
    EXPECT_EQ(job.at("recorded").at("threads"), 2);
    const std::string whole = bytes(run.checkpoint(2) / "adapter_model.safetensors");
    const auto resume = [&] {
        fs::remove_all(run.checkpoint(2));
        std::ofstream(run.job()) << job.dump();
        return *engine::capture(workerProgram(), {"train", "--run-dir", run.folder().string(), "--resume"},
                                deadline);
    };
    job["model"]["dtype"] = "bfloat16";
    const auto refused = resume();
    EXPECT_EQ(refused.exitStatus(), 2);
    EXPECT_NE(refused.error.find("was begun in float32"), std::string::npos) << refused.error;
    // On another machine "auto" might be another type.
    job["model"]["dtype"] = "auto";
    job["training"]["threads"] = 0;
    const auto resumed = resume();
    EXPECT_EQ(resumed.exitStatus(), 0) << resumed.error;
    EXPECT_EQ(read(run).description.dtype, "float32");
    EXPECT_EQ(bytes(run.checkpoint(2) / "adapter_model.safetensors"), whole);
}

TEST_F(Evaluation, SaysThatTheModelsOwnTemplateIsAnother)
{
    // The bundled model, but what its template has the assistant begin with.
    std::string model = bytes(base::defaultModel());
    const std::string start = "<|im_start|>assistant";
    const auto place = model.find(start);
    ASSERT_NE(place, std::string::npos);
    ASSERT_EQ(model.find(start, place + 1), std::string::npos);
    model.replace(place, start.size(), "<|im_start|>Assistant");
    std::ofstream(m_folder / "other.gguf", std::ios::binary) << model;
    const std::string sentence = "they are written as ChatML";
    const auto saysSo = [&](const record::RunDirectory& run) {
        const auto record = read(run);
        return std::ranges::any_of(record.notices, [&](const auto& notice) {
            return notice.severity == "warning" && notice.text.find(sentence) != std::string::npos;
        });
    };
    base::Json changes = {{"training", {{"steps", 1}}},
                          {"data", {{"test", {"capitals.jsonl"}}}},
                          {"evaluation", {{"maxNewTokens", 2}}}};
    EXPECT_FALSE(saysSo(train("own", changes.dump())));
    changes["model"] = {{"path", (m_folder / "other.gguf").string()}};
    const auto run = train("other", changes.dump());
    EXPECT_TRUE(saysSo(run));
    EXPECT_NE(engine({"evaluate", run.folder().string(), "--json"}).error.find(sentence), std::string::npos);
}

TEST_F(Evaluation, SaysWhatTestRowsLose)
{
    std::string question = "Is it";
    for (int i = 0; i < 60; ++i)
        question += " or is it";
    // A control byte that the vocabulary has no token for.
    const auto tokenizer = text::Tokenizer::open(base::defaultModel());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    std::string dropped;
    for (char byte = 1; byte < 32 && dropped.empty(); ++byte) {
        if ((*tokenizer)->encode(std::string(1, byte)).droppedBytes == 1)
            dropped = byte;
    }
    ASSERT_EQ(dropped.size(), 1U);
    std::ofstream(m_folder / "long.jsonl")
        << base::Json{{"instruction", question}, {"output", "yes"}}.dump() << '\n'
        << base::Json{{"instruction", "Is" + dropped + " it?"}, {"output", "no"}}.dump() << '\n'
        << base::Json{{"instruction", "Is it?"}, {"output", "no"}}.dump() << '\n';
    const auto run = train(
        "run", R"({"data":{"test":["long.jsonl"]},"evaluation":{"maxNewTokens":2},"training":{"steps":1}})");
    const std::string cut = "1 of 3 test rows have a prompt or an answer longer than 48 tokens";
    const std::string left = "1 bytes of the data have no token";
    const auto record = read(run);
    for (const std::string& sentence : {cut, left}) {
        EXPECT_TRUE(std::ranges::any_of(record.notices, [&](const auto& notice) {
            return notice.text.find(sentence) != std::string::npos;
        })) << sentence;
    }
    const auto asked = engine({"evaluate", run.folder().string(), "--json"});
    EXPECT_EQ(asked.exitStatus(), 0) << asked.error;
    EXPECT_NE(asked.error.find(cut), std::string::npos) << asked.error;
    EXPECT_NE(asked.error.find(left), std::string::npos) << asked.error;
    EXPECT_TRUE(base::parseJson(asked.output)) << asked.output;
}

TEST_F(Evaluation, EvaluatesBeforeAndAfterByTask)
{
    const auto run = train(
        "run",
        R"({"data":{"test":["capitals.jsonl","sums.jsonl"]},"evaluation":{"before":true,"maxNewTokens":4},
                                      "training":{"steps":2}})");
    const auto record = read(run);
    const auto* accuracy = record.measure("eval/accuracy");
    const auto* loss = record.measure("eval/loss");
    ASSERT_TRUE(accuracy && loss);
    EXPECT_EQ(std::vector<std::int64_t>(accuracy->steps().begin(), accuracy->steps().end()),
              (std::vector<std::int64_t>{0, 2}));
    ASSERT_EQ(loss->info().size(), 2U);
    for (std::size_t task = 0; task < 2; ++task)
        EXPECT_TRUE(std::isfinite(loss->row(1)[task]));
}

} // namespace
} // namespace rankscope::worker::test

// SPDX-License-Identifier: Apache-2.0
#include "core/protocol/job.h"

#include <filesystem>
#include <gtest/gtest.h>

namespace rankscope::protocol
{
namespace
{

Result<Job> parse(const std::string& text)
{
    const auto json = base::parseJson(text);
    if (!json)
        return fail(json.error());
    return Job::fromJson(*json);
}

std::string errorOf(const std::string& text)
{
    const auto job = parse(text);
    return job ? std::string("accepted") : job.error().message;
}

TEST(Job, ReadsTheShortestForm)
{
    const auto job = parse("{}");
    ASSERT_TRUE(job) << job.error().message;
    EXPECT_EQ(job->adapter.family, "lora");
    EXPECT_EQ(job->training.steps, 200);
    EXPECT_EQ(job->name, "lora");
}

TEST(Job, NamesItselfAfterFamilyAndTasks)
{
    const auto nameOf = [](const std::string& file) {
        const auto job = parse(R"({"data":{"train":[")" + file + R"("]},"adapter":{"family":"mixlora"}})");
        return job ? job->name : job.error().message;
    };
    EXPECT_EQ(nameOf("sample-data/arithmetic/train.jsonl"), "mixlora on arithmetic");
    EXPECT_EQ(nameOf("boolq.json"), "mixlora on boolq");
    EXPECT_EQ(nameOf(R"(math/train.json","boolq.json","ARC-Easy/train.json)"), "mixlora on math and 2 more");
}

TEST(Job, WritesEveryDefaultAndReadsItBack)
{
    const auto job = parse(R"({"name":"n","model":{"path":"m.gguf"},"adapter":{"settings":{"rank":4}},
        "training":{"seed":7,"learningRate":0.001,"threads":3},"device":"cuda:1"})");
    ASSERT_TRUE(job) << job.error().message;
    const auto json = job->toJson();
    const std::vector<std::string> order{"name",     "model",      "data",     "adapter",
                                         "training", "evaluation", "analysis", "device"};
    std::vector<std::string> keys;
    for (const auto& item : json.items())
        keys.push_back(item.key());
    EXPECT_EQ(keys, order);
    const auto again = parse(json.dump());
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->toJson(), json);
    EXPECT_EQ(again->training.seed, 7);
    EXPECT_EQ(again->device, "cuda:1");
    EXPECT_EQ(again->training.threads, 3);
}

TEST(Job, NamesWhatIsWrong)
{
    EXPECT_EQ(errorOf(R"({"training":{"steps":0}})"),
              "training.steps is 0, but must lie between 1 and 1000000000");
    EXPECT_NE(errorOf(R"({"training":{"step":5}})").find("training.step is not a known field"),
              std::string::npos);
    EXPECT_EQ(errorOf(R"({"training":{"steps":"many"}})"), "training.steps must be a whole number");
    EXPECT_NE(errorOf(R"({"training":{"schedule":"sine"}})").find("training.schedule is 'sine'"),
              std::string::npos);
    EXPECT_EQ(errorOf(R"({"device":"tpu"})"), "device is 'tpu', but must be auto, cpu, cuda or cuda:N");
    EXPECT_EQ(errorOf(R"({"device":"cuda:"})"), "device is 'cuda:', but must be auto, cpu, cuda or cuda:N");
    EXPECT_EQ(errorOf(R"({"model":"m.gguf"})"), "model must be a JSON object");
    EXPECT_EQ(errorOf(R"({"data":{"train":"a.jsonl"}})"), "data.train must be a list of texts");
    EXPECT_EQ(errorOf(R"({"data":{"train":[""]}})"), "data.train names an empty path");
    EXPECT_NE(errorOf(R"({"training":{"steps":10,"warmup":20}})").find("has only 10"), std::string::npos);
    EXPECT_EQ(errorOf("[]"), "the file must be a JSON object");
}

TEST(Job, MakesPathsAbsolute)
{
    auto job = parse(
        R"({"model":{"path":"models/m.gguf"},"data":{"train":["../t.jsonl"],"test":["/abs/x.jsonl"]}})");
    ASSERT_TRUE(job);
    ASSERT_TRUE(job->resolvePaths("/base/folder"));
    EXPECT_EQ(job->model.path, "/base/folder/models/m.gguf");
    EXPECT_EQ(job->data.train.front(), "/base/t.jsonl");
    EXPECT_EQ(job->data.test.front(), "/abs/x.jsonl");
}

TEST(Job, RunFolderNameIsStampFamilyModel)
{
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    Job job;
    job.adapter.family = "mixlora";
    job.model.path = "/x/SmolLM2-135M-Instruct.Q4_1.gguf";
    // 2026-11-22 10:31:00 UTC
    EXPECT_EQ(runFolderName(job, 1795343460), "2026-11-22T10-31-mixlora-smollm2");
    job.model.path = "/models/Qwen2.5-0.5B/config.json";
    EXPECT_EQ(runFolderName(job, 1795343460), "2026-11-22T10-31-mixlora-qwen2");
    job.adapter.family = "../evil";
    EXPECT_EQ(runFolderName(job, 1795343460), "2026-11-22T10-31-evil-qwen2");
}

TEST(Job, WhatARunRecordedIsPassedOver)
{
    const auto plain = parse(R"({"name":"n","training":{"steps":7}})");
    const auto recorded =
        parse(R"({"name":"n","training":{"steps":7},"recorded":{"programVersion":"0","later":[1]}})");
    ASSERT_TRUE(recorded) << recorded.error().message;
    EXPECT_EQ(recorded->toJson(), plain->toJson());
    EXPECT_FALSE(recorded->toJson().contains("recorded"));
    EXPECT_TRUE(errorOf(R"({"recordes":{}})").starts_with("recordes is not a known field"));
    EXPECT_TRUE(
        errorOf(R"({"training":{"recorded":{}}})").starts_with("training.recorded is not a known field"));
}

TEST(TrainingSpec, CountsTheCheckpointsThatAreStillToBeWritten)
{
    TrainingSpec training;
    for (training.steps = 1; training.steps <= 13; ++training.steps) {
        for (training.checkpointEvery = 0; training.checkpointEvery <= 14; ++training.checkpointEvery) {
            for (std::int64_t start = 0; start <= training.steps; ++start) {
                std::int64_t written = 0; // step by step, as the trainer goes
                for (std::int64_t step = start + 1; step <= training.steps; ++step) {
                    const bool due = training.checkpointEvery > 0 && step % training.checkpointEvery == 0;
                    written += due || step == training.steps ? 1 : 0;
                }
                EXPECT_EQ(training.checkpointsAfter(start), written)
                    << training.steps << " steps, every " << training.checkpointEvery << ", from " << start;
            }
        }
    }
}

} // namespace
} // namespace rankscope::protocol

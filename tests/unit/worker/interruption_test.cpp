// SPDX-License-Identifier: Apache-2.0
// The worker itself: its exit status, what it leaves when it is stopped or the disk is full, and what it
// records.
#include "core/base/hash.h"
#include "core/base/paths.h"
#include "core/record/journal.h"
#include "tests/unit/worker/job_fixture.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <fstream>
#include <hdf5.h>

namespace rankscope::worker::test
{
namespace
{

namespace fs = std::filesystem;

class Worker : public JobTest
{
protected:
    [[nodiscard]] record::RunDirectory prepare(const std::string& name, const base::Json& job) const
    {
        fs::create_directories(m_folder / name);
        std::ofstream(m_folder / name / "job.json") << job.dump();
        return record::RunDirectory(m_folder / name);
    }
};

TEST_F(Worker, RecordsTheRunAndWhatTheAnalysisCosts)
{
    const auto run = train("run", R"({"training":{"steps":4}})");
    const auto record = read(run);
    EXPECT_EQ(record.state(), "done");
    EXPECT_EQ(record.description.tasks, (std::vector<std::string>{"capitals", "sums"}));
    EXPECT_EQ(record.description.layers, 30);
    EXPECT_EQ(record.description.dtype, "float32");
    EXPECT_EQ(record.description.baseModelSha256.size(), 64U);
    const auto* share = record.measure("analysis/time_share");
    ASSERT_TRUE(share && !share->empty());
    EXPECT_GE(share->last(), 0);
    EXPECT_LT(share->last(), 1);
    const auto* rank = record.measure("rank/entropy");
    ASSERT_TRUE(rank);
    EXPECT_EQ(rank->steps().size(), 2U);
    for (const char* name : {"train/loss", "train/samples_per_second", "train/step_time", "train/memory"}) {
        const auto* measure = record.measure(name);
        ASSERT_TRUE(measure) << name;
        ASSERT_EQ(measure->steps().size(), 4U) << name;
        EXPECT_GT(measure->last(), 0) << name;
    }

    // run.h5 through HDF5's own library.
    const hid_t file = H5Fopen(run.snapshot().c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    ASSERT_GE(file, 0);
    const hid_t data = H5Dopen2(file, "/measures/train/loss/values", H5P_DEFAULT);
    ASSERT_GE(data, 0);
    std::vector<float> values(4);
    EXPECT_GE(H5Dread(data, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
    for (std::size_t row = 0; row < 4; ++row)
        EXPECT_EQ(values[row], record.measure("train/loss")->row(row)[0]);
    H5Dclose(data);
    H5Fclose(file);
}

TEST_F(Worker, WritesItsOriginIntoItsJobOnce)
{
    const auto run = prepare("run", job(R"({"training":{"steps":1}})"));
    const auto start = [&run](const std::vector<std::string>& more) {
        std::vector<std::string> arguments{"train", "--run-dir", run.folder().string()};
        arguments.insert(arguments.end(), more.begin(), more.end());
        const auto captured = engine::capture(workerProgram(), arguments, deadline);
        ASSERT_TRUE(captured) << captured.error().message;
        EXPECT_EQ(captured->exitStatus(), 0) << captured->error;
    };
    start({});
    auto written = base::readJsonFile(run.job());
    ASSERT_TRUE(written) << written.error().message;
    const base::Json origin = (*written)["recorded"];
    const auto described = read(run).description;
    EXPECT_EQ(origin["programVersion"], described.programVersion);
    EXPECT_EQ(origin["baseModelSha256"], base::sha256File(base::defaultModel()).value_or(""));
    ASSERT_EQ(origin["data"].size(), 2U);
    for (std::size_t i = 0; i < 2; ++i) {
        const auto& file = origin["data"][i];
        EXPECT_EQ(file["path"], (m_folder / (i == 0 ? "capitals.jsonl" : "sums.jsonl")).string());
        EXPECT_EQ(file["split"], "train");
        EXPECT_EQ(file["sha256"], base::sha256File(file["path"].get<std::string>()).value_or(""));
    }
    written->erase("recorded");
    EXPECT_EQ(*written, job(R"({"training":{"steps":1}})")) << "the request itself stays as it was";
    EXPECT_FALSE(base::Json::parse(described.jobJson).contains("recorded"));

    // A run that goes on keeps it, and its own copy is a job like any other.
    (*written)["training"]["steps"] = 2;
    (*written)["recorded"] = origin;
    (*written)["recorded"]["programVersion"] = "an older one";
    std::ofstream(run.job()) << written->dump();
    const std::string before = bytes(run.job());
    start({"--resume"});
    EXPECT_EQ(bytes(run.job()), before);
    EXPECT_EQ(engine({"plan", run.job().string()}).exitStatus(), 0);
}

TEST_F(Worker, SaysBeforehandHowLargeACheckpointWillBe)
{
    // FlyLoRA saves projections that it does not train.
    for (const auto& [family, settings] :
         {std::pair{"lora", base::Json{{"rank", 4}}}, std::pair{"flylora", base::Json{{"k", 2}}}}) {
        const base::Json changes = {{"training", {{"steps", 1}}},
                                    {"adapter", {{"family", family}, {"settings", settings}}}};
        const auto run = train(family, changes.dump());
        const auto captured =
            engine::capture(workerProgram(), {"check", "--job", run.job().string()}, deadline);
        ASSERT_TRUE(captured) << captured.error().message;
        ASSERT_EQ(captured->exitStatus(), 0) << captured->error;
        const auto answer = base::parseJson(captured->output);
        ASSERT_TRUE(answer) << captured->output;
        double written = 0;
        for (const auto& entry : fs::recursive_directory_iterator(run.lastCheckpoint()->folder))
            written += entry.is_regular_file() ? static_cast<double>(entry.file_size()) : 0.0;
        // Beside the tensors' values: their names and shapes, and the state in JSON.
        EXPECT_LE((*answer)["checkpointBytes"].get<double>(), written);
        EXPECT_GT((*answer)["checkpointBytes"].get<double>(), 0.9 * written);
    }
}

TEST_F(Worker, AnInterruptFinishesTheStepAndCheckpoints)
{
    for (const int signal : {SIGINT, SIGTERM}) {
        const auto run = prepare("signal-" + std::to_string(signal), job());
        Started worker(workerProgram(), {"train", "--run-dir", run.folder().string()});
        waitFor(run,
                [](const auto& record) { return record.measure("train/loss") && record.lastStep() >= 1; });
        ::kill(worker.pid(), signal);
        EXPECT_EQ(worker.wait(), 0);
        const auto record = read(run);
        EXPECT_EQ(record.state(), "stopped");
        ASSERT_TRUE(run.lastCheckpoint());
        EXPECT_EQ(run.lastCheckpoint()->step, record.lastStep());
        EXPECT_EQ(record.checkpoints.back().step, record.lastStep());
    }
}

TEST_F(Worker, AFullDiskFailsTheRunAndLeavesWhatWasRecorded)
{
    // Files may not grow beyond 2 MB: the journal fits, the first checkpoint (4.9 MB) does not.
    const auto run = prepare("full", job(R"({"adapter":{"settings":{"rank":4}},"training":{"steps":4}})"));
    const auto captured =
        engine::capture("/bin/sh",
                        {"-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" train --run-dir \"$1\"",
                         workerProgram().string(), run.folder().string()},
                        deadline);
    ASSERT_TRUE(captured) << captured.error().message;
    EXPECT_EQ(captured->exitStatus(), 1) << captured->error;
    EXPECT_NE(captured->error.find("adapter_model.safetensors"), std::string::npos) << captured->error;
    EXPECT_EQ(std::ranges::count(captured->error, '\n'), 1) << captured->error;
    const auto record = read(run);
    EXPECT_EQ(record.state(), "failed");
    EXPECT_EQ(record.lastStep(), 3);
    EXPECT_FALSE(run.lastCheckpoint());
}

TEST_F(Worker, ACheckpointThatCannotBeWrittenIsNoCleanStop)
{
    const auto run = prepare("blocked", job(R"({"training":{"steps":400,"checkpointEvery":0}})"));
    std::ofstream(run.checkpoints()) << "a file where the folder belongs";
    Started worker(workerProgram(), {"train", "--run-dir", run.folder().string()});
    waitFor(run, [](const auto& record) { return record.lastStep() >= 1; });
    ::kill(worker.pid(), SIGTERM);
    EXPECT_EQ(worker.wait(), 1);
    const auto record = read(run);
    EXPECT_EQ(record.state(), "failed");
    EXPECT_NE(record.states.back().reason.find(run.checkpoints().string()), std::string::npos);
    const auto snapshot = record::openRun(run.snapshot());
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    EXPECT_EQ(snapshot->state(), "failed");
    EXPECT_EQ(snapshot->lastStep(), record.lastStep());
}

TEST_F(Worker, AStopThatCameBeforeTheProgramWasReadyIsAStop)
{
    // Held back by whoever starts it, as the engine does: it is pending when the program is ready for it.
    const auto run = prepare("early", job());
    const auto captured = engine::capture("/usr/bin/env",
                                          {"--block-signal=TERM", "/bin/sh", "-c",
                                           "kill -TERM $$; exec \"$0\" train --run-dir \"$1\"",
                                           workerProgram().string(), run.folder().string()},
                                          deadline);
    ASSERT_TRUE(captured) << captured.error().message;
    EXPECT_EQ(captured->exitStatus(), 0) << captured->error;
    EXPECT_EQ(read(run).state(), "stopped");
}

TEST_F(Worker, ResumesOnlyWithTheDataAndTheModelItBeganWith)
{
    const auto run = train("run", R"({"training":{"steps":4}})");
    auto changed = base::readJsonFile(run.job());
    ASSERT_TRUE(changed);
    (*changed)["training"]["steps"] = 6;
    std::ofstream(run.job()) << changed->dump();
    const std::string file = (m_folder / "capitals.jsonl").string();
    const std::string rows = bytes(file);
    std::ofstream(file, std::ios::app)
        << R"({"instruction":"Capital of Chile?","output":"Santiago"})" << '\n';
    const auto refused =
        engine::capture(workerProgram(), {"train", "--run-dir", run.folder().string(), "--resume"}, deadline);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->exitStatus(), 2);
    EXPECT_NE(refused->error.find(file + " has changed"), std::string::npos) << refused->error;
    EXPECT_EQ(read(run).state(), "done") << "nothing happened to the run";

    std::ofstream(file) << rows;
    const auto resumed =
        engine::capture(workerProgram(), {"train", "--run-dir", run.folder().string(), "--resume"}, deadline);
    ASSERT_TRUE(resumed);
    EXPECT_EQ(resumed->exitStatus(), 0) << resumed->error;
    EXPECT_EQ(read(run).lastStep(), 6);
}

TEST_F(Worker, ResumesFromTheNewestCheckpointThatIsWhole)
{
    const auto run = train("run"); // eight steps, a checkpoint every three
    const auto whole = bytes(run.checkpoint(8) / "adapter_model.safetensors");
    ASSERT_EQ(run.completeCheckpoints().size(), 3U);
    fs::resize_file(run.checkpoint(8) / "adapter_model.safetensors", 1000);
    std::ofstream(run.checkpoint(6) / "state.json") << "{}";
    const auto resumed =
        engine::capture(workerProgram(), {"train", "--run-dir", run.folder().string(), "--resume"}, deadline);
    ASSERT_TRUE(resumed);
    EXPECT_EQ(resumed->exitStatus(), 0) << resumed->error;
    const auto record = read(run);
    const auto from = std::ranges::find_if(
        record.states, [](const auto& change) { return change.reason == "resumed at step 3"; });
    EXPECT_NE(from, record.states.end());
    const auto warned = [&](std::int64_t step) {
        return std::ranges::any_of(record.notices, [&](const auto& notice) {
            return notice.text.find(run.checkpoint(step).string()) != std::string::npos;
        });
    };
    EXPECT_TRUE(warned(8) && warned(6));
    EXPECT_EQ(bytes(run.checkpoint(8) / "adapter_model.safetensors"), whole) << "the same bits in the end";
}

TEST_F(Worker, MakesTheEvaluationThatAStopInterrupted)
{
    const auto run = train(
        "run",
        R"({"data":{"test":["capitals.jsonl"]},"evaluation":{"before":false,"every":3,"maxNewTokens":4}})");
    // As if it had been killed in the evaluation at step 6, whose checkpoint is written before it.
    fs::remove_all(run.checkpoint(8));
    const auto before = read(run);
    ASSERT_EQ(before.measure("eval/accuracy")->steps().size(), 3U);
    record::JournalReader reader;
    const auto events = reader.feed(bytes(run.journal()));
    ASSERT_TRUE(events);
    std::string kept;
    for (const auto& event : *events) {
        if (event.has_checkpoint() && event.checkpoint().step() == 6) {
            kept += record::frameEvent(event);
            break;
        }
        kept += record::frameEvent(event);
    }
    std::ofstream(run.journal(), std::ios::binary) << kept;
    ASSERT_EQ(read(run).measure("eval/accuracy")->steps().back(), 3);
    const auto resumed =
        engine::capture(workerProgram(), {"train", "--run-dir", run.folder().string(), "--resume"}, deadline);
    ASSERT_TRUE(resumed);
    EXPECT_EQ(resumed->exitStatus(), 0) << resumed->error;
    const auto after = read(run);
    const auto steps = after.measure("eval/accuracy")->steps();
    EXPECT_EQ(std::vector<std::int64_t>(steps.begin(), steps.end()), (std::vector<std::int64_t>{3, 6, 8}));
}

} // namespace
} // namespace rankscope::worker::test

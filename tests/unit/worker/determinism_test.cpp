// SPDX-License-Identifier: Apache-2.0
// One seed gives one result, to the bit, however often the run was stopped or killed on the way.
#include "app/engine/supervision_file.h"
#include "tests/unit/worker/job_fixture.h"

#include <csignal>
#include <poll.h>

namespace rankscope::worker::test
{
namespace
{

namespace fs = std::filesystem;

class WorkerDeterminism : public JobTest
{
protected:
    /// Equal tensors, moments, random state and recorded losses.
    static void expectSame(const record::RunDirectory& a, const record::RunDirectory& b)
    {
        const auto last = a.lastCheckpoint();
        const auto other = b.lastCheckpoint();
        ASSERT_TRUE(last && other);
        ASSERT_EQ(last->step, 8);
        ASSERT_EQ(other->step, 8);
        for (const char* name : {"adapter_model.safetensors", "optimizer.safetensors"})
            EXPECT_TRUE(bytes(last->folder / name) == bytes(other->folder / name)) << name << " differs";
        EXPECT_EQ(state(last->folder), state(other->folder));
        const auto first = read(a);
        const auto second = read(b);
        for (const char* name :
             {"train/loss", "train/gradient_norm", "train/learning_rate", "train/tokens_seen"}) {
            const auto* one = first.measure(name);
            const auto* two = second.measure(name);
            ASSERT_TRUE(one && two) << name;
            ASSERT_EQ(one->steps().size(), 8U) << name;
            ASSERT_EQ(two->steps().size(), 8U) << name << ": a step is missing or twice";
            for (std::size_t row = 0; row < 8; ++row) {
                EXPECT_EQ(two->steps()[row], static_cast<std::int64_t>(row) + 1);
                EXPECT_EQ(one->row(row)[0], two->row(row)[0]) << name << " at step " << row + 1;
            }
        }
    }
    /// All but whose turn it is to be measured: how many weights a record has time for, the clock decides.
    static base::Json state(const fs::path& checkpoint)
    {
        base::Json state = base::Json::parse(bytes(checkpoint / "state.json"));
        EXPECT_TRUE(state.contains("randomState"));
        EXPECT_EQ(state.erase("measureTurns"), 1U);
        return state;
    }
    void resume(const record::RunDirectory& run) const
    {
        const auto captured = engine({"run", "--resume", "--run-dir", run.folder().string()});
        EXPECT_EQ(captured.exitStatus(), 0) << captured.error;
        EXPECT_EQ(read(run).state(), "done");
    }
};

bool atStep(const record::RunRecord& run, std::int64_t step)
{
    const auto* loss = run.measure("train/loss");
    return loss && !loss->empty() && loss->steps().back() >= step;
}

TEST_F(WorkerDeterminism, SameSeedSameBitsAlsoAfterKillsAndStops)
{
    const auto whole = train("whole");
    EXPECT_EQ(read(whole).state(), "done");
    expectSame(whole, train("again"));

    const auto other = train("other", R"({"training":{"seed":6}})");
    EXPECT_NE(bytes(other.lastCheckpoint()->folder / "adapter_model.safetensors"),
              bytes(whole.lastCheckpoint()->folder / "adapter_model.safetensors"));

    { // The worker is killed behind its first checkpoint: the engine says so, and resume goes on from there.
        const record::RunDirectory run(m_folder / "killed");
        Started engine(engineProgram(), {"run", write("killed", job()), "--run-dir", run.folder().string()});
        waitFor(run, [](const auto& record) { return !record.checkpoints.empty() && atStep(record, 4); });
        const auto supervision = engine::readSupervision(run);
        ASSERT_TRUE(supervision && supervision->process.pid > 0); // 0 would be this test itself
        ::kill(static_cast<pid_t>(supervision->process.pid), SIGKILL);
        EXPECT_EQ(engine.wait(), 1);
        const auto killed = read(run);
        EXPECT_EQ(killed.state(), "failed");
        EXPECT_NE(killed.states.back().reason.find("killed by signal 9"), std::string::npos)
            << killed.states.back().reason;
        EXPECT_GE(killed.lastStep(), 4);
        EXPECT_GE(run.lastCheckpoint()->step, 3);
        EXPECT_LE(run.lastCheckpoint()->step, killed.lastStep());
        resume(run);
        expectSame(whole, run);
        EXPECT_EQ(read(run).states.size(), 4U) << "running, failed, running, done";
    }
    { // Everything is killed before there is a checkpoint: resume starts over in the same directory.
        const record::RunDirectory run(m_folder / "lost");
        Started engine(engineProgram(), {"run", write("lost", job()), "--run-dir", run.folder().string()});
        waitFor(run, [](const auto& record) { return atStep(record, 1); });
        const auto supervision = engine::readSupervision(run);
        ASSERT_TRUE(supervision && supervision->process.pid > 0); // 0 would be this test itself
        ::kill(engine.pid(), SIGKILL);
        const engine::Descriptor ended = engine::watchProcess(static_cast<pid_t>(supervision->process.pid));
        ::kill(static_cast<pid_t>(supervision->process.pid), SIGKILL);
        EXPECT_EQ(engine.wait(), 128 + SIGKILL);
        // A worker without its engine is nobody's child here: its end is awaited through its descriptor.
        pollfd worker{ended.get(), POLLIN, 0};
        const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(deadline);
        ASSERT_EQ(::poll(&worker, 1, static_cast<int>(patience.count())), 1);
        EXPECT_EQ(read(run).state(), "running") << "nobody was there to say more";
        EXPECT_TRUE(record::openRun(run.folder()));
        resume(run);
        expectSame(whole, run);
    }
    { // A stop from outside: the step is finished, a checkpoint written, the exit status 0.
        const record::RunDirectory run(m_folder / "stopped");
        Started engine(engineProgram(), {"run", write("stopped", job()), "--run-dir", run.folder().string()});
        waitFor(run, [](const auto& record) { return atStep(record, 1); });
        ::kill(engine.pid(), SIGINT);
        EXPECT_EQ(engine.wait(), 0);
        const auto stopped = read(run);
        EXPECT_EQ(stopped.state(), "stopped");
        ASSERT_TRUE(run.lastCheckpoint());
        EXPECT_EQ(run.lastCheckpoint()->step, stopped.lastStep());
        EXPECT_LT(stopped.lastStep(), 8);
        EXPECT_EQ(record::openRun(run.snapshot())->state(), "stopped");
        resume(run);
        expectSame(whole, run);
    }
}

} // namespace
} // namespace rankscope::worker::test

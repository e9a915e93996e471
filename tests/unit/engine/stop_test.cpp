// SPDX-License-Identifier: Apache-2.0
// Ending a run: with a checkpoint, before its worker is ready, and one that does not answer.
#include "app/engine/stop_signals.h"
#include "core/base/json.h"
#include "core/record/run_directory.h"
#include "tests/unit/engine/supervisor_fixture.h"

namespace rankscope::engine::test
{
namespace
{

namespace fs = std::filesystem;
using Asks = StopSignals::Asks;
using namespace std::chrono_literals;

TEST(StopSignals, OnlyASecondInterruptAfterAWhileKills)
{
    const StopSignals::Time start{};
    StopSignals signals;
    EXPECT_EQ(signals.take(SIGINT, start), Asks::Stop);
    EXPECT_EQ(signals.take(SIGINT, start + 999ms), Asks::Nothing) << "timeout(1) and its group";
    EXPECT_EQ(signals.take(SIGTERM, start + 1h), Asks::Nothing);
    EXPECT_EQ(signals.take(SIGHUP, start + 1h), Asks::Nothing);
    EXPECT_EQ(signals.take(SIGINT, start + 1h), Asks::Kill);
}

TEST(StopSignals, ATerminalThatClosesNeverKills)
{
    const StopSignals::Time start{};
    StopSignals signals;
    EXPECT_EQ(signals.take(SIGHUP, start), Asks::Stop);
    EXPECT_EQ(signals.take(SIGHUP, start + 5s), Asks::Nothing);
    EXPECT_EQ(signals.take(SIGTERM, start + 6s), Asks::Nothing);
    EXPECT_EQ(signals.take(SIGINT, start + 7s), Asks::Nothing) << "the first of its kind";
    EXPECT_EQ(signals.take(SIGINT, start + 8s), Asks::Kill);
}

class EngineStop : public EngineSupervisor
{
protected:
    void expectEndedAtOnce(const std::string& id)
    {
        const RunStatus stopped = waitFor(id, "stopped");
        EXPECT_NE(stopped.reason.find("ended at once on request"), std::string::npos) << stopped.reason;
        EXPECT_EQ(record::openRun(runs() / id)->state(), "stopped");
    }
};

TEST_F(EngineStop, InTheForegroundWaitsUntilTheWorkerIsReady)
{
    Background run({"run", job("late"), "--run-dir", (m_folder / "r").string()});
    const Step loading = nextStep();
    EXPECT_EQ(loading.step, 0);
    run.signal(SIGINT);
    run.waitForOutput("press again to kill");
    for (const int signal : {SIGTERM, SIGHUP, SIGHUP})
        run.deliver(signal);
    ::kill(loading.pid, SIGUSR1);
    EXPECT_EQ(run.wait(), 0) << run.output();
    EXPECT_EQ(record::openRun(m_folder / "r")->state(), "stopped");
    EXPECT_EQ(record::RunDirectory(m_folder / "r").lastCheckpoint()->step, 1);
}

TEST_F(EngineStop, WaitsUntilTheWorkerIsReady)
{
    start();
    const std::string id = submit("late");
    const Step loading = nextStep();
    waitFor(id, "running");
    ASSERT_TRUE(m_client->stop(id));
    ::kill(loading.pid, SIGUSR1);
    EXPECT_EQ(waitFor(id, "stopped").step, 1);
}

TEST_F(EngineStop, AWorkerThatDiesOfItIsStopped)
{
    start();
    const std::string id = submit("unready");
    nextStep();
    waitFor(id, "running");
    ASSERT_TRUE(m_client->stop(id));
    const RunStatus stopped = waitFor(id, "stopped");
    EXPECT_EQ(stopped.reason, "ended by the request to stop; it had no checkpoint yet: resume starts over");
    EXPECT_EQ(record::openRun(runs() / id)->state(), "stopped");
    // Nobody asked for this one.
    ASSERT_TRUE(m_client->resume(id));
    ::kill(nextStep().pid, SIGTERM);
    EXPECT_NE(waitFor(id, "failed").reason.find("killed by signal 15"), std::string::npos);
}

TEST_F(EngineStop, NowEndsAJobThatHangs)
{
    start();
    const std::string id = submit("hold");
    const Step step = nextStep();
    waitFor(id, "running");
    ::kill(step.pid, SIGSTOP);
    EXPECT_EQ(engine({"stop", id, "--socket", socket().string()}).output, id + ": stopping\n");
    const Captured again = engine({"stop", id + "/", "--socket", socket().string()});
    EXPECT_EQ(again.exitStatus(), 0) << again.error;
    EXPECT_NE(again.output.find("it was asked before"), std::string::npos) << again.output;
    EXPECT_NE(again.output.find("--now"), std::string::npos) << again.output;
    EXPECT_EQ(stateOf(id), "stopping");
    EXPECT_EQ(engine({"stop", id, "--now", "--socket", socket().string()}).exitStatus(), 0);
    expectEndedAtOnce(id);
    EXPECT_EQ(engine({"stop", id, "--now", "--socket", socket().string()}).exitStatus(), 2);

    ASSERT_TRUE(m_client->resume(id));
    ::kill(nextStep().pid, SIGUSR2);
    waitFor(id, "done");
}

TEST_F(EngineStop, NowNamesTheCheckpointAResumeStartsAt)
{
    start();
    const std::string id = submitAndStop();
    ASSERT_TRUE(m_client->resume(id));
    nextStep();
    waitFor(id, "running");
    ASSERT_TRUE(m_client->stop(id, true));
    EXPECT_EQ(waitFor(id, "stopped").reason, "ended at once on request; resume continues from step 1");
}

TEST_F(EngineStop, NowEndsAJobOfAnEarlierSupervisor)
{
    start();
    const std::string id = submit("hold");
    nextStep();
    waitFor(id, "running");
    crash();
    start();
    waitFor(id, "running");
    ASSERT_TRUE(m_client->stop(id, true));
    expectEndedAtOnce(id);
}

TEST_F(EngineStop, NowEndsAJobInTheForeground)
{
    start();
    Background foreground({"run", job("hold"), "--run-dir", (runs() / "mine").string()});
    nextStep();
    waitFor("mine", "running");
    ASSERT_TRUE(m_client->stop("mine", true));
    EXPECT_EQ(foreground.wait(), 1);
    EXPECT_NE(foreground.output().find("ended at once on request"), std::string::npos) << foreground.output();
    expectEndedAtOnce("mine");
}

TEST_F(EngineStop, ASecondInterruptKills)
{
    Background run({"run", job("hold"), "--run-dir", (m_folder / "r").string()});
    const Step step = nextStep();
    ::kill(step.pid, SIGSTOP); // so that it cannot finish its step
    run.signal(SIGINT);
    run.waitForOutput("press again to kill");
    const auto until = std::chrono::steady_clock::now() + deadline;
    while (!run.endsWithin(100ms) && std::chrono::steady_clock::now() < until)
        run.signal(SIGINT);
    EXPECT_EQ(run.wait(), 1);
    EXPECT_NE(run.output().find("the job was ended at once on request"), std::string::npos) << run.output();
    EXPECT_EQ(record::openRun(m_folder / "r")->state(), "stopped");
}

} // namespace
} // namespace rankscope::engine::test

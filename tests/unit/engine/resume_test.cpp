// SPDX-License-Identifier: Apache-2.0
// Going on with a run: what is refused, who may, and in which order.
#include "core/base/files.h"
#include "core/base/json.h"
#include "core/record/journal.h"
#include "core/record/run_directory.h"
#include "tests/unit/engine/supervisor_fixture.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <unistd.h>

namespace rankscope::engine::test
{
namespace
{

namespace fs = std::filesystem;

class EngineResume : public EngineSupervisor
{
protected:
    /// Every file of a folder with its bytes.
    static std::map<std::string, std::string> content(const fs::path& folder)
    {
        std::map<std::string, std::string> files;
        for (const auto& entry : fs::recursive_directory_iterator(folder)) {
            if (entry.is_regular_file())
                files[entry.path().string()] = *base::readFile(entry.path());
        }
        return files;
    }

    void expectRefused(const fs::path& run, const std::string& sentence)
    {
        const auto before = content(run);
        const Captured captured = engine({"run", "--resume", "--run-dir", run.string()});
        EXPECT_EQ(captured.exitStatus(), 2) << captured.error;
        EXPECT_NE(captured.error.find(sentence), std::string::npos) << captured.error;
        EXPECT_EQ(std::ranges::count(captured.error, '\n'), 1) << captured.error;
        EXPECT_EQ(content(run), before) << "something was written";
    }

    /// A run that a supervisor of another day left in its queue.
    void leaveQueued(const std::string& id, std::int64_t queuedUs) const
    {
        fs::create_directories(runs() / id);
        fs::copy_file(job("hold"), runs() / id / "job.json", fs::copy_options::overwrite_existing);
        std::ofstream(runs() / id / "supervision.json")
            << base::Json{{"state", "queued"}, {"submittedUs", queuedUs}, {"queuedUs", queuedUs}}.dump();
    }

    static void append(record::JournalWriter& writer, const std::string& state)
    {
        protocol::JournalEvent event;
        event.mutable_state()->set_state(state);
        ASSERT_TRUE(writer.append(event));
    }
};

TEST_F(EngineResume, ARunWhoseDataIsGoneIsRefusedUntouched)
{
    start();
    const std::string id = submitAndStop();
    fs::rename(m_folder / "train.jsonl", m_folder / "elsewhere.jsonl");
    expectRefused(runs() / id, "train.jsonl: No such file");
    const auto before = content(runs() / id);
    const Captured resumed = engine({"resume", id, "--socket", socket().string()});
    EXPECT_EQ(resumed.exitStatus(), 2);
    EXPECT_NE(resumed.error.find("train.jsonl: No such file"), std::string::npos) << resumed.error;
    EXPECT_EQ(content(runs() / id), before);
    EXPECT_EQ(stateOf(id), "stopped");
    fs::rename(m_folder / "elsewhere.jsonl", m_folder / "train.jsonl");
    EXPECT_EQ(engine({"resume", id + "/", "--socket", socket().string()}).exitStatus(), 0);
    EXPECT_EQ(nextStep().step, 2);
}

TEST_F(EngineResume, ARunThatItsWorkerRefusesIsLeftAsItWas)
{
    const fs::path run = m_folder / "r";
    EXPECT_EQ(engine({"run", job("changed"), "--run-dir", run.string()}).exitStatus(), 1);
    auto before = content(run);
    const Captured refused = engine({"run", "--resume", "--run-dir", run.string()});
    EXPECT_EQ(refused.exitStatus(), 2);
    EXPECT_NE(refused.error.find("has changed since this run began"), std::string::npos) << refused.error;
    EXPECT_EQ(std::ranges::count(refused.error, '\n'), 1) << refused.error;
    auto after = content(run);
    before.erase((run / "log.txt").string()); // what its workers printed
    after.erase((run / "log.txt").string());
    EXPECT_EQ(after, before);
}

TEST_F(EngineResume, AQueuedRunIsLeftToItsSupervisor)
{
    start();
    const std::string first = submit("hold");
    const std::string second = submit("hold");
    const Step step = nextStep();
    expectRefused(runs() / second, "rankscope-engine stop " + second);
    EXPECT_EQ(stateOf(second), "queued");
    // Out of the queue it can be had.
    ASSERT_TRUE(m_client->stop(second));
    Background foreground({"run", "--resume", "--run-dir", (runs() / second).string()});
    const Step mine = nextStep();
    EXPECT_NE(mine.pid, step.pid);
    EXPECT_EQ(waitFor(second, "running").pid, mine.pid);
    EXPECT_FALSE(m_client->resume(second));
    ::kill(mine.pid, SIGUSR2);
    EXPECT_EQ(foreground.wait(), 0);
    waitFor(second, "done");
}

TEST_F(EngineResume, ARunTakenOutOfTheQueueIsNotStarted)
{
    start();
    const std::string first = submit("hold");
    const std::string second = submit("hold");
    const Step step = nextStep();
    // Another program started it and says so in its file: this test itself.
    const auto self = identify(::getpid());
    char host[256]{};
    ::gethostname(host, sizeof host - 1);
    const base::Json taken = {{"state", "running"},
                              {"host", host},
                              {"boot", self->boot},
                              {"pid", self->pid},
                              {"startTicks", self->startTicks}};
    ASSERT_TRUE(base::writeFileAtomically(runs() / second / "supervision.json", taken.dump()));
    ::kill(step.pid, SIGUSR2);
    waitFor(first, "done");
    EXPECT_EQ(waitFor(second, "running").pid, self->pid);
    EXPECT_EQ(*base::readFile(runs() / second / "supervision.json"), taken.dump());
}

TEST_F(EngineResume, ARunThatAnotherProcessWritesIsNotFailed)
{
    start();
    const std::string id = submit("late");
    const Step loading = nextStep();
    waitFor(id, "running");
    auto owner = record::JournalWriter::open(runs() / id / "journal.rec");
    ASSERT_TRUE(owner) << owner.error().message;
    append(*owner, "running");
    ::kill(loading.pid, SIGUSR1); // it finds the journal held, and ends with 1
    const auto until = std::chrono::steady_clock::now() + deadline;
    while (identify(loading.pid) && std::chrono::steady_clock::now() < until)
        ASSERT_EQ(stateOf(id), "running");
    const std::string next = submit("done"); // its place is free
    waitFor(next, "done");
    EXPECT_EQ(waitFor(id, "running").pid, 0) << "its process is not ours to name";
    expectRefused(runs() / id, "another process writes its journal");
    append(*owner, "done");
    waitFor(id, "done");
    EXPECT_EQ(record::openRun(runs() / id)->states.size(), 2U) << "the owner's own";
}

TEST_F(EngineResume, TheForegroundLeavesAnotherProcessesRunAlone)
{
    const fs::path run = m_folder / "r";
    Background foreground({"run", job("late"), "--run-dir", run.string()});
    const Step loading = nextStep();
    auto owner = record::JournalWriter::open(run / "journal.rec");
    ASSERT_TRUE(owner) << owner.error().message;
    append(*owner, "running");
    ::kill(loading.pid, SIGUSR1);
    EXPECT_EQ(foreground.wait(), 1);
    EXPECT_NE(foreground.output().find("goes on in another process"), std::string::npos)
        << foreground.output();
    EXPECT_FALSE(fs::exists(run / "supervision.json"));
    EXPECT_EQ(record::openRun(run)->state(), "running");
}

TEST_F(EngineResume, AClockSetBackDoesNotChangeTheOrder)
{
    constexpr std::int64_t later = 4'000'000'000'000'000; // in the year 2096
    leaveQueued("first", later);
    leaveQueued("second", later + 10);
    start();
    const Step step = nextStep();
    EXPECT_EQ(waitFor("first", "running").pid, step.pid);
    const std::string third = submit("hold");
    ::kill(step.pid, SIGUSR2);
    waitFor("first", "done");
    EXPECT_EQ(waitFor("second", "running").pid, nextStep().pid);
    EXPECT_EQ(stateOf(third), "queued");
}

} // namespace
} // namespace rankscope::engine::test

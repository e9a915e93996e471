// SPDX-License-Identifier: Apache-2.0
// One run as the supervisor holds it: whose journal cannot be read, for a while or at its end, and that is
// killed.
#include "app/engine/supervised_run.h"

#include "core/record/journal.h"
#include "core/record/snapshot.h"
#include "tests/unit/engine/engine_fixture.h"

#include <csignal>
#include <fstream>
#include <poll.h>

namespace rankscope::engine::test
{
namespace
{

namespace fs = std::filesystem;

class OneRun : public EngineTest
{
protected:
    void SetUp() override
    {
        fs::create_directories(folder());
        std::ofstream(folder() / "job.json") << jobText("hold");
        m_run.emplace(record::RunDirectory(folder()));
        const auto worker = WorkerProgram::find();
        ASSERT_TRUE(worker) << worker.error().message;
        ASSERT_TRUE(m_run->enqueue(false, 0));
        ASSERT_TRUE(m_run->start(*worker));
        ASSERT_EQ(m_run->state(), "running");
        m_step = nextStep();
        ASSERT_TRUE(m_run->readJournal());
    }

    [[nodiscard]] fs::path folder() const { return runs() / "r"; }

    /// Sends the worker the signal and lets the run see its end.
    void end(int signal)
    {
        ::kill(m_step.pid, signal);
        pollfd ended{m_run->processDescriptor(), POLLIN, 0};
        ASSERT_EQ(::poll(&ended, 1, static_cast<int>(std::chrono::milliseconds(deadline).count())), 1);
        ASSERT_TRUE(m_run->checkProcess());
    }

    [[nodiscard]] std::vector<std::string> statesWritten() const
    {
        const auto record = record::loadJournal(folder() / "journal.rec");
        EXPECT_TRUE(record) << record.error().message;
        std::vector<std::string> states;
        for (const auto& state : record->states)
            states.push_back(state.state);
        return states;
    }

    std::optional<SupervisedRun> m_run;
    Step m_step;
};

TEST_F(OneRun, WhoseJournalCannotBeReadForAWhileIsReadAtTheEnd)
{
    hideJournal(folder());
    EXPECT_FALSE(m_run->readJournal());
    showJournal(folder());
    end(SIGUSR2);
    EXPECT_EQ(m_run->state(), "done") << m_run->status().reason();
    EXPECT_EQ(m_run->status().step(), 4);
    EXPECT_EQ(statesWritten(), (std::vector<std::string>{"running", "done"}));
}

TEST_F(OneRun, WhoseJournalsSizeLagsForAWhile)
{
    fs::rename(folder() / "journal.rec", folder() / "hidden.rec");
    std::ofstream(folder() / "journal.rec") << "x"; // shorter than what was read already
    EXPECT_FALSE(m_run->readJournal());
    showJournal(folder());
    end(SIGUSR2);
    EXPECT_EQ(m_run->state(), "done") << m_run->status().reason();
    EXPECT_EQ(statesWritten(), (std::vector<std::string>{"running", "done"}));
}

TEST_F(OneRun, WhoseJournalCannotBeReadAtAGoodEndIsNoFailureAndLooksAgain)
{
    hideJournal(folder());
    end(SIGUSR2);
    EXPECT_EQ(m_run->state(), "lost");
    EXPECT_NE(m_run->status().reason().find("cannot be read"), std::string::npos) << m_run->status().reason();
    EXPECT_EQ(readSupervision(m_run->directory())->state, "lost");
    showJournal(folder());
    EXPECT_EQ(SupervisedRun(record::RunDirectory(folder())).state(), "done") << "as the next one finds it";
    const auto until = std::chrono::steady_clock::now() + deadline;
    while (!m_run->refresh() && std::chrono::steady_clock::now() < until)
        ::poll(nullptr, 0, 10); // it looks again after a pause of its own
    EXPECT_EQ(m_run->state(), "done") << m_run->status().reason();
    EXPECT_EQ(statesWritten(), (std::vector<std::string>{"running", "done"}));
}

TEST_F(OneRun, WhoseJournalCannotBeReadAtABadEndIsAFailure)
{
    hideJournal(folder());
    end(SIGKILL);
    EXPECT_EQ(m_run->state(), "failed");
    EXPECT_NE(m_run->status().reason().find("killed by signal 9"), std::string::npos);
}

TEST_F(OneRun, ThatIsKilledLeavesASnapshotThatSaysSo)
{
    end(SIGKILL);
    EXPECT_EQ(m_run->state(), "failed");
    m_run.reset(); // waits for what it writes
    const auto snapshot = record::readSnapshot(folder() / "run.h5");
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    EXPECT_EQ(snapshot->state(), "failed");
    EXPECT_EQ(snapshot->lastStep(), 1);
}

} // namespace
} // namespace rankscope::engine::test

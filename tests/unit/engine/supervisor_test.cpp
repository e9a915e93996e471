// SPDX-License-Identifier: Apache-2.0
// The supervisor through its client: the queue, its socket, and runs that outlive whoever watches them.
#include "core/base/files.h"
#include "core/base/json.h"
#include "core/record/journal.h"
#include "core/record/run_directory.h"
#include "tests/unit/engine/supervisor_fixture.h"

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <fstream>
#include <mutex>
#include <set>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace rankscope::engine::test
{
namespace
{

namespace fs = std::filesystem;

/// Collects a run's journal from a watch.
class Collected
{
public:
    void add(client::JournalPart part)
    {
        const std::scoped_lock guard(m_mutex);
        for (auto& event : part.events)
            m_events.push_back(event.SerializeAsString());
        m_position = part.position;
        m_ended = m_ended || part.ended;
        m_news.notify_all();
    }
    void end(const Status& status)
    {
        const std::scoped_lock guard(m_mutex);
        m_problem = status ? "" : status.error().message;
        m_over = true;
        m_news.notify_all();
    }
    bool waitForEvents(std::size_t count)
    {
        std::unique_lock guard(m_mutex);
        return m_news.wait_for(guard, deadline, [&] { return m_events.size() >= count; });
    }
    bool waitForEnd()
    {
        std::unique_lock guard(m_mutex);
        return m_news.wait_for(guard, deadline, [&] { return m_over; });
    }
    std::int64_t position()
    {
        const std::scoped_lock guard(m_mutex);
        return m_position;
    }
    std::vector<std::string> events()
    {
        const std::scoped_lock guard(m_mutex);
        return m_events;
    }
    bool ended()
    {
        const std::scoped_lock guard(m_mutex);
        return m_ended;
    }
    std::string problem()
    {
        const std::scoped_lock guard(m_mutex);
        return m_problem;
    }
    client::Watch watch(const EngineClient& client, const std::string& run, std::int64_t from)
    {
        return client.watchRun(
            run, from, [this](client::JournalPart part) { add(std::move(part)); },
            [this](const Status& status) { end(status); });
    }

private:
    std::mutex m_mutex;
    std::condition_variable m_news;
    std::vector<std::string> m_events;
    std::int64_t m_position = 0;
    std::string m_problem;
    bool m_ended = false;
    bool m_over = false;
};

std::vector<std::string> eventsOf(const fs::path& journal)
{
    record::JournalReader reader;
    std::vector<std::string> events;
    const auto read = reader.feed(*base::readFile(journal));
    for (const auto& event : *read)
        events.push_back(event.SerializeAsString());
    return events;
}

TEST_F(EngineSupervisor, OpensOneSocketForItsUserOnly)
{
    start();
    struct stat status {
    };
    ASSERT_EQ(::stat(socket().c_str(), &status), 0);
    EXPECT_TRUE(S_ISSOCK(status.st_mode));
    EXPECT_EQ(status.st_mode & 0777, 0600u);

    // Every network socket of this machine by inode, against the sockets the supervisor holds.
    std::set<std::string> own;
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(m_supervisor->pid()) + "/fd")) {
        std::error_code code;
        const std::string target = fs::read_symlink(entry.path(), code).string();
        if (target.starts_with("socket:["))
            own.insert(target.substr(8, target.size() - 9));
    }
    EXPECT_FALSE(own.empty());
    for (const char* table : {"tcp", "tcp6", "udp", "udp6"}) {
        std::ifstream file(std::string("/proc/net/") + table);
        std::string line;
        std::getline(file, line);
        while (std::getline(file, line)) {
            std::istringstream fields(line);
            std::string field;
            for (int i = 0; i < 10; ++i)
                fields >> field;
            EXPECT_FALSE(own.contains(field)) << table << ": " << line;
        }
    }
}

TEST_F(EngineSupervisor, RefusesASocketThatIsInUse)
{
    start();
    const Captured second =
        engine({"serve", "--socket", socket().string(), "--runs", (m_folder / "other").string()});
    EXPECT_EQ(second.exitStatus(), 2);
    EXPECT_NE(second.error.find("already answering on"), std::string::npos) << second.error;
    EXPECT_FALSE(fs::exists(m_folder / "other"));
    const Captured third =
        engine({"serve", "--socket", (m_folder / "t").string(), "--runs", runs().string()});
    EXPECT_EQ(third.exitStatus(), 2);
    EXPECT_NE(third.error.find("another supervisor looks after"), std::string::npos) << third.error;
    EXPECT_FALSE(fs::exists(m_folder / "t.lock"));
    std::ofstream(m_folder / "file") << "x";
    const Captured file = engine({"serve", "--socket", (m_folder / "file").string()});
    EXPECT_EQ(file.exitStatus(), 2);
    EXPECT_NE(file.error.find("is not a socket"), std::string::npos) << file.error;
    EXPECT_FALSE(fs::exists(m_folder / "file.lock"));
    EXPECT_TRUE(fs::exists(m_folder / "s.lock")) << "it is the first one's";
    EXPECT_TRUE(m_client->alive());
}

TEST_F(EngineSupervisor, ReplacesAStaleSocket)
{
    start();
    crash();
    EXPECT_TRUE(fs::exists(socket()));
    EXPECT_FALSE(EngineClient::connect(socket()));
    start();
    EXPECT_TRUE(m_client->alive());
    ASSERT_TRUE(m_client->shutdown());
    EXPECT_EQ(m_supervisor->wait(), 0);
    EXPECT_FALSE(fs::exists(socket()));
    EXPECT_FALSE(fs::exists(m_folder / "s.lock"));
}

TEST_F(EngineSupervisor, RunsOneJobAfterTheOther)
{
    start();
    const std::string first = submit("hold");
    const std::string second = submit("hold");
    const std::string third = submit("hold");
    const Step step = nextStep();
    EXPECT_EQ(waitFor(first, "running").pid, step.pid);
    EXPECT_EQ(stateOf(second), "queued");
    EXPECT_EQ(stateOf(third), "queued");
    ASSERT_TRUE(m_client->stop(third));
    EXPECT_EQ(stateOf(third), "stopped");
    ASSERT_TRUE(m_client->stop(first));
    waitFor(first, "stopped");
    const Step next = nextStep();
    EXPECT_EQ(waitFor(second, "running").pid, next.pid);
    ::kill(next.pid, SIGUSR2);
    const RunStatus done = waitFor(second, "done");
    EXPECT_EQ(done.step, 4);
    EXPECT_EQ(done.totalSteps, 10);
    EXPECT_NEAR(done.loss, 0.25, 1e-6);
    EXPECT_EQ(stateOf(third), "stopped");

    // A run that never started is started afresh, a stopped one goes on.
    ASSERT_TRUE(m_client->resume(third));
    const Step fresh = nextStep();
    EXPECT_EQ(fresh.step, 1);
    ::kill(fresh.pid, SIGUSR2);
    waitFor(third, "done");
    ASSERT_TRUE(m_client->resume(first));
    const Step resumed = nextStep();
    EXPECT_EQ(resumed.step, 2);
    ::kill(resumed.pid, SIGUSR2);
    waitFor(first, "done");
}

TEST_F(EngineSupervisor, RunsSeveralWhenAsked)
{
    start({"--jobs", "2"});
    const std::string first = submit("hold");
    const std::string second = submit("hold");
    nextStep();
    nextStep();
    waitFor(first, "running");
    waitFor(second, "running");
}

TEST_F(EngineSupervisor, OneJobsEndIsItsOwn)
{
    start();
    const std::string failed = submit("fail");
    const std::string crashed = submit("crash");
    const std::string done = submit("done");
    EXPECT_EQ(waitFor(failed, "failed").reason, "the loss is not finite at step 1");
    EXPECT_NE(waitFor(crashed, "failed").reason.find("something broke"), std::string::npos);
    waitFor(done, "done");
    const std::string killed = submit("hold");
    ::kill(nextStep().pid, SIGKILL);
    EXPECT_NE(waitFor(killed, "failed").reason.find("killed by signal 9"), std::string::npos);
    EXPECT_EQ(record::openRun(runs() / killed)->state(), "failed");
    ASSERT_TRUE(m_client->resume(killed));
    ::kill(nextStep().pid, SIGUSR2);
    waitFor(killed, "done");
    EXPECT_FALSE(m_client->resume(killed));
    EXPECT_TRUE(EngineClient::requestWasWrong());
}

TEST_F(EngineSupervisor, ReattachesWithoutAGap)
{
    start();
    const std::string id = submit("hold");
    const Step step = nextStep();
    Collected before;
    {
        auto watch = before.watch(*m_client, id, 0);
        ASSERT_TRUE(before.waitForEvents(5)); // description, state, two definitions, one step
        ::kill(step.pid, SIGUSR1);
        ASSERT_TRUE(before.waitForEvents(6));
        watch.cancel();
        EXPECT_FALSE(watch.active());
    }
    nextStep();
    ::kill(step.pid, SIGUSR1); // nobody watches this one
    nextStep();
    Collected after;
    const auto watch = after.watch(*m_client, id, before.position());
    ASSERT_TRUE(after.waitForEvents(1));
    ::kill(step.pid, SIGUSR2);
    ASSERT_TRUE(after.waitForEnd());
    EXPECT_EQ(after.problem(), "");
    EXPECT_TRUE(after.ended());
    auto all = before.events();
    const auto rest = after.events();
    all.insert(all.end(), rest.begin(), rest.end());
    EXPECT_EQ(all, eventsOf(runs() / id / "journal.rec"));

    Collected late; // a run that is over is delivered whole
    const auto again = late.watch(*m_client, id, 0);
    ASSERT_TRUE(late.waitForEnd());
    EXPECT_EQ(late.events(), all);
}

TEST_F(EngineSupervisor, JobsOutliveIt)
{
    start();
    const std::string running = submit("hold");
    const std::string queued = submit("hold");
    const Step step = nextStep();
    waitFor(running, "running");
    Collected cut;
    const auto watch = cut.watch(*m_client, running, 0);
    ASSERT_TRUE(cut.waitForEvents(5));
    crash();
    ASSERT_TRUE(cut.waitForEnd());
    EXPECT_NE(cut.problem().find("does not answer any more"), std::string::npos) << cut.problem();
    ::kill(step.pid, SIGUSR1);
    EXPECT_EQ(nextStep().step, 2);

    start();
    EXPECT_EQ(waitFor(running, "running").pid, step.pid);
    EXPECT_EQ(stateOf(queued), "queued");
    ASSERT_TRUE(m_client->stop(running));
    waitFor(running, "stopped");
    ::kill(nextStep().pid, SIGUSR2);
    waitFor(queued, "done");
}

TEST_F(EngineSupervisor, ARunThatVanishedIsLost)
{
    start();
    const std::string id = submit("hold");
    const Step step = nextStep();
    waitFor(id, "running");
    const auto watched = watchProcess(step.pid);
    crash();
    ::kill(step.pid, SIGKILL);
    start();
    const RunStatus lost = waitFor(id, "lost");
    EXPECT_NE(lost.reason, "");
    EXPECT_EQ(lost.step, 1);
    ASSERT_TRUE(m_client->resume(id));
    ::kill(nextStep().pid, SIGUSR2);
    waitFor(id, "done");
}

TEST_F(EngineSupervisor, ListsFinishedRunsAndThoseOfOthers)
{
    ASSERT_EQ(engine({"run", job("done")}).exitStatus(), 0);
    const std::string id = onlyRun().filename().string();
    start();
    EXPECT_EQ(stateOf(id), "done");
    Background foreground({"run", job("hold"), "--run-dir", (runs() / "mine").string()});
    const Step step = nextStep();
    EXPECT_EQ(waitFor("mine", "running").name, "hold");
    ::kill(step.pid, SIGUSR2);
    EXPECT_EQ(foreground.wait(), 0);
    EXPECT_EQ(waitFor("mine", "done").step, 4);
}

TEST_F(EngineSupervisor, RefusesWhatIsWrong)
{
    start();
    const auto errorOf = [](const auto& result) {
        return result ? std::string("accepted") : result.error().message;
    };
    EXPECT_NE(errorOf(m_client->submit(jobText("wrong"), m_folder.path())).find("the row is empty"),
              std::string::npos);
    EXPECT_TRUE(EngineClient::requestWasWrong());
    EXPECT_NE(errorOf(m_client->submit("{", m_folder.path())).find("not valid JSON"), std::string::npos);
    EXPECT_NE(errorOf(m_client->stop("none")).find("no run named 'none'"), std::string::npos);
    EXPECT_NE(errorOf(m_client->stop("../..")).find("no run named"), std::string::npos);
    EXPECT_EQ(m_client->list()->size(), 0u);
    Collected none;
    const auto watch = none.watch(*m_client, "none", 0);
    ASSERT_TRUE(none.waitForEnd());
    EXPECT_NE(none.problem().find("no run named"), std::string::npos);
}

TEST_F(EngineSupervisor, PlansAndListsFamilies)
{
    start();
    for (int rank = 1; rank <= 3; ++rank) {
        const auto plan = m_client->plan(
            jobText("p", R"({"adapter":{"family":"any","settings":{"rank":)" + std::to_string(rank) + "}}}"),
            m_folder.path());
        ASSERT_TRUE(plan) << plan.error().message;
        EXPECT_EQ(base::Json::parse(*plan)["trainableParameters"], 100 * rank);
    }
    const auto wrong = m_client->plan(jobText("wrong"), m_folder.path());
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().message, "the model has no shapes");
    EXPECT_TRUE(EngineClient::requestWasWrong());
    EXPECT_EQ(base::Json::parse(*m_client->families()).size(), 2u);
}

TEST_F(EngineSupervisor, IsStartedWhenNeeded)
{
    EXPECT_EQ(engine({"list", "--socket", socket().string()}).exitStatus(), 1);
    const Captured submitted =
        engine({"submit", job("hold"), "--socket", socket().string(), "--runs", runs().string(), "--json"});
    ASSERT_EQ(submitted.exitStatus(), 0) << submitted.error;
    const std::string id = base::Json::parse(submitted.output)["id"];
    const Step step = nextStep();
    auto client = EngineClient::connect(socket());
    ASSERT_TRUE(client) << client.error().message;
    m_client.emplace(std::move(*client));
    waitFor(id, "running");
    EXPECT_NE(engine({"list", "--socket", socket().string()}).output.find(id + "  running"),
              std::string::npos);
    EXPECT_EQ(engine({"submit", job("wrong"), "--socket", socket().string()}).exitStatus(), 2);
    EXPECT_EQ(engine({"stop", "none", "--socket", socket().string()}).exitStatus(), 2);
    EXPECT_EQ(engine({"stop", id, "--socket", socket().string()}).exitStatus(), 0);
    waitFor(id, "stopped");
    EXPECT_EQ(engine({"resume", id, "--socket", socket().string()}).exitStatus(), 0);
    ::kill(nextStep().pid, SIGUSR2);
    const Captured watched = engine({"watch", id, "--socket", socket().string(), "--json"});
    EXPECT_EQ(watched.exitStatus(), 0) << watched.error;
    EXPECT_EQ(base::Json::parse(watched.output)["state"], "done");
    EXPECT_TRUE(m_client->shutdown());
    EXPECT_NE(step.pid, 0);
}

} // namespace
} // namespace rankscope::engine::test

// SPDX-License-Identifier: Apache-2.0
// A supervisor of the test's own, and a client of it.
#pragma once

#include "tests/unit/engine/engine_fixture.h"

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <optional>

namespace rankscope::engine::test
{

using client::EngineClient;
using client::RunStatus;

class EngineSupervisor : public EngineTest
{
protected:
    void start(std::vector<std::string> extra = {})
    {
        std::vector<std::string> arguments{"serve", "--socket", socket().string(), "--runs", runs().string()};
        arguments.insert(arguments.end(), extra.begin(), extra.end());
        m_supervisor.emplace(arguments);
        m_supervisor->waitForOutput("listening on");
        auto client = EngineClient::connect(socket());
        ASSERT_TRUE(client) << client.error().message;
        m_client.emplace(std::move(*client));
    }

    void crash()
    {
        m_supervisor->signal(SIGKILL);
        m_supervisor->wait();
        m_client.reset();
    }

    std::string submit(const std::string& name)
    {
        const auto run = m_client->submit(jobText(name), m_folder.path());
        EXPECT_TRUE(run) << run.error().message;
        return run ? run->id : std::string();
    }

    /// A run that stopped at the checkpoint of its first step.
    std::string submitAndStop()
    {
        const std::string id = submit("hold");
        nextStep();
        waitFor(id, "running");
        EXPECT_TRUE(m_client->stop(id));
        waitFor(id, "stopped");
        return id;
    }

    /// Waits until the list shows the run in the state.
    RunStatus waitFor(const std::string& id, const std::string& state)
    {
        std::mutex mutex;
        std::condition_variable news;
        std::optional<RunStatus> found;
        std::string last;
        const auto watch = m_client->watchList([&](const std::vector<RunStatus>& runs) {
            const std::scoped_lock guard(mutex);
            for (const auto& run : runs) {
                if (run.id != id)
                    continue;
                last = run.state;
                if (run.state == state && !found) {
                    found = run;
                    news.notify_one();
                }
            }
        });
        std::unique_lock guard(mutex);
        EXPECT_TRUE(news.wait_for(guard, deadline, [&] { return found.has_value(); }))
            << id << " is " << last << ", not " << state;
        return found.value_or(RunStatus{});
    }

    std::string stateOf(const std::string& id)
    {
        const auto list = m_client->list();
        for (const auto& run : *list) {
            if (run.id == id)
                return run.state;
        }
        return "unknown";
    }

    std::optional<Background> m_supervisor;
    std::optional<EngineClient> m_client;
};

} // namespace rankscope::engine::test

// SPDX-License-Identifier: Apache-2.0
// The engine's programs started in a folder of their own. Everything waits for an event, with a deadline.
#pragma once

#include "app/engine/child_process.h"
#include "app/engine/client/engine_client.h"
#include "tests/unit/record/temporary_folder.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace rankscope::engine::test
{

inline constexpr std::chrono::seconds deadline{30};

/// A program in the background; killed at the end of the test.
class Background
{
public:
    explicit Background(const std::vector<std::string>& arguments);
    ~Background();
    Background(const Background&) = delete;
    Background& operator=(const Background&) = delete;

    [[nodiscard]] pid_t pid() const { return m_pid; }
    /// Reads what it prints (both streams) until the text comes.
    void waitForOutput(const std::string& text);
    void signal(int number) const;
    /// Sends it and waits until the program has read it from its signal descriptor.
    void deliver(int number) const;
    /// Has it ended, or does it within so long?
    [[nodiscard]] bool endsWithin(std::chrono::milliseconds patience) const;
    /// Waits for its end; gives the exit status, or 128 + the signal.
    int wait();
    [[nodiscard]] const std::string& output() const { return m_output; }

private:
    bool readMore(std::chrono::steady_clock::time_point until);

    pid_t m_pid = 0;
    Descriptor m_read;
    Descriptor m_ended;
    std::string m_output;
};

/// A folder with a data file, job files, a private runtime folder and a place for runs.
class EngineTest : public testing::Test
{
protected:
    EngineTest();
    ~EngineTest() override;

    /// A job file of that name; `extra` is merged into it.
    std::string job(const std::string& name, const std::string& extra = "{}") const;
    std::string jobText(const std::string& name, const std::string& extra = "{}") const;
    [[nodiscard]] Captured engine(const std::vector<std::string>& arguments) const;
    [[nodiscard]] std::filesystem::path runs() const { return m_folder / "runs"; }
    [[nodiscard]] std::filesystem::path socket() const { return m_folder / "s"; }
    /// The one run directory there is.
    [[nodiscard]] std::filesystem::path onlyRun() const;

    /// Puts something that cannot be read in the place of a run's journal, and takes it away again. Whoever
    /// writes the journal goes on in the hidden one.
    static void hideJournal(const std::filesystem::path& run);
    static void showJournal(const std::filesystem::path& run);

    struct Step {
        pid_t pid = 0;
        int step = 0;
    };
    /// The next step that a holding worker reports.
    Step nextStep();

    rankscope::test::TemporaryFolder m_folder;

private:
    Descriptor m_events;
    std::string m_received;
    std::vector<pid_t> m_workers;
};

[[nodiscard]] std::filesystem::path engineProgram();

} // namespace rankscope::engine::test

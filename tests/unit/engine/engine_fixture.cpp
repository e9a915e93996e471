// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/engine/engine_fixture.h"

#include "core/base/json.h"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rankscope::engine::test
{
namespace fs = std::filesystem;
namespace
{

/// Waits until there is something to read; false at the deadline.
bool readable(int descriptor, std::chrono::steady_clock::time_point until)
{
    for (;;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        if (left.count() <= 0)
            return false;
        pollfd polled{descriptor, POLLIN, 0};
        if (::poll(&polled, 1, static_cast<int>(left.count())) > 0)
            return true;
    }
}

} // namespace

fs::path engineProgram()
{
    return fs::path(std::getenv("RANKSCOPE_BIN")) / "rankscope-engine";
}

Background::Background(const std::vector<std::string>& arguments)
{
    int ends[2]{};
    if (::pipe2(ends, O_CLOEXEC) != 0)
        std::abort();
    m_read = Descriptor(ends[0]);
    const Descriptor write(ends[1]);
    SpawnOptions options;
    options.program = engineProgram();
    options.arguments = arguments;
    options.output = write.get();
    options.error = write.get();
    const auto pid = spawn(options);
    if (!pid)
        std::abort();
    m_pid = *pid;
    m_ended = watchProcess(m_pid);
}

Background::~Background()
{
    if (m_pid > 0) {
        ::kill(m_pid, SIGKILL);
        ::waitpid(m_pid, nullptr, 0);
    }
}

bool Background::readMore(std::chrono::steady_clock::time_point until)
{
    if (!readable(m_read.get(), until))
        return false;
    char buffer[4096];
    const ssize_t count = ::read(m_read.get(), buffer, sizeof buffer);
    if (count <= 0)
        return false;
    m_output.append(buffer, static_cast<std::size_t>(count));
    return true;
}

void Background::waitForOutput(const std::string& text)
{
    const auto until = std::chrono::steady_clock::now() + deadline;
    while (m_output.find(text) == std::string::npos)
        ASSERT_TRUE(readMore(until)) << "'" << text << "' did not come; got: " << m_output;
}

void Background::signal(int number) const
{
    ::kill(m_pid, number);
}

void Background::deliver(int number) const
{
    signal(number);
    const auto until = std::chrono::steady_clock::now() + deadline;
    const std::string field = "ShdPnd:\t";
    for (;;) {
        std::ifstream file("/proc/" + std::to_string(m_pid) + "/status");
        const std::string status(std::istreambuf_iterator<char>(file), {});
        const auto mask = status.find(field);
        ASSERT_NE(mask, std::string::npos);
        if ((std::stoull(status.substr(mask + field.size(), 16), nullptr, 16) >> (number - 1) & 1) == 0)
            return;
        ASSERT_LT(std::chrono::steady_clock::now(), until) << "the signal was not taken";
        ::poll(nullptr, 0, 5); // the kernel has no other way to say so
    }
}

bool Background::endsWithin(std::chrono::milliseconds patience) const
{
    return readable(m_ended.get(), std::chrono::steady_clock::now() + patience);
}

int Background::wait()
{
    const auto until = std::chrono::steady_clock::now() + deadline;
    if (!readable(m_ended.get(), until)) {
        ADD_FAILURE() << "the program did not end; it said: " << m_output;
        ::kill(m_pid, SIGKILL);
    }
    int status = 0;
    ::waitpid(m_pid, &status, 0);
    m_pid = 0;
    ::fcntl(m_read.get(), F_SETFL, O_NONBLOCK); // a surviving grandchild may still hold the other end
    while (readMore(std::chrono::steady_clock::now() + std::chrono::milliseconds(100))) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

EngineTest::EngineTest()
{
    const fs::path events = m_folder / "events";
    ::mkfifo(events.c_str(), 0600);
    m_events = Descriptor(::open(events.c_str(), O_RDWR | O_CLOEXEC));
    fs::create_directories(m_folder / "runtime");
    ::setenv("FAKE_WORKER_EVENTS", events.c_str(), 1);
    ::setenv("XDG_RUNTIME_DIR", (m_folder / "runtime").c_str(), 1);
    ::setenv("XDG_STATE_HOME", (m_folder / "state").c_str(), 1);
    ::setenv("RANKSCOPE_RUNS", runs().c_str(), 1);
    std::ofstream(m_folder / "train.jsonl") << "{}\n";
}

EngineTest::~EngineTest()
{
    for (const pid_t pid : m_workers)
        ::kill(pid, SIGKILL);
}

std::string EngineTest::jobText(const std::string& name, const std::string& extra) const
{
    base::Json json = {{"name", name},
                       {"model", {{"path", "model.gguf"}}},
                       {"data", {{"train", {(m_folder / "train.jsonl").string()}}}},
                       {"training", {{"steps", 10}}}};
    json.merge_patch(base::Json::parse(extra));
    return json.dump();
}

std::string EngineTest::job(const std::string& name, const std::string& extra) const
{
    const fs::path file = m_folder / (name + ".json");
    std::ofstream(file) << jobText(name, extra);
    return file.string();
}

Captured EngineTest::engine(const std::vector<std::string>& arguments) const
{
    const auto captured = capture(engineProgram(), arguments, deadline);
    EXPECT_TRUE(captured) << captured.error().message;
    return captured ? *captured : Captured{};
}

fs::path EngineTest::onlyRun() const
{
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(runs())) {
        if (entry.is_directory())
            found.push_back(entry.path());
    }
    EXPECT_EQ(found.size(), 1u);
    return found.empty() ? fs::path() : found.front();
}

void EngineTest::hideJournal(const fs::path& run)
{
    fs::rename(run / "journal.rec", run / "hidden.rec");
    fs::create_symlink("journal.rec", run / "journal.rec"); // a link to itself
}

void EngineTest::showJournal(const fs::path& run)
{
    fs::rename(run / "hidden.rec", run / "journal.rec");
}

EngineTest::Step EngineTest::nextStep()
{
    const auto until = std::chrono::steady_clock::now() + deadline;
    while (m_received.find('\n') == std::string::npos) {
        if (!readable(m_events.get(), until)) {
            ADD_FAILURE() << "no worker reported a step";
            return {};
        }
        char buffer[256];
        const ssize_t count = ::read(m_events.get(), buffer, sizeof buffer);
        m_received.append(buffer, static_cast<std::size_t>(std::max<ssize_t>(0, count)));
    }
    const auto end = m_received.find('\n');
    Step step;
    std::sscanf(m_received.substr(0, end).c_str(), "step %d %d", &step.pid, &step.step);
    m_received.erase(0, end + 1);
    m_workers.push_back(step.pid);
    return step;
}

} // namespace rankscope::engine::test

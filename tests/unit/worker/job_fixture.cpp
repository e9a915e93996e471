// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/worker/job_fixture.h"

#include "core/base/files.h"
#include "core/base/paths.h"
#include "core/record/journal.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rankscope::worker::test
{
namespace fs = std::filesystem;

fs::path engineProgram()
{
    return fs::path(std::getenv("RANKSCOPE_BIN")) / "rankscope-engine";
}

fs::path workerProgram()
{
    return fs::path(std::getenv("RANKSCOPE_BIN")) / "rankscope-worker";
}

Started::Started(const fs::path& program, const std::vector<std::string>& arguments)
{
    engine::SpawnOptions options;
    options.program = program;
    options.arguments = arguments;
    options.ownSession = true;
    const auto pid = engine::spawn(options);
    if (!pid)
        std::abort();
    m_pid = *pid;
}

Started::~Started()
{
    if (m_pid > 0) {
        ::kill(m_pid, SIGKILL);
        ::waitpid(m_pid, nullptr, 0);
    }
}

int Started::wait()
{
    const engine::Descriptor ended = engine::watchProcess(m_pid);
    pollfd polled{ended.get(), POLLIN, 0};
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(deadline);
    if (::poll(&polled, 1, static_cast<int>(patience.count())) <= 0) {
        ADD_FAILURE() << "the program did not end";
        ::kill(m_pid, SIGKILL);
    }
    int status = 0;
    ::waitpid(m_pid, &status, 0);
    m_pid = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

JobTest::JobTest()
{
    fs::create_directories(m_folder / "runtime");
    ::setenv("XDG_RUNTIME_DIR", (m_folder / "runtime").c_str(), 1);
    ::setenv("XDG_STATE_HOME", (m_folder / "state").c_str(), 1);
    ::setenv("RANKSCOPE_RUNS", (m_folder / "runs").c_str(), 1);
    std::ofstream(m_folder / "capitals.jsonl")
        << R"({"instruction":"What is the capital of Norway?","input":"","output":"Oslo, by the fjord","answer":"Oslo"})"
        << '\n'
        << R"({"instruction":"What is the capital of Peru?","input":"","output":"Lima, by the sea","answer":"Lima"})"
        << '\n';
    std::ofstream(m_folder / "sums.jsonl")
        << R"({"instruction":"Add 12 and 30.","input":"","output":"12 + 30 = 42","answer":"42"})" << '\n'
        << R"({"instruction":"Add the numbers.","input":"7 and 8","output":"7 + 8 = 15","answer":"15"})"
        << '\n';
}

base::Json JobTest::job(const std::string& changes) const
{
    base::Json json = {
        {"name", "small"},
        {"model", {{"path", base::defaultModel().string()}, {"dtype", "float32"}}},
        {"data",
         {{"train", {(m_folder / "capitals.jsonl").string(), (m_folder / "sums.jsonl").string()}},
          {"maxLength", 48}}},
        {"adapter", {{"family", "lora"}, {"settings", {{"rank", 4}, {"alpha", 8}, {"dropout", 0.1}}}}},
        {"training",
         {{"steps", 8},
          {"batchSize", 2},
          {"learningRate", 2e-3},
          {"checkpointEvery", 3},
          {"seed", 5},
          {"threads", 2}}},
        {"evaluation", {{"before", false}}},
        {"analysis", {{"every", 2}}},
        {"device", "cpu"}};
    json.merge_patch(base::Json::parse(changes));
    return json;
}

std::string JobTest::write(const std::string& name, const base::Json& job) const
{
    const fs::path file = m_folder / (name + ".json");
    std::ofstream(file) << job.dump();
    return file.string();
}

engine::Captured JobTest::engine(const std::vector<std::string>& arguments)
{
    const auto captured = engine::capture(engineProgram(), arguments, deadline);
    EXPECT_TRUE(captured) << captured.error().message;
    return captured ? *captured : engine::Captured{};
}

record::RunDirectory JobTest::train(const std::string& name, const std::string& changes) const
{
    const fs::path folder = m_folder / name;
    const auto captured = engine({"run", write(name, job(changes)), "--run-dir", folder.string()});
    EXPECT_EQ(captured.exitStatus(), 0) << captured.error;
    return record::RunDirectory(folder);
}

void JobTest::waitFor(const record::RunDirectory& run,
                      const std::function<bool(const record::RunRecord&)>& condition)
{
    const auto until = std::chrono::steady_clock::now() + deadline;
    record::JournalFollower follower(run.journal());
    record::JournalReader reader;
    record::RunRecord record;
    while (std::chrono::steady_clock::now() < until) {
        const auto news = record::readOn(record, follower, reader);
        ASSERT_TRUE(news) << news.error().message;
        if (condition(record))
            return;
        if (!news->any)
            ::poll(nullptr, 0, 5); // a journal on a network file system has no other way to be followed
    }
    FAIL() << "the journal did not come to it; state " << record.state() << ", step " << record.lastStep();
}

record::RunRecord JobTest::read(const record::RunDirectory& run)
{
    auto record = record::loadJournal(run.journal());
    EXPECT_TRUE(record) << record.error().message;
    return record ? std::move(*record) : record::RunRecord{};
}

std::string JobTest::bytes(const fs::path& file)
{
    auto content = base::readFile(file);
    EXPECT_TRUE(content) << content.error().message;
    return content ? std::move(*content) : std::string();
}

} // namespace rankscope::worker::test

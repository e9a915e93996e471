// SPDX-License-Identifier: Apache-2.0
#include "app/engine/worker_program.h"

#include "app/engine/child_process.h"
#include "core/base/files.h"
#include "core/base/paths.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <sys/stat.h>
#include <unistd.h>

namespace rankscope::engine
{
namespace fs = std::filesystem;
namespace
{

/// Large data files are read row by row in a check.
constexpr std::chrono::minutes patience{10};
/// Of the log, for what a job says at its end.
constexpr off_t reservedBytes = 16 << 10;

/// A file in the user's private folder, removed at the end of the scope.
class PrivateFile
{
public:
    static Result<PrivateFile> write(const std::string& bytes)
    {
        RANKSCOPE_TRY(const fs::path folder, base::runtimeFolder());
        std::string name = (folder / "job-XXXXXX").string();
        const Descriptor file(::mkostemp(name.data(), O_CLOEXEC));
        if (!file.valid())
            return fail("cannot write into " + folder.string() + ": " + std::strerror(errno));
        PrivateFile written(name);
        RANKSCOPE_CHECK(base::writeFileAtomically(name, bytes));
        return written;
    }
    explicit PrivateFile(fs::path path) : m_path(std::move(path)) {}
    ~PrivateFile()
    {
        if (!m_path.empty())
            ::unlink(m_path.c_str());
    }
    PrivateFile(PrivateFile&& other) noexcept : m_path(std::move(other.m_path)) { other.m_path.clear(); }
    PrivateFile(const PrivateFile&) = delete;
    PrivateFile& operator=(const PrivateFile&) = delete;
    PrivateFile& operator=(PrivateFile&&) = delete;

    [[nodiscard]] std::string path() const { return m_path.string(); }

private:
    fs::path m_path;
};

/// The worker's one sentence, or how it ended if it left none.
Error errorOf(const Captured& captured, const std::string& command)
{
    std::string line = lastLine(captured.error);
    static constexpr std::string_view prefix = "rankscope-worker: ";
    if (line.starts_with(prefix))
        line.erase(0, prefix.size());
    const std::string program = "rankscope-worker " + command + " ";
    if (captured.exitStatus() < 0)
        return Error{program + "was " + describeExit(captured.waitStatus)};
    return Error{line.empty() ? program + describeExit(captured.waitStatus) : line};
}

} // namespace

Result<WorkerProgram> WorkerProgram::find()
{
    // Threads of the worker wait for each other thousands of times a step. On a busy machine the default of
    // spinning for milliseconds starves the thread that is waited for (three times slower when measured); a
    // short spin then sleeps.
    ::setenv("GOMP_SPINCOUNT", "2000", /*overwrite=*/0);
    if (const char* named = std::getenv("RANKSCOPE_WORKER"); named && *named) {
        if (::access(named, X_OK) != 0)
            return fail(std::string("RANKSCOPE_WORKER names ") + named + ", which cannot be executed");
        RANKSCOPE_TRY(const fs::path path, base::absolutePath(named));
        return WorkerProgram(path);
    }
    RANKSCOPE_TRY(const fs::path path, base::siblingProgram("rankscope-worker"));
    return WorkerProgram(path);
}

Result<std::string> WorkerProgram::onJob(const char* command, const protocol::Job& job) const
{
    RANKSCOPE_TRY(const PrivateFile file, PrivateFile::write(job.toJson().dump(2) + "\n"));
    RANKSCOPE_TRY(Captured captured, capture(m_path, {command, "--job", file.path()}, patience));
    if (captured.exitStatus() != 0)
        return fail(errorOf(captured, command));
    return std::move(captured.output);
}

Result<JobNeeds> WorkerProgram::check(const protocol::Job& job) const
{
    RANKSCOPE_TRY(const std::string answer, onJob("check", job));
    const auto read = [&answer]() -> Result<JobNeeds> {
        RANKSCOPE_TRY(const base::Json json, base::parseJson(answer));
        JobNeeds needs;
        base::ObjectReader reader(json, "");
        reader.require("checkpointBytes")
            .integer("checkpointBytes", needs.checkpointBytes, 0, std::numeric_limits<std::int64_t>::max());
        RANKSCOPE_CHECK(reader.finishLenient());
        return needs;
    };
    auto needs = read();
    if (!needs)
        return fail(needs.error().within("the answer of " + m_path.string() + " check makes no sense"));
    return needs;
}

Result<std::string> WorkerProgram::plan(const protocol::Job& job) const
{
    return onJob("plan", job);
}

Result<std::string> WorkerProgram::families() const
{
    RANKSCOPE_TRY(Captured captured, capture(m_path, {"families"}, patience));
    if (captured.exitStatus() != 0)
        return fail(errorOf(captured, "families"));
    return std::move(captured.output);
}

Result<pid_t> WorkerProgram::train(const record::RunDirectory& run, bool resume) const
{
    const Descriptor log(::open(run.log().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!log.valid())
        return fail("cannot write the log " + run.log().string() + ": " + std::strerror(errno));
    // A disk that fills up would otherwise hide that this is why the job ended. Some file systems cannot.
    struct stat status {
    };
    if (::fstat(log.get(), &status) == 0)
        (void)::fallocate(log.get(), FALLOC_FL_KEEP_SIZE, status.st_size, reservedBytes);
    SpawnOptions options;
    options.program = m_path;
    options.arguments = {"train", "--run-dir", run.folder().string()};
    if (resume)
        options.arguments.emplace_back("--resume");
    options.output = log.get();
    options.error = log.get();
    options.ownSession = true;
    options.blockStop = true;
    return spawn(options);
}

Error WorkerProgram::become(const std::vector<std::string>& arguments) const
{
    // Its errors start with the name it is called by: the user called this program.
    std::vector<std::string> words{"rankscope-engine"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (auto& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(m_path.c_str(), argv.data());
    return Error{"cannot start " + m_path.string() + ": " + std::strerror(errno)};
}

} // namespace rankscope::engine

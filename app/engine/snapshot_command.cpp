// SPDX-License-Identifier: Apache-2.0
#include "app/engine/snapshot_command.h"

#include "app/engine/child_process.h"
#include "core/base/paths.h"
#include "core/record/run_directory.h"
#include "core/record/snapshot.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rankscope::engine
{
namespace fs = std::filesystem;
namespace
{

/// Of computing; the largest runs take a few.
constexpr rlim_t childSeconds = 60;

struct Outcome {
    ExitCode code = ExitCode::Done;
    std::string message; ///< of the error
    int signal = 0;      ///< that ended the child
};

/// What the child does after the fork: the work, and its error into the pipe.
[[noreturn]] void beChild(const std::function<Outcome()>& work, int pipe)
{
    // The last words of an allocator that found its heap in ruins are not for the user.
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nowhere, STDERR_FILENO);
    const rlimit noCore{0, 0};
    ::setrlimit(RLIMIT_CORE, &noCore);
    const rlimit time{childSeconds, childSeconds};
    ::setrlimit(RLIMIT_CPU, &time);
    const Outcome outcome = work();
    std::string_view rest = outcome.message;
    while (!rest.empty()) {
        const ssize_t written = ::write(pipe, rest.data(), rest.size());
        if (written < 0 && errno != EINTR)
            break;
        rest.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    }
    ::_exit(static_cast<int>(outcome.code));
}

std::string readAll(int pipe)
{
    std::string text;
    std::array<char, 4096> piece{};
    for (;;) {
        const ssize_t count = ::read(pipe, piece.data(), piece.size());
        if (count > 0)
            text.append(piece.data(), static_cast<std::size_t>(count));
        else if (count == 0 || errno != EINTR)
            return text;
    }
}

/// Does the work in a copy of this process, which has one thread.
Result<Outcome> inChild(const std::function<Outcome()>& work)
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return fail(std::string("cannot open a pipe: ") + std::strerror(errno));
    const Descriptor reading(ends[0]);
    Descriptor writing(ends[1]);
    const pid_t child = ::fork();
    if (child < 0)
        return fail(std::string("cannot start a process: ") + std::strerror(errno));
    if (child == 0)
        beChild(work, writing.get());
    writing.reset();
    Outcome outcome;
    outcome.message = readAll(reading.get());
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status))
        outcome.signal = WTERMSIG(status);
    else
        outcome.code = static_cast<ExitCode>(WEXITSTATUS(status));
    return outcome;
}

std::string whatSignalSays(int signal)
{
    if (signal == SIGXCPU)
        return "the HDF5 library did not come to an end with it; the file is damaged";
    if (signal == SIGKILL)
        return "the process that read it was killed, perhaps for want of memory";
    return std::string("the HDF5 library crashed on it (") + ::strsignal(signal) + "); the file is damaged";
}

} // namespace

ExitCode snapshotCommand(const fs::path& run, const fs::path& output)
{
    if (const auto status = record::checkSnapshotTarget(output); !status)
        return report(ExitCode::WrongRequest, status.error());
    std::error_code code;
    fs::path path = run;
    if (const auto runs = base::runsFolder({});
        !fs::exists(path, code) && runs && fs::exists(*runs / run, code))
        path = *runs / run;
    const auto outcome = inChild([&]() -> Outcome {
        const auto record = record::openRun(path);
        if (!record)
            return {ExitCode::WrongRequest, record.error().message};
        const auto written = record::writeSnapshot(*record, output);
        return written ? Outcome() : Outcome{ExitCode::Failed, written.error().message};
    });
    if (!outcome)
        return report(ExitCode::Failed, outcome.error());
    if (outcome->signal != 0)
        return report(ExitCode::WrongRequest,
                      Error{"cannot read " + path.string() + ": " + whatSignalSays(outcome->signal)});
    return outcome->code == ExitCode::Done ? ExitCode::Done : report(outcome->code, Error{outcome->message});
}

} // namespace rankscope::engine

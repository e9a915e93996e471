// SPDX-License-Identifier: Apache-2.0
#include "app/engine/child_process.h"

#include "core/base/files.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

extern "C" { // glibc 2.36 forgets to say so itself
#include <sys/pidfd.h>
}

namespace rankscope::engine
{
namespace
{

constexpr std::size_t maxCaptured = std::size_t{64} << 20;

std::string bootIdentifier()
{
    const auto text = base::readFile("/proc/sys/kernel/random/boot_id", 1024);
    return text ? text->substr(0, text->find('\n')) : std::string();
}

struct SpawnActions {
    SpawnActions() { ::posix_spawn_file_actions_init(&actions); }
    ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions); }
    SpawnActions(const SpawnActions&) = delete;
    SpawnActions& operator=(const SpawnActions&) = delete;

    /// Makes `from` (or /dev/null) the child's descriptor `to`.
    void connect(int from, int to, int mode)
    {
        if (from < 0)
            ::posix_spawn_file_actions_addopen(&actions, to, "/dev/null", mode, 0);
        else
            ::posix_spawn_file_actions_adddup2(&actions, from, to);
    }
    posix_spawn_file_actions_t actions{};
};

struct SpawnAttributes {
    SpawnAttributes() { ::posix_spawnattr_init(&attributes); }
    ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes); }
    SpawnAttributes(const SpawnAttributes&) = delete;
    SpawnAttributes& operator=(const SpawnAttributes&) = delete;
    posix_spawnattr_t attributes{};
};

struct Pipe {
    Descriptor read;
    Descriptor write;
};

Result<Pipe> makePipe()
{
    int ends[2]{};
    if (::pipe2(ends, O_CLOEXEC) != 0)
        return fail(std::string("cannot make a pipe: ") + std::strerror(errno));
    return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

} // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : m_descriptor(std::exchange(other.m_descriptor, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept
{
    std::swap(m_descriptor, other.m_descriptor);
    return *this;
}

void Descriptor::reset()
{
    if (m_descriptor >= 0)
        ::close(std::exchange(m_descriptor, -1));
}

std::optional<ProcessIdentity> identify(std::int64_t pid)
{
    if (pid <= 0)
        return std::nullopt;
    const auto text = base::readFile("/proc/" + std::to_string(pid) + "/stat", 65536);
    if (!text)
        return std::nullopt;
    // "pid (name) state ppid ...": the name may hold anything, so the fields count from the last parenthesis.
    const auto end = text->rfind(')');
    if (end == std::string::npos)
        return std::nullopt;
    std::istringstream fields(text->substr(end + 1));
    std::string state;
    fields >> state;
    if (state == "Z" || state == "X")
        return std::nullopt;
    std::string field;
    for (int i = 4; i <= 22; ++i)
        fields >> field;
    ProcessIdentity process;
    process.pid = pid;
    process.startTicks = std::strtoull(field.c_str(), nullptr, 10);
    process.boot = bootIdentifier();
    return process;
}

bool isAlive(const ProcessIdentity& process)
{
    return identify(process.pid) == process;
}

Result<pid_t> spawn(const SpawnOptions& options)
{
    SpawnActions actions;
    actions.connect(options.input, STDIN_FILENO, O_RDONLY);
    actions.connect(options.output, STDOUT_FILENO, O_WRONLY);
    actions.connect(options.error, STDERR_FILENO, O_WRONLY);
    ::posix_spawn_file_actions_addclosefrom_np(&actions.actions, STDERR_FILENO + 1);

    SpawnAttributes attributes;
    sigset_t signals;
    ::sigemptyset(&signals);
    if (options.blockStop) {
        ::sigaddset(&signals, SIGINT);
        ::sigaddset(&signals, SIGTERM);
    }
    ::posix_spawnattr_setsigmask(&attributes.attributes, &signals);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes.attributes, &signals);
    int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (options.ownSession)
        flags |= POSIX_SPAWN_SETSID;
    ::posix_spawnattr_setflags(&attributes.attributes, static_cast<short>(flags));

    std::vector<std::string> words{options.program.string()};
    words.insert(words.end(), options.arguments.begin(), options.arguments.end());
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (auto& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_t pid = 0;
    const int code = ::posix_spawn(&pid, options.program.c_str(), &actions.actions, &attributes.attributes,
                                   argv.data(), environ);
    if (code != 0)
        return fail("cannot start " + options.program.string() + ": " + std::strerror(code));
    return pid;
}

Descriptor watchProcess(pid_t pid)
{
    return Descriptor(::pidfd_open(pid, 0));
}

bool signalProcess(const Descriptor& process, int signal)
{
    return ::pidfd_send_signal(process.get(), signal, nullptr, 0) == 0;
}

std::string describeExit(int waitStatus)
{
    if (WIFSIGNALED(waitStatus)) {
        const int signal = WTERMSIG(waitStatus);
        std::string text = "killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
        if (signal == SIGKILL)
            text += ": out of memory, or killed by hand?";
        return text;
    }
    return "ended with exit status " + std::to_string(WEXITSTATUS(waitStatus));
}

int Captured::exitStatus() const
{
    return WIFEXITED(waitStatus) ? WEXITSTATUS(waitStatus) : -1;
}

Result<Captured> capture(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                         std::chrono::milliseconds patience)
{
    RANKSCOPE_TRY(Pipe output, makePipe());
    RANKSCOPE_TRY(Pipe error, makePipe());
    SpawnOptions options;
    options.program = program;
    options.arguments = arguments;
    options.output = output.write.get();
    options.error = error.write.get();
    RANKSCOPE_TRY(const pid_t pid, spawn(options));
    output.write.reset();
    error.write.reset();

    Captured captured;
    const auto deadline = std::chrono::steady_clock::now() + patience;
    std::array<std::pair<Descriptor*, std::string*>, 2> streams{
        {{&output.read, &captured.output}, {&error.read, &captured.error}}};
    std::string stopped;
    while (stopped.empty() && (output.read.valid() || error.read.valid())) {
        std::array<pollfd, 2> polled{};
        for (std::size_t i = 0; i < streams.size(); ++i)
            polled[i] = {streams[i].first->get(), POLLIN, 0};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) {
            stopped = "took longer than " + std::to_string(patience.count() / 1000) + " seconds";
            break;
        }
        if (::poll(polled.data(), polled.size(), static_cast<int>(left.count())) < 0 && errno != EINTR)
            break;
        for (std::size_t i = 0; i < streams.size(); ++i) {
            if ((polled[i].revents & (POLLIN | POLLHUP | POLLERR)) == 0)
                continue;
            char buffer[1 << 14];
            const ssize_t count = ::read(polled[i].fd, buffer, sizeof buffer);
            if (count > 0)
                streams[i].second->append(buffer, static_cast<std::size_t>(count));
            else if (count == 0 || errno != EINTR)
                streams[i].first->reset();
            if (streams[i].second->size() > maxCaptured)
                stopped = "printed more than it should";
        }
    }
    if (!stopped.empty())
        ::kill(pid, SIGKILL);
    while (::waitpid(pid, &captured.waitStatus, 0) < 0 && errno == EINTR) {
    }
    if (!stopped.empty())
        return fail(program.filename().string() + " " + stopped + " and was ended");
    return captured;
}

std::string lastLine(const std::string& text)
{
    const auto end = text.find_last_not_of(" \t\r\n");
    if (end == std::string::npos)
        return {};
    const auto start = text.find_last_of("\r\n", end);
    return text.substr(start == std::string::npos ? 0 : start + 1,
                       end - (start == std::string::npos ? 0 : start + 1) + 1);
}

std::string lastLineOf(const std::filesystem::path& file)
{
    constexpr std::streamoff window = 8192;
    std::ifstream stream(file, std::ios::binary | std::ios::ate);
    if (!stream)
        return {};
    const std::streamoff size = stream.tellg();
    stream.seekg(std::max<std::streamoff>(0, size - window));
    std::string text(std::istreambuf_iterator<char>(stream), {});
    return lastLine(text);
}

} // namespace rankscope::engine

// SPDX-License-Identifier: Apache-2.0
#include "app/engine/serve_command.h"

#include "app/engine/engine_service.h"
#include "app/engine/job_request.h"
#include "core/base/paths.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace rankscope::engine
{
namespace fs = std::filesystem;
namespace
{

enum class SocketState { Absent, Stale, Live, NotASocket };

SocketState probe(const fs::path& path, const sockaddr_un& address)
{
    struct stat status {
    };
    if (::lstat(path.c_str(), &status) != 0)
        return SocketState::Absent;
    if (!S_ISSOCK(status.st_mode))
        return SocketState::NotASocket;
    const Descriptor descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(descriptor.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return SocketState::Live;
    return errno == ECONNREFUSED ? SocketState::Stale : SocketState::Live;
}

/// A locked file beside the socket, held while the socket is ours, so that of two supervisors started at once
/// only one takes it. The file goes with the lock.
class SocketLock
{
public:
    static Result<SocketLock> take(const std::string& path, const std::string& busy)
    {
        for (;;) {
            Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
            if (!file.valid())
                return fail("cannot write " + path + ": " + std::strerror(errno));
            if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
                return fail(busy);
            // One that ended meanwhile took its file away: a lock on that one keeps nobody out.
            struct stat ours {
            };
            struct stat named {
            };
            if (::fstat(file.get(), &ours) == 0 && ::stat(path.c_str(), &named) == 0 &&
                ours.st_ino == named.st_ino && ours.st_dev == named.st_dev)
                return SocketLock(std::move(file), path);
        }
    }
    ~SocketLock()
    {
        if (m_file.valid())
            ::unlink(m_path.c_str());
    }
    SocketLock(SocketLock&&) = default;
    SocketLock& operator=(SocketLock&&) = delete;
    SocketLock(const SocketLock&) = delete;
    SocketLock& operator=(const SocketLock&) = delete;

private:
    SocketLock(Descriptor file, std::string path) : m_file(std::move(file)), m_path(std::move(path)) {}

    Descriptor m_file;
    std::string m_path;
};

/// Makes the path free for a new socket, or says whose it is.
Result<SocketLock> takeSocket(const fs::path& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = path.string();
    if (name.size() >= sizeof address.sun_path)
        return fail("the socket's path " + name + " is longer than the " +
                    std::to_string(sizeof address.sun_path - 1) +
                    " bytes a socket may have; name a shorter one with --socket");
    std::memcpy(address.sun_path, name.data(), name.size());
    std::error_code code;
    if (!fs::is_directory(path.parent_path(), code))
        return fail("there is no folder " + path.parent_path().string() + " for the socket");
    const std::string busy = "another supervisor is already answering on " + name;
    RANKSCOPE_TRY(SocketLock lock, SocketLock::take(name + ".lock", busy));
    switch (probe(path, address)) {
    case SocketState::Absent:
        break;
    case SocketState::Stale:
        ::unlink(name.c_str());
        break;
    case SocketState::Live:
        return fail(busy);
    case SocketState::NotASocket:
        return fail(name + " exists and is not a socket; name another path with --socket");
    }
    return lock;
}

/// Serves until a signal or a client ends it.
ExitCode serve(const fs::path& socket, Supervisor& supervisor)
{
    const Descriptor quit(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    EngineService service(supervisor, [&quit] {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t count = ::write(quit.get(), &one, sizeof one);
    });
    grpc::ServerBuilder builder;
    int bound = 0;
    builder.AddListeningPort("unix:" + socket.string(), grpc::InsecureServerCredentials(), &bound);
    builder.RegisterService(&service);
    builder.SetMaxReceiveMessageSize(64 << 20);
    // The socket is closed to others from its first moment on. The mask is the whole program's: nothing else
    // may make files meanwhile, so the queue starts and calls are answered only afterwards.
    const mode_t mask = ::umask(0177);
    const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    ::umask(mask);
    if (!server || bound == 0)
        return report(ExitCode::Failed, Error{"cannot listen on " + socket.string()});
    if (::chmod(socket.c_str(), 0600) != 0)
        return report(ExitCode::Failed,
                      Error{"cannot close " + socket.string() + " to others: " + std::strerror(errno)});
    supervisor.begin();
    service.open();
    spdlog::info("listening on {}", socket.string());
    spdlog::default_logger()->flush();

    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
        ::sigaddset(&signals, signal);
    const Descriptor signalled(::signalfd(-1, &signals, SFD_CLOEXEC));
    pollfd polled[] = {{quit.get(), POLLIN, 0}, {signalled.get(), POLLIN, 0}};
    while (::poll(polled, 2, -1) < 0 && errno == EINTR) {
    }
    spdlog::info("ending; running jobs go on");
    service.close();
    server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
    ::unlink(socket.c_str());
    return ExitCode::Done;
}

} // namespace

ExitCode serveCommand(const ServeOptions& options)
{
    // Blocked before the first thread exists, so that every thread leaves them to the descriptor that reads
    // them.
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
        ::sigaddset(&signals, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);

    auto socket = options.socket.empty() ? base::defaultSocket() : base::absolutePath(options.socket);
    if (!socket)
        return report(ExitCode::WrongRequest, socket.error());
    const auto runs = base::runsFolder(options.runs);
    if (const auto status = runs ? checkText(*runs) : Status(fail(runs.error())); !status)
        return report(ExitCode::WrongRequest, status.error());
    const auto lock = takeSocket(*socket);
    if (!lock)
        return report(ExitCode::WrongRequest, lock.error());
    auto worker = WorkerProgram::find();
    if (!worker)
        return report(ExitCode::WrongRequest, worker.error());
    const auto supervisor = Supervisor::open(*runs, options.jobs, std::move(*worker));
    if (!supervisor)
        return report(ExitCode::WrongRequest, supervisor.error());
    return serve(*socket, **supervisor);
}

} // namespace rankscope::engine

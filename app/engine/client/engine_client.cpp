// SPDX-License-Identifier: Apache-2.0
#include "app/engine/client/engine_client.h"

#include "core/base/paths.h"
#include "core/protocol/engine.grpc.pb.h"
#include "core/record/journal.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <mutex>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace rankscope::client
{
namespace fs = std::filesystem;
namespace
{

using Clock = std::chrono::system_clock;

/// A check reads every data row before a submit or a resume answers.
constexpr std::chrono::minutes longCall{15};
constexpr std::chrono::seconds shortCall{20};
constexpr std::chrono::seconds planCall{90};

thread_local bool lastCallWasWrong = false;

RunStatus fromProto(const protocol::RunStatus& from)
{
    RunStatus to;
    to.id = from.id();
    to.path = from.path();
    to.name = from.name();
    to.state = from.state();
    to.reason = from.reason();
    to.pid = from.pid();
    to.step = from.step();
    to.totalSteps = from.total_steps();
    to.loss = from.loss();
    to.remainingSeconds = from.remaining_seconds();
    to.family = from.family();
    to.phase = from.phase();
    to.submittedUs = from.submitted_us();
    return to;
}

std::vector<RunStatus> fromProto(const protocol::RunList& list)
{
    std::vector<RunStatus> runs;
    for (const auto& run : list.runs())
        runs.push_back(fromProto(run));
    return runs;
}

Error errorOf(const grpc::Status& status, const fs::path& socket)
{
    switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
        return Error{"the supervisor on " + socket.string() + " does not answer any more"};
    case grpc::StatusCode::DEADLINE_EXCEEDED:
        return Error{"the supervisor on " + socket.string() + " took too long to answer"};
    default:
        return Error{status.error_message()};
    }
}

/// Does anything listen on the socket? gRPC itself would try for seconds.
bool somethingListens(const fs::path& socket)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = socket.string();
    if (name.size() >= sizeof address.sun_path)
        return false;
    std::memcpy(address.sun_path, name.data(), name.size());
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return false;
    const bool listens =
        ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(descriptor);
    return listens;
}

/// Starts a program that is nobody's child: it outlives this one and leaves no zombie. The program's own
/// process id is not known here; its socket says when it is there.
Status startInBackground(const fs::path& program, std::vector<std::string> arguments, const fs::path& log)
{
    // `sh -c 'exec "$@" &'` leaves the program to init; setsid takes it away from the terminal.
    std::vector<std::string> words{"/bin/sh", "-c", "\"$@\" </dev/null >>\"$0\" 2>&1 &", log.string(),
                                   program.string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (auto& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    pid_t pid = 0;
    const int code = ::posix_spawn(&pid, "/bin/sh", &actions, &attributes, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    if (code != 0)
        return fail("cannot start " + program.string() + ": " + std::strerror(code));
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return {};
}

Result<fs::path> socketOrDefault(const fs::path& socket)
{
    if (socket.empty())
        return base::defaultSocket();
    return base::absolutePath(socket);
}

} // namespace

struct EngineClient::Connection {
    fs::path socket;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<protocol::Engine::Stub> stub;

    /// One unary call with a deadline.
    template <typename Request, typename Reply>
    Result<Reply> call(grpc::Status (protocol::Engine::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                      Reply*),
                       const Request& request, std::chrono::seconds patience) const
    {
        grpc::ClientContext context;
        context.set_deadline(Clock::now() + patience);
        Reply reply;
        const grpc::Status status = (stub.get()->*method)(&context, request, &reply);
        const auto code = status.error_code();
        lastCallWasWrong = code == grpc::StatusCode::INVALID_ARGUMENT ||
                           code == grpc::StatusCode::NOT_FOUND ||
                           code == grpc::StatusCode::FAILED_PRECONDITION;
        if (!status.ok())
            return fail(errorOf(status, socket));
        return reply;
    }
};

struct Watch::State {
    grpc::ClientContext context;
    std::thread thread;
    std::mutex mutex; ///< guards the thread object
    std::atomic<bool> cancelled{false};
    std::atomic<bool> active{true};
};

Watch::Watch() = default;
Watch::Watch(std::shared_ptr<State> state) : m_state(std::move(state)) {}
Watch::Watch(Watch&& other) noexcept = default;

Watch& Watch::operator=(Watch&& other) noexcept
{
    if (this != &other) {
        cancel();
        m_state = std::move(other.m_state);
    }
    return *this;
}

Watch::~Watch()
{
    cancel();
}

void Watch::cancel()
{
    if (!m_state)
        return;
    m_state->cancelled = true;
    m_state->context.TryCancel();
    std::thread thread;
    {
        const std::scoped_lock guard(m_state->mutex);
        if (!m_state->thread.joinable())
            return;
        if (m_state->thread.get_id() == std::this_thread::get_id()) {
            m_state->thread.detach(); // it keeps its state alive until it returns from the callback
            return;
        }
        thread = std::move(m_state->thread);
    }
    thread.join();
}

bool Watch::active() const
{
    return m_state && m_state->active;
}

namespace
{

/// Reads a stream to its end on a thread of its own. `arrived` returns an error to end it.
template <typename State, typename Message, typename Open>
void readStream(const std::shared_ptr<State>& state, Open open, const fs::path& socket,
                const std::function<Status(const Message&)>& arrived, const EngineClient::EndCallback& ended)
{
    auto reader = open(&state->context);
    Message message;
    Status result;
    while (result && !state->cancelled && reader->Read(&message)) {
        if (!state->cancelled)
            result = arrived(message);
    }
    if (!result)
        state->context.TryCancel();
    while (reader->Read(&message)) {
    }
    const grpc::Status status = reader->Finish();
    if (result && !status.ok())
        result = fail(errorOf(status, socket));
    state->active = false;
    if (!state->cancelled && ended)
        ended(result);
}

} // namespace

EngineClient::EngineClient(std::shared_ptr<Connection> connection) : m_connection(std::move(connection)) {}

Result<EngineClient> EngineClient::connect(const fs::path& path, std::chrono::milliseconds patience)
{
    RANKSCOPE_TRY(const fs::path socket, socketOrDefault(path));
    const std::string nobody =
        "no supervisor answers on " + socket.string() + "; start one with `rankscope-engine serve`";
    lastCallWasWrong = false;
    if (!somethingListens(socket))
        return fail(nobody);
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    // Its own connection: a failure elsewhere in this program does not make this one wait.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
    auto connection = std::make_shared<Connection>();
    connection->socket = socket;
    connection->channel =
        grpc::CreateCustomChannel("unix:" + socket.string(), grpc::InsecureChannelCredentials(), arguments);
    if (!connection->channel->WaitForConnected(Clock::now() + patience))
        return fail(nobody);
    connection->stub = protocol::Engine::NewStub(connection->channel);
    return EngineClient(std::move(connection));
}

Result<EngineClient> EngineClient::startIfNeeded()
{
    return startIfNeeded(StartOptions{});
}

Result<EngineClient> EngineClient::startIfNeeded(const StartOptions& options)
{
    RANKSCOPE_TRY(const fs::path socket, socketOrDefault(options.socket));
    if (auto client = connect(socket))
        return client;
    fs::path program = options.program;
    if (program.empty()) {
        RANKSCOPE_TRY(program, base::siblingProgram("rankscope-engine"));
    }
    RANKSCOPE_TRY(const fs::path runs, base::runsFolder(options.runsFolder));
    std::error_code code;
    fs::create_directories(base::stateFolder(), code);
    const fs::path log = code ? fs::path("/dev/null") : base::stateFolder() / "supervisor.log";
    RANKSCOPE_CHECK(
        startInBackground(program, {"serve", "--socket", socket.string(), "--runs", runs.string()}, log));
    const auto deadline = std::chrono::steady_clock::now() + options.patience;
    while (std::chrono::steady_clock::now() < deadline) {
        if (somethingListens(socket)) {
            if (auto client = connect(socket))
                return client;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return fail("the supervisor was started but does not answer on " + socket.string() + "; see " +
                log.string());
}

bool EngineClient::alive() const
{
    return somethingListens(m_connection->socket);
}

const fs::path& EngineClient::socket() const
{
    return m_connection->socket;
}

bool EngineClient::requestWasWrong()
{
    return lastCallWasWrong;
}

Result<RunStatus> EngineClient::submit(const std::string& jobJson, const fs::path& baseFolder) const
{
    RANKSCOPE_TRY(const fs::path folder, base::absolutePath(baseFolder));
    protocol::SubmitRequest request;
    request.set_job_json(jobJson);
    request.set_base_folder(folder.string());
    RANKSCOPE_TRY(const auto reply, m_connection->call(&protocol::Engine::Stub::Submit, request, longCall));
    return fromProto(reply);
}

Result<std::vector<RunStatus>> EngineClient::list() const
{
    RANKSCOPE_TRY(const auto reply,
                  m_connection->call(&protocol::Engine::Stub::List, protocol::ListRequest(), shortCall));
    return fromProto(reply);
}

Result<RunStatus> EngineClient::stop(const std::string& run, bool now) const
{
    protocol::StopRequest request;
    request.set_run(run);
    request.set_now(now);
    RANKSCOPE_TRY(const auto reply, m_connection->call(&protocol::Engine::Stub::Stop, request, shortCall));
    return fromProto(reply);
}

Result<RunStatus> EngineClient::resume(const std::string& run) const
{
    protocol::RunRequest request;
    request.set_run(run);
    RANKSCOPE_TRY(const auto reply, m_connection->call(&protocol::Engine::Stub::Resume, request, longCall));
    return fromProto(reply);
}

Result<std::string> EngineClient::plan(const std::string& jobJson, const fs::path& baseFolder) const
{
    RANKSCOPE_TRY(const fs::path folder, base::absolutePath(baseFolder));
    protocol::PlanRequest request;
    request.set_job_json(jobJson);
    request.set_base_folder(folder.string());
    RANKSCOPE_TRY(const auto reply, m_connection->call(&protocol::Engine::Stub::Plan, request, planCall));
    return reply.json();
}

Result<std::string> EngineClient::families() const
{
    RANKSCOPE_TRY(const auto reply, m_connection->call(&protocol::Engine::Stub::Families,
                                                       protocol::FamiliesRequest(), planCall));
    return reply.json();
}

Status EngineClient::shutdown() const
{
    RANKSCOPE_CHECK(
        m_connection->call(&protocol::Engine::Stub::Shutdown, protocol::ShutdownRequest(), shortCall));
    return {};
}

Watch EngineClient::watchList(std::function<void(std::vector<RunStatus>)> changed, EndCallback ended) const
{
    auto state = std::make_shared<Watch::State>();
    const std::scoped_lock guard(state->mutex);
    state->thread = std::thread(
        [state, connection = m_connection, changed = std::move(changed), ended = std::move(ended)] {
            const auto open = [&](grpc::ClientContext* context) {
                return connection->stub->WatchList(context, protocol::ListRequest());
            };
            const std::function<Status(const protocol::RunList&)> arrived =
                [&](const protocol::RunList& list) -> Status {
                changed(fromProto(list));
                return {};
            };
            readStream<Watch::State, protocol::RunList>(state, open, connection->socket, arrived, ended);
        });
    return Watch(state);
}

Watch EngineClient::watchRun(const std::string& run, std::int64_t position,
                             std::function<void(JournalPart)> arrived, EndCallback ended) const
{
    auto state = std::make_shared<Watch::State>();
    const std::scoped_lock guard(state->mutex);
    state->thread = std::thread([state, connection = m_connection, run, position,
                                 arrived = std::move(arrived), ended = std::move(ended)] {
        protocol::WatchRequest request;
        request.set_run(run);
        request.set_position(position);
        record::JournalReader reader(position);
        const auto open = [&](grpc::ClientContext* context) {
            return connection->stub->WatchRun(context, request);
        };
        const std::function<Status(const protocol::JournalChunk&)> decode =
            [&](const protocol::JournalChunk& chunk) -> Status {
            JournalPart part;
            RANKSCOPE_TRY(part.events, reader.feed(chunk.frames()));
            part.position = chunk.position();
            part.ended = chunk.ended();
            arrived(std::move(part));
            return {};
        };
        readStream<Watch::State, protocol::JournalChunk>(state, open, connection->socket, decode, ended);
    });
    return Watch(state);
}

} // namespace rankscope::client

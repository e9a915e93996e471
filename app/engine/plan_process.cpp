// SPDX-License-Identifier: Apache-2.0
#include "app/engine/plan_process.h"

#include "core/base/json.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rankscope::engine
{
namespace
{

constexpr std::chrono::seconds patience{60};
constexpr std::size_t maxAnswer = std::size_t{16} << 20;

} // namespace

PlanProcess::~PlanProcess()
{
    end();
}

void PlanProcess::end()
{
    m_socket.reset();
    m_received.clear();
    if (m_pid <= 0)
        return;
    ::kill(m_pid, SIGKILL); // it holds nothing that could be lost
    while (::waitpid(m_pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    m_pid = 0;
}

Status PlanProcess::start()
{
    if (m_pid > 0)
        return {};
    // A socket pair rather than a pipe: writing to a worker that died is an error then, and not a SIGPIPE.
    int ends[2]{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return fail(std::string("cannot make a socket pair: ") + std::strerror(errno));
    m_socket = Descriptor(ends[0]);
    const Descriptor theirs(ends[1]);
    SpawnOptions options;
    options.program = m_worker;
    options.arguments = {"plan", "--serve"};
    options.input = theirs.get();
    options.output = theirs.get();
    RANKSCOPE_TRY(m_pid, spawn(options));
    return {};
}

Result<std::string> PlanProcess::exchange(const std::string& request)
{
    const auto lost = [] { return fail("the planning worker ended unexpectedly"); };
    for (std::size_t sent = 0; sent < request.size();) {
        const ssize_t count =
            ::send(m_socket.get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR)
            return lost();
        if (count > 0)
            sent += static_cast<std::size_t>(count);
    }
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        if (const auto end = m_received.find('\n'); end != std::string::npos) {
            std::string line = m_received.substr(0, end);
            m_received.erase(0, end + 1);
            return line;
        }
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        pollfd polled{m_socket.get(), POLLIN, 0};
        if (left.count() <= 0 || m_received.size() > maxAnswer)
            return fail("the planning worker gave no answer");
        if (::poll(&polled, 1, static_cast<int>(left.count())) <= 0)
            continue;
        char buffer[1 << 14];
        const ssize_t count = ::read(m_socket.get(), buffer, sizeof buffer);
        if (count == 0 || (count < 0 && errno != EINTR))
            return lost();
        if (count > 0)
            m_received.append(buffer, static_cast<std::size_t>(count));
    }
}

Result<PlanProcess::Answer> PlanProcess::plan(const protocol::Job& job)
{
    const std::scoped_lock guard(m_mutex);
    base::OrderedJson request;
    request["job"] = job.toJson();
    const std::string line = request.dump() + "\n";
    Result<std::string> reply = fail("");
    // A worker that died since the last plan is replaced once.
    for (int attempt = 0; attempt < 2 && !reply; ++attempt) {
        RANKSCOPE_CHECK(start());
        reply = exchange(line);
        if (!reply)
            end();
    }
    if (!reply)
        return fail(reply.error());
    const auto json = base::parseJson(*reply);
    if (!json || !json->is_object()) {
        end(); // what it says next could be about another job
        return fail("the planning worker did not answer with a JSON object");
    }
    Answer answer;
    if (const auto error = json->find("error"); error != json->end())
        answer.wrong = error->is_string() ? error->get<std::string>() : error->dump();
    answer.json = *reply;
    return answer;
}

} // namespace rankscope::engine

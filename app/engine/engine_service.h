// SPDX-License-Identifier: Apache-2.0
// The supervisor's gRPC face.
#pragma once

#include "app/engine/supervisor.h"
#include "core/protocol/engine.grpc.pb.h"

#include <atomic>
#include <functional>
#include <latch>

namespace rankscope::engine
{

class EngineService final : public protocol::Engine::Service
{
public:
    /// `shutdown` is called when a client asks the supervisor to end.
    EngineService(Supervisor& supervisor, std::function<void()> shutdown)
        : m_supervisor(supervisor),
          m_shutdown(std::move(shutdown))
    {
    }

    /// Calls that came before wait until this one.
    void open() { m_open.count_down(); }
    /// Lets the streams end.
    void close() { m_closed = true; }

    grpc::Status Submit(grpc::ServerContext*, const protocol::SubmitRequest*, protocol::RunStatus*) override;
    grpc::Status List(grpc::ServerContext*, const protocol::ListRequest*, protocol::RunList*) override;
    grpc::Status WatchList(grpc::ServerContext*, const protocol::ListRequest*,
                           grpc::ServerWriter<protocol::RunList>*) override;
    grpc::Status WatchRun(grpc::ServerContext*, const protocol::WatchRequest*,
                          grpc::ServerWriter<protocol::JournalChunk>*) override;
    grpc::Status Stop(grpc::ServerContext*, const protocol::StopRequest*, protocol::RunStatus*) override;
    grpc::Status Resume(grpc::ServerContext*, const protocol::RunRequest*, protocol::RunStatus*) override;
    grpc::Status Plan(grpc::ServerContext*, const protocol::PlanRequest*, protocol::JsonReply*) override;
    grpc::Status Families(grpc::ServerContext*, const protocol::FamiliesRequest*,
                          protocol::JsonReply*) override;
    grpc::Status Shutdown(grpc::ServerContext*, const protocol::ShutdownRequest*,
                          protocol::ShutdownReply*) override;

private:
    [[nodiscard]] bool over(const grpc::ServerContext& context) const
    {
        return m_closed || context.IsCancelled();
    }

    Supervisor& m_supervisor;
    std::function<void()> m_shutdown;
    std::latch m_open{1};
    std::atomic<bool> m_closed{false};
};

} // namespace rankscope::engine

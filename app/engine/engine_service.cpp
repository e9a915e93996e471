// SPDX-License-Identifier: Apache-2.0
#include "app/engine/engine_service.h"

#include "core/record/journal.h"

namespace rankscope::engine
{
namespace
{

/// How long a stream sleeps before it looks whether its client is still there.
constexpr std::chrono::milliseconds breath{200};
constexpr std::size_t chunkBytes = std::size_t{1} << 20;

grpc::Status statusOf(const RefusedCall& call)
{
    switch (call.kind) {
    case Refusal::WrongRequest:
        return {grpc::StatusCode::INVALID_ARGUMENT, call.message};
    case Refusal::UnknownRun:
        return {grpc::StatusCode::NOT_FOUND, call.message};
    case Refusal::WrongState:
        return {grpc::StatusCode::FAILED_PRECONDITION, call.message};
    case Refusal::WorkFailed:
        break;
    }
    return {grpc::StatusCode::INTERNAL, call.message};
}

grpc::Status answer(const CallResult<protocol::RunStatus>& result, protocol::RunStatus* reply)
{
    if (!result)
        return statusOf(result.error());
    *reply = *result;
    return grpc::Status::OK;
}

grpc::Status answer(const CallResult<std::string>& result, protocol::JsonReply* reply)
{
    if (!result)
        return statusOf(result.error());
    reply->set_json(*result);
    return grpc::Status::OK;
}

grpc::Status ending()
{
    return {grpc::StatusCode::UNAVAILABLE, "the supervisor is ending"};
}

} // namespace

grpc::Status EngineService::Submit(grpc::ServerContext*, const protocol::SubmitRequest* request,
                                   protocol::RunStatus* reply)
{
    m_open.wait();
    return answer(m_supervisor.submit(request->job_json(), request->base_folder()), reply);
}

grpc::Status EngineService::List(grpc::ServerContext*, const protocol::ListRequest*, protocol::RunList* reply)
{
    m_open.wait();
    *reply = m_supervisor.list().list;
    return grpc::Status::OK;
}

grpc::Status EngineService::WatchList(grpc::ServerContext* context, const protocol::ListRequest*,
                                      grpc::ServerWriter<protocol::RunList>* writer)
{
    m_open.wait();
    std::uint64_t sent = 0;
    while (!over(*context)) {
        const auto listing = m_supervisor.list();
        if (listing.version > sent) {
            if (!writer->Write(listing.list))
                return grpc::Status::OK;
            sent = listing.version;
        }
        m_supervisor.waitForChange(sent, breath);
    }
    return m_closed ? ending() : grpc::Status::OK;
}

grpc::Status EngineService::WatchRun(grpc::ServerContext* context, const protocol::WatchRequest* request,
                                     grpc::ServerWriter<protocol::JournalChunk>* writer)
{
    m_open.wait();
    if (request->position() < 0)
        return {grpc::StatusCode::INVALID_ARGUMENT, "the position in the journal is negative"};
    const auto first = m_supervisor.journal(request->run());
    if (!first)
        return statusOf(first.error());
    record::JournalFollower follower(first->path, request->position());
    while (!over(*context)) {
        const auto version = m_supervisor.list().version;
        // Asked before the journal is read: what a run wrote before it ended is then certainly there.
        const auto source = m_supervisor.journal(request->run());
        const auto frames = follower.next(chunkBytes);
        if (!frames)
            return {grpc::StatusCode::INTERNAL, frames.error().message};
        const bool ended = frames->empty() && (!source || !source->active);
        if (!frames->empty() || ended) {
            protocol::JournalChunk chunk;
            chunk.set_frames(*frames);
            chunk.set_position(follower.position());
            chunk.set_ended(ended);
            if (!writer->Write(chunk) || ended)
                return grpc::Status::OK;
        } else {
            m_supervisor.waitForChange(version, breath);
        }
    }
    return m_closed ? ending() : grpc::Status::OK;
}

grpc::Status EngineService::Stop(grpc::ServerContext*, const protocol::StopRequest* request,
                                 protocol::RunStatus* reply)
{
    m_open.wait();
    return answer(m_supervisor.stop(request->run(), request->now()), reply);
}

grpc::Status EngineService::Resume(grpc::ServerContext*, const protocol::RunRequest* request,
                                   protocol::RunStatus* reply)
{
    m_open.wait();
    return answer(m_supervisor.resume(request->run()), reply);
}

grpc::Status EngineService::Plan(grpc::ServerContext*, const protocol::PlanRequest* request,
                                 protocol::JsonReply* reply)
{
    m_open.wait();
    return answer(m_supervisor.plan(request->job_json(), request->base_folder()), reply);
}

grpc::Status EngineService::Families(grpc::ServerContext*, const protocol::FamiliesRequest*,
                                     protocol::JsonReply* reply)
{
    m_open.wait();
    return answer(m_supervisor.families(), reply);
}

grpc::Status EngineService::Shutdown(grpc::ServerContext*, const protocol::ShutdownRequest*,
                                     protocol::ShutdownReply*)
{
    m_open.wait();
    m_shutdown();
    return grpc::Status::OK;
}

} // namespace rankscope::engine

// SPDX-License-Identifier: Apache-2.0
#include "app/engine/supervision_file.h"

#include "core/base/files.h"
#include "core/base/json.h"
#include "core/record/journal.h"

#include <chrono>
#include <fstream>
#include <limits>
#include <unistd.h>

namespace rankscope::engine
{
namespace
{

constexpr std::int64_t anyInteger = std::numeric_limits<std::int64_t>::max();

} // namespace

std::string hostName()
{
    char name[256]{};
    ::gethostname(name, sizeof name - 1);
    return name;
}

std::int64_t nowMicroseconds()
{
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

std::filesystem::path supervisionFile(const record::RunDirectory& run)
{
    return run.folder() / "supervision.json";
}

std::optional<Supervision> readSupervision(const record::RunDirectory& run)
{
    const auto json = base::readJsonFile(supervisionFile(run), std::uintmax_t{1} << 20);
    if (!json)
        return std::nullopt;
    Supervision supervision;
    std::int64_t startTicks = 0;
    base::ObjectReader reader(*json, "");
    reader.text("state", supervision.state)
        .text("reason", supervision.reason)
        .boolean("resume", supervision.resume)
        .integer("submittedUs", supervision.submittedUs, 0, anyInteger)
        .integer("queuedUs", supervision.queuedUs, 0, anyInteger)
        .text("host", supervision.host)
        .text("boot", supervision.process.boot)
        .integer("pid", supervision.process.pid, 0, anyInteger)
        .integer("startTicks", startTicks, 0, anyInteger)
        .integer("startPosition", supervision.startPosition, 0, anyInteger);
    supervision.process.startTicks = static_cast<std::uint64_t>(startTicks);
    if (const base::Json* digest = reader.object("digest")) {
        auto& to = supervision.digest;
        base::ObjectReader digestReader(*digest, "digest");
        digestReader.integer("journalBytes", to.journalBytes, 0, anyInteger)
            .integer("step", to.step, 0, anyInteger)
            .integer("totalSteps", to.totalSteps, 0, anyInteger)
            .text("state", to.state)
            .text("reason", to.reason);
        if (const base::Json* loss = digestReader.any("loss"); loss && loss->is_number())
            to.loss = loss->get<double>();
        if (!digestReader.finishLenient())
            return std::nullopt;
    }
    if (!reader.finishLenient())
        return std::nullopt;
    return supervision;
}

Status writeSupervision(const record::RunDirectory& run, const Supervision& supervision)
{
    base::OrderedJson json;
    json["state"] = supervision.state;
    json["reason"] = supervision.reason;
    json["resume"] = supervision.resume;
    json["submittedUs"] = supervision.submittedUs;
    json["queuedUs"] = supervision.queuedUs;
    json["host"] = supervision.host;
    json["boot"] = supervision.process.boot;
    json["pid"] = supervision.process.pid;
    json["startTicks"] = supervision.process.startTicks;
    json["startPosition"] = supervision.startPosition;
    const auto& digest = supervision.digest;
    json["digest"] = {{"journalBytes", digest.journalBytes},
                      {"step", digest.step},
                      {"totalSteps", digest.totalSteps},
                      {"loss", digest.loss ? base::OrderedJson(*digest.loss) : base::OrderedJson()},
                      {"state", digest.state},
                      {"reason", digest.reason}};
    return base::writeFileAtomically(
        supervisionFile(run), json.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n");
}

void recordDeath(const record::RunDirectory& run, const std::string& reason)
{
    std::ofstream(run.log(), std::ios::app) << "rankscope-engine: the job was " << reason << "\n";
    auto writer = record::JournalWriter::open(run.journal());
    if (!writer)
        return; // damaged or still held: the supervision file says it too
    protocol::JournalEvent event;
    event.mutable_state()->set_state("failed");
    event.mutable_state()->set_reason(reason);
    if (writer->append(std::move(event)))
        (void)writer->sync();
}

} // namespace rankscope::engine

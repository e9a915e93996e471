// SPDX-License-Identifier: Apache-2.0
#include "app/engine/supervision_file.h"

#include "core/base/files.h"
#include "core/base/json.h"
#include "core/record/journal.h"
#include "core/record/snapshot.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <limits>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rankscope::engine
{
namespace
{

constexpr std::int64_t anyInteger = std::numeric_limits<std::int64_t>::max();
/// Of a reason: supervision.json must fit into the one block it has on a full disk.
constexpr std::size_t longestReason = 1000;
constexpr std::uintmax_t fullBelow = std::uintmax_t{64} << 10;

/// What a program printed, as text that a journal takes.
std::string asText(const std::string& bytes)
{
    const auto json =
        base::Json(bytes.substr(0, longestReason)).dump(-1, ' ', false, base::Json::error_handler_t::replace);
    return base::Json::parse(json).get<std::string>();
}

/// Writes over what is there, in place: that needs no room.
bool overwrite(const std::filesystem::path& path, const std::string& text)
{
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    return file.valid() && ::pwrite(file.get(), text.data(), text.size(), 0) == std::ssize(text) &&
           ::ftruncate(file.get(), std::ssize(text)) == 0;
}

std::string whatResumeDoes(const record::RunDirectory& run)
{
    const auto last = run.lastCheckpoint();
    return last ? "resume continues from step " + std::to_string(last->step)
                : std::string("it had no checkpoint yet: resume starts over");
}

/// What a process said before it ended, or why it could not.
std::string lastWords(const record::RunDirectory& run)
{
    const std::string line = lastLineOf(run.log());
    if (!line.empty() && !line.starts_with("rankscope-engine: ")) // of an earlier process of this run
        return line;
    const auto room = base::freeSpace(run.folder());
    return room && *room < fullBelow ? "no space left at " + run.folder().string() : std::string();
}

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
        .integer("queuedUs", supervision.queuedUs, 0, anyInteger / 2) // later ones follow it
        .text("host", supervision.host)
        .text("boot", supervision.process.boot)
        .integer("pid", supervision.process.pid, 0, anyInteger)
        .integer("startTicks", startTicks, 0, anyInteger)
        .integer("startPosition", supervision.startPosition, 0, anyInteger)
        .integer("stopSignal", supervision.stopSignal, 0, anyInteger);
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
    json["stopSignal"] = supervision.stopSignal;
    const auto& digest = supervision.digest;
    json["digest"] = {{"journalBytes", digest.journalBytes},
                      {"step", digest.step},
                      {"totalSteps", digest.totalSteps},
                      {"loss", digest.loss ? base::OrderedJson(*digest.loss) : base::OrderedJson()},
                      {"state", digest.state},
                      {"reason", digest.reason}};
    const std::string text = json.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n";
    const auto written = base::writeFileAtomically(supervisionFile(run), text);
    if (written || !overwrite(supervisionFile(run), text))
        return written;
    return {};
}

Descriptor lockRun(const record::RunDirectory& run)
{
    Descriptor folder(::open(run.folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // File systems without locks: the journal's own lock is what is left.
    while (folder.valid() && ::flock(folder.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
    return folder;
}

bool journalIsHeld(const record::RunDirectory& run)
{
    const Descriptor journal(::open(run.journal().c_str(), O_RDONLY | O_CLOEXEC));
    return journal.valid() && ::flock(journal.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

Ending endingOf(const record::RunDirectory& run, int waitStatus, std::int64_t stopSignal)
{
    if (WIFSIGNALED(waitStatus)) {
        const int signal = WTERMSIG(waitStatus);
        if (signal == SIGKILL && stopSignal == SIGKILL)
            return endedAtOnce(run);
        if (stopSignal != 0 && (signal == SIGTERM || signal == SIGINT))
            return {"stopped", "ended by the request to stop; " + whatResumeDoes(run)};
        return {"failed", describeExit(waitStatus)};
    }
    const std::string words = asText(lastWords(run));
    return {"failed", words.empty() ? describeExit(waitStatus) : words};
}

Ending endedAtOnce(const record::RunDirectory& run)
{
    return {"stopped", "ended at once on request; " + whatResumeDoes(run)};
}

void recordEnding(const record::RunDirectory& run, const Ending& ending)
{
    std::ofstream(run.log(), std::ios::app)
        << "rankscope-engine: the job " << ending.state << ": " << ending.reason << "\n";
    auto writer = record::JournalWriter::open(run.journal());
    if (!writer)
        return; // damaged or still held: the supervision file says it too
    protocol::JournalEvent event;
    event.mutable_state()->set_state(ending.state);
    event.mutable_state()->set_reason(ending.reason);
    if (writer->append(std::move(event)))
        (void)writer->sync();
}

Status snapshotEnding(const record::RunDirectory& run)
{
    RANKSCOPE_TRY(const auto whole, record::loadJournal(run.journal()));
    return record::writeSnapshot(whole, run.snapshot());
}

} // namespace rankscope::engine

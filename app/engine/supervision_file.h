// SPDX-License-Identifier: Apache-2.0
// supervision.json in a run directory: what whoever started the run knows of it and its own journal cannot
// say. It lets the next supervisor find queued and running jobs again.
#pragma once

#include "app/engine/child_process.h"
#include "core/record/run_directory.h"

#include <cstdint>
#include <optional>
#include <string>

namespace rankscope::engine
{

struct Supervision {
    std::string state; ///< "queued", "running", "stopping", or how it ended
    std::string reason;
    bool resume = false;          ///< queued to go on from its last checkpoint
    std::int64_t submittedUs = 0; ///< first time
    std::int64_t queuedUs = 0;    ///< last time: the place in the queue
    std::string host;             ///< where its process is or was
    ProcessIdentity process;
    std::int64_t startPosition = 0; ///< size of the journal when the process was started
    std::int64_t stopSignal = 0;    ///< the last one sent to end the process

    /// Of the journal as far as it was read, so that a finished run need not be read again.
    struct Digest {
        std::int64_t journalBytes = 0;
        std::int64_t step = 0;
        std::int64_t totalSteps = 0;
        std::optional<double> loss;
        std::string state;
        std::string reason;

        bool operator==(const Digest&) const = default;
    } digest;

    bool operator==(const Supervision&) const = default;
};

[[nodiscard]] std::filesystem::path supervisionFile(const record::RunDirectory& run);
/// Nothing if there is no such file or it makes no sense.
[[nodiscard]] std::optional<Supervision> readSupervision(const record::RunDirectory& run);
Status writeSupervision(const record::RunDirectory& run, const Supervision& supervision);

/// Held while a process of the run is started and noted: of two programs only one does so.
[[nodiscard]] Descriptor lockRun(const record::RunDirectory& run);
/// Does a process hold the journal to write it?
[[nodiscard]] bool journalIsHeld(const record::RunDirectory& run);

/// The last state of a run.
struct Ending {
    std::string state;
    std::string reason;
};
/// How a job ended that did not say so itself: stopped if it died of a signal after it was sent one to stop,
/// else failed.
[[nodiscard]] Ending endingOf(const record::RunDirectory& run, int waitStatus, std::int64_t stopSignal);
/// The reason of a job that was killed on request, and what a resume does then.
[[nodiscard]] Ending endedAtOnce(const record::RunDirectory& run);
/// Writes that into the journal and the log for the job.
void recordEnding(const record::RunDirectory& run, const Ending& ending);
/// Writes run.h5 for the job from all of its journal: seconds for a long one.
Status snapshotEnding(const record::RunDirectory& run);

[[nodiscard]] std::string hostName();
[[nodiscard]] std::int64_t nowMicroseconds();

} // namespace rankscope::engine

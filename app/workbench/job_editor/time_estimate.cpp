// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/job_editor/time_estimate.h"

#include "core/record/journal.h"
#include "core/record/run_directory.h"

#include <numeric>

namespace rankscope::workbench
{

namespace
{

constexpr std::size_t warmingUp = 2;   ///< steps that are slower than the rest
constexpr std::size_t fewestSteps = 3; ///< behind them, to go by
constexpr std::size_t enoughSteps = 64;

bool takesAsLongForARow(const protocol::Job& one, const protocol::Job& other)
{
    return one.adapter.family == other.adapter.family && one.model.path == other.model.path &&
           one.model.dtype == other.model.dtype && one.data.train == other.data.train &&
           one.data.maxLength == other.data.maxLength && one.device == other.device &&
           one.training.threads == other.training.threads;
}

std::int64_t rowsOfAStep(const protocol::Job& job)
{
    return job.training.batchSize * job.training.gradientAccumulation;
}

/// Mean over the first steps of a run, as far into its journal as they go.
std::optional<double> secondsPerStep(const record::RunDirectory& directory)
{
    record::RunRecord run;
    record::JournalFollower follower(directory.journal());
    record::JournalReader reader;
    const auto steps = [&run]() -> const record::Measure* { return run.measure("train/step_time"); };
    while (steps() == nullptr || steps()->steps().size() < enoughSteps) {
        const auto news = record::readOn(run, follower, reader);
        if (!news || !news->any)
            break;
    }
    if (steps() == nullptr || steps()->steps().size() < warmingUp + fewestSteps)
        return std::nullopt;
    const std::vector<float> seconds = steps()->series(0);
    return std::accumulate(seconds.begin() + warmingUp, seconds.end(), 0.0) /
           static_cast<double>(seconds.size() - warmingUp);
}

} // namespace

std::optional<TimeEstimate> estimateTime(const protocol::Job& job,
                                         const std::vector<std::filesystem::path>& runs)
{
    for (const auto& folder : runs) {
        const record::RunDirectory directory(folder);
        const auto other = protocol::Job::read(directory.job());
        if (!other || !takesAsLongForARow(job, *other))
            continue;
        const auto perStep = secondsPerStep(directory);
        if (!perStep)
            continue; // it has hardly begun
        const double rows = static_cast<double>(rowsOfAStep(job)) / static_cast<double>(rowsOfAStep(*other));
        return TimeEstimate{static_cast<double>(job.training.steps) * *perStep * rows, *perStep,
                            other->name.empty() ? directory.name() : other->name};
    }
    return std::nullopt;
}

} // namespace rankscope::workbench

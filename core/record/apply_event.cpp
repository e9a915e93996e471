// SPDX-License-Identifier: Apache-2.0
// One journal event at a time into a run. The journal may be hostile: sizes are checked before anything is
// allocated.
#include "core/record/journal.h"

#include "core/record/measure_name.h"

#include <utility>

namespace rankscope::record
{
namespace
{

std::vector<std::string> listOf(const google::protobuf::RepeatedPtrField<std::string>& field)
{
    return {field.begin(), field.end()};
}

void applyDescription(RunRecord& run, const protocol::RunDescribed& from)
{
    RunDescription to;
    to.jobJson = from.job_json();
    to.programVersion = from.program_version();
    to.device = from.device();
    to.dtype = from.dtype();
    to.baseModel = from.base_model();
    to.baseModelSha256 = from.base_model_sha256();
    to.baseParameters = from.base_parameters();
    to.trainableParameters = from.trainable_parameters();
    to.totalSteps = from.total_steps();
    to.tasks = listOf(from.tasks());
    to.modules = listOf(from.modules());
    to.layers = from.layers();
    for (const auto& file : from.data())
        to.data.push_back({file.path(), file.sha256(), file.rows(), file.task(), file.split()});
    run.description = std::move(to);
}

Status applyDefinition(RunRecord& run, const protocol::MeasureDefined& from)
{
    MeasureInfo info;
    info.name = from.name();
    RANKSCOPE_CHECK(checkMeasureName(info.name));
    info.title = from.title();
    info.unit = from.unit();
    info.definition = from.definition();
    if (static_cast<std::size_t>(from.axes_size()) > maxMeasureAxes)
        return fail("the measure " + info.name + " has " + std::to_string(from.axes_size()) +
                    " axes; at most " + std::to_string(maxMeasureAxes) + " are allowed");
    std::size_t size = 1;
    for (const auto& axis : from.axes()) {
        const auto count = static_cast<std::size_t>(axis.labels_size());
        if (count > 0 && size > maxMeasureSize / count)
            return fail("the measure " + info.name + " has more than " + std::to_string(maxMeasureSize) +
                        " values at a step");
        size *= count;
        info.axes.push_back({axis.name(), axis.unit(), listOf(axis.labels())});
    }
    run.define(info);
    run.bindId(from.id(), info.name);
    return {};
}

Status applyValues(RunRecord& run, const protocol::MeasureValues& from)
{
    Measure* measure = run.measureOfId(from.id());
    if (!measure)
        return fail("the journal holds values of measure number " + std::to_string(from.id()) +
                    ", which it did not announce");
    const auto count = static_cast<std::size_t>(from.values_size());
    if (measure->append(from.step(), {from.values().data(), count}))
        return {};
    if (count != measure->info().size())
        return fail("the journal holds " + std::to_string(count) + " values of " + measure->info().name +
                    " at step " + std::to_string(from.step()) + ", but its axes ask for " +
                    std::to_string(measure->info().size()));
    return fail("the journal goes back to step " + std::to_string(from.step()) + " in " +
                measure->info().name + " without saying that the run was resumed");
}

} // namespace

Status applyEvent(RunRecord& run, const protocol::JournalEvent& event)
{
    const std::int64_t time = event.time_us();
    switch (event.body_case()) {
    case protocol::JournalEvent::kRun:
        applyDescription(run, event.run());
        return {};
    case protocol::JournalEvent::kMeasureDefined:
        return applyDefinition(run, event.measure_defined());
    case protocol::JournalEvent::kMeasureValues:
        return applyValues(run, event.measure_values());
    case protocol::JournalEvent::kState:
        run.states.push_back({time, event.state().state(), event.state().reason()});
        return {};
    case protocol::JournalEvent::kCheckpoint:
        run.checkpoints.push_back({time, event.checkpoint().step(), event.checkpoint().path()});
        return {};
    case protocol::JournalEvent::kNotice:
        run.notices.push_back({time, event.notice().severity(), event.notice().text()});
        return {};
    case protocol::JournalEvent::kRewound:
        run.rewind(event.rewound().step());
        return {};
    case protocol::JournalEvent::kProgress: {
        const auto& progress = event.progress();
        run.progress = {time, progress.phase(), progress.done(), progress.total(),
                        progress.remaining_seconds()};
        return {};
    }
    case protocol::JournalEvent::BODY_NOT_SET:
        // Written by a later version of the program: what it says is not known here.
        return {};
    }
    return {};
}

} // namespace rankscope::record

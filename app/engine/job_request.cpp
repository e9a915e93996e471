// SPDX-License-Identifier: Apache-2.0
#include "app/engine/job_request.h"

#include "core/base/files.h"
#include "core/base/paths.h"
#include "core/base/text.h"
#include "core/protocol/family_folders.h"

#include <cmath>
#include <cstdio>
#include <unistd.h>

namespace rankscope::engine
{
namespace fs = std::filesystem;
namespace
{

/// Beyond its checkpoints a run needs room for its journal, its snapshot and its log.
constexpr double recordBytes = 64 << 20;

/// A relative path that is not in the first folder but in the second is taken from there.
void preferExisting(std::string& path, const fs::path& first, const fs::path& second)
{
    std::error_code code;
    if (!path.empty() && fs::path(path).is_relative() && !fs::exists(first / path, code) &&
        fs::exists(second / path, code))
        path = (second / path).string();
}

/// Could a folder be made and written here? Asked without making anything.
Status checkWritable(const fs::path& folder)
{
    std::error_code code;
    fs::path existing = folder;
    while (!fs::exists(existing, code) && existing.has_relative_path())
        existing = existing.parent_path();
    if (!fs::is_directory(existing, code))
        return fail("the runs cannot go to " + folder.string() + ": " + existing.string() +
                    " is not a folder");
    if (::access(existing.c_str(), W_OK | X_OK) != 0)
        return fail("the runs cannot go to " + folder.string() + ": " + existing.string() +
                    " cannot be written by this user");
    // /proc and the like, which root has every right to.
    if (const auto space = fs::space(existing, code); !code && space.capacity == 0)
        return fail("the runs cannot go to " + folder.string() + ": " + existing.string() +
                    " is no place for files and cannot be written");
    return {};
}

/// Checkpoints stay until the run is removed.
Status checkRoom(const fs::path& folder, std::int64_t checkpoints, const JobNeeds& needs)
{
    RANKSCOPE_TRY(const std::uintmax_t available, base::freeSpace(folder));
    // Not in integers: the product of two numbers from outside may not fit.
    const double needed =
        static_cast<double>(checkpoints) * static_cast<double>(needs.checkpointBytes) + recordBytes;
    if (static_cast<double>(available) >= needed)
        return {};
    char megabytes[32];
    std::snprintf(megabytes, sizeof megabytes, "%.0f", std::ceil(needed / (1 << 20)));
    return fail("only " + std::to_string(available >> 20) + " MB are free at " + folder.string() +
                ", but this run needs " + megabytes + " MB for its records and " +
                std::to_string(checkpoints) + (checkpoints == 1 ? " checkpoint" : " checkpoints") +
                "; free some, raise training.checkpointEvery, or name another place for the run");
}

/// Of a job whose run stands at this step.
Status checkFrom(protocol::Job& job, const fs::path& runs, std::int64_t step)
{
    if (job.data.train.empty())
        return fail("data.train names no file to train on");
    RANKSCOPE_CHECK(completeSettings(job));
    RANKSCOPE_CHECK(checkText(runs));
    RANKSCOPE_CHECK(checkWritable(runs));
    RANKSCOPE_TRY(const WorkerProgram worker, WorkerProgram::find());
    RANKSCOPE_TRY(const JobNeeds needs, worker.check(job));
    return checkRoom(runs, job.training.checkpointsAfter(step), needs);
}

Status resolvePaths(protocol::Job& job, const fs::path& folder)
{
    RANKSCOPE_CHECK(job.resolvePaths(folder));
    RANKSCOPE_CHECK(checkText(job.model.path));
    for (const auto* files : {&job.data.train, &job.data.test}) {
        for (const auto& path : *files)
            RANKSCOPE_CHECK(checkText(path));
    }
    return {};
}

} // namespace

Status checkText(const fs::path& path)
{
    if (base::isUtf8(path.string()))
        return {};
    return fail("the path " + path.string() + " is not UTF-8 text; rename it, or name another one");
}

Result<protocol::Job> readJobFile(const fs::path& file)
{
    RANKSCOPE_TRY(protocol::Job job, protocol::Job::read(file));
    RANKSCOPE_TRY(const fs::path absolute, base::absolutePath(file));
    const fs::path folder = absolute.parent_path();
    std::error_code code;
    const fs::path working = fs::current_path(code);
    for (auto* files : {&job.data.train, &job.data.test}) {
        for (auto& path : *files)
            preferExisting(path, folder, code ? folder : working);
    }
    preferExisting(job.model.path, folder, code ? folder : working);
    RANKSCOPE_CHECK(resolvePaths(job, folder));
    return job;
}

Result<protocol::Job> parseJob(const std::string& json, const fs::path& folder)
{
    RANKSCOPE_TRY(const base::Json parsed, base::parseJson(json));
    RANKSCOPE_TRY(protocol::Job job, protocol::Job::fromJson(parsed));
    RANKSCOPE_CHECK(resolvePaths(job, folder));
    return job;
}

Status completeSettings(protocol::Job& job)
{
    for (const auto& family : protocol::findFamilies(base::pluginFolders())) {
        const auto& manifest = family.manifest;
        if (family.use != protocol::FoundFamily::Use::Usable || manifest.name != job.adapter.family)
            continue;
        auto settings = manifest.complete(job.adapter.settings);
        if (!settings)
            return fail(settings.error().within("adapter.settings of " + manifest.name));
        job.adapter.settings = std::move(*settings);
        return manifest.completeTraining(job.training);
    }
    return {}; // the worker says which families there are
}

Status checkJob(protocol::Job& job, const fs::path& runs)
{
    return checkFrom(job, runs, 0);
}

Status checkResume(const record::RunDirectory& run)
{
    std::error_code code;
    if (!fs::exists(run.job(), code))
        return fail("the run " + run.name() + " cannot be resumed: its job.json is missing");
    const auto check = [&run]() -> Status {
        RANKSCOPE_TRY(protocol::Job job, protocol::Job::read(run.job()));
        const auto last = run.lastCheckpoint();
        return checkFrom(job, run.folder(), last ? last->step : 0);
    };
    if (const auto status = check(); !status)
        return fail(status.error().within("the run " + run.name() + " cannot be resumed"));
    return {};
}

Status writeJob(const record::RunDirectory& run, const protocol::Job& job)
{
    return base::writeFileAtomically(run.job(), job.toJson().dump(2) + "\n");
}

} // namespace rankscope::engine

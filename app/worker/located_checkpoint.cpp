// SPDX-License-Identifier: Apache-2.0
#include "app/worker/located_checkpoint.h"

#include "core/base/paths.h"
#include "core/checkpoint/base_model_files.h"
#include "core/record/run_directory.h"

namespace rankscope::worker
{

Result<LocatedCheckpoint> LocatedCheckpoint::find(const std::filesystem::path& given)
{
    RANKSCOPE_TRY(const std::filesystem::path path, base::absolutePath(given));
    const bool isCheckpoint = std::filesystem::exists(path / "adapter_model.safetensors");
    const auto folder = isCheckpoint ? path.parent_path().parent_path() : path;
    RANKSCOPE_TRY(const auto directory, record::RunDirectory::open(folder));
    LocatedCheckpoint located;
    RANKSCOPE_TRY(located.job, protocol::Job::read(directory.job()));
    if (const auto run = record::openRun(folder)) {
        located.baseSha256 = run->description.baseModelSha256;
        // What "auto" was where it was trained, whatever it would be here.
        if (located.job.model.dtype == "auto" && !run->description.dtype.empty())
            located.job.model.dtype = run->description.dtype;
    }
    if (isCheckpoint) {
        located.folder = path;
        return located;
    }
    const auto last = directory.lastCheckpoint();
    if (!last)
        return fail("the run " + folder.string() + " has no complete checkpoint");
    located.folder = last->folder;
    return located;
}

Status LocatedCheckpoint::checkBase(std::span<const std::filesystem::path> identityFiles) const
{
    if (baseSha256.empty())
        return {};
    RANKSCOPE_TRY(const std::string hash, checkpoint::identityHash(identityFiles));
    if (hash != baseSha256)
        return fail("the base model " + job.model.path + " is not the one that " + folder.string() +
                    " was trained on: its hash differs; put that one back");
    return {};
}

} // namespace rankscope::worker

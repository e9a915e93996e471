// SPDX-License-Identifier: Apache-2.0
#include "app/worker/located_checkpoint.h"

#include "core/record/run_directory.h"

namespace rankscope::worker
{

Result<LocatedCheckpoint> LocatedCheckpoint::find(const std::filesystem::path& path)
{
    const bool isCheckpoint = std::filesystem::exists(path / "adapter_model.safetensors");
    const auto folder =
        isCheckpoint ? std::filesystem::absolute(path).lexically_normal().parent_path().parent_path() : path;
    RANKSCOPE_TRY(const auto directory, record::RunDirectory::open(folder));
    LocatedCheckpoint located;
    RANKSCOPE_TRY(located.job, protocol::Job::read(directory.job()));
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

} // namespace rankscope::worker

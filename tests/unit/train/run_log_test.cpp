// SPDX-License-Identifier: Apache-2.0
#include "core/train/run_log.h"

#include "tests/unit/record/temporary_folder.h"

#include <fstream>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rankscope::train
{
namespace
{

namespace fs = std::filesystem;

TEST(RunLog, OfAContinuedRunRemovesWhatAKilledProcessLeft)
{
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    const test::TemporaryFolder folder;
    const fs::path litter = folder / ("run.h5.part-" + std::to_string(child));
    const fs::path foreign = folder / ("job.json.part-" + std::to_string(::getppid()));
    for (const auto& path : {litter, foreign, folder / "run.h5"})
        std::ofstream(path) << "x";
    {
        const auto log = RunLog::open(record::RunDirectory(folder.path()));
        ASSERT_TRUE(log) << log.error().message;
        EXPECT_FALSE(fs::exists(litter));
        EXPECT_TRUE(fs::exists(foreign)) << "its process lives";
        EXPECT_TRUE(fs::exists(folder / "run.h5"));
        std::ofstream(litter.string()) << "x";
        EXPECT_FALSE(RunLog::open(record::RunDirectory(folder.path()))) << "the journal is held";
        EXPECT_TRUE(fs::exists(litter)) << "who does not hold the journal removes nothing";
    }
}

} // namespace
} // namespace rankscope::train

// SPDX-License-Identifier: Apache-2.0
#include "core/record/run_directory.h"

#include "core/base/files.h"
#include "core/record/journal.h"
#include "core/record/snapshot.h"
#include "tests/unit/record/temporary_folder.h"

#include <fstream>
#include <gtest/gtest.h>

namespace rankscope::record
{
namespace
{

void writeState(const std::filesystem::path& journal, const std::string& state)
{
    auto writer = JournalWriter::open(journal);
    ASSERT_TRUE(writer) << writer.error().message;
    protocol::JournalEvent event;
    event.mutable_state()->set_state(state);
    ASSERT_TRUE(writer->append(event));
}

TEST(RunDirectory, TakesTheNextFreeName)
{
    const test::TemporaryFolder folder;
    const auto first = RunDirectory::create(folder / "runs", "a");
    const auto second = RunDirectory::create(folder / "runs", "a");
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->name(), "a");
    EXPECT_EQ(second->name(), "a-2");
    EXPECT_EQ(RunDirectory("/x/y/").name(), "y");
}

TEST(RunDirectory, KnowsItsCompleteCheckpoints)
{
    const test::TemporaryFolder folder;
    const RunDirectory run(folder.path());
    EXPECT_FALSE(run.lastCheckpoint());
    EXPECT_EQ(run.checkpoint(200).filename(), "step-000200");
    for (const std::int64_t step : {100, 1000000, 200})
        std::filesystem::create_directories(run.checkpoint(step));
    std::filesystem::create_directories(run.checkpoints() / ".step-000300.part");
    std::filesystem::create_directories(run.checkpoints() / "step-x");
    EXPECT_FALSE(run.lastCheckpoint()); // without tensors none is complete
    for (const auto& name :
         {run.checkpoint(100), run.checkpoint(200), run.checkpoints() / ".step-000300.part"})
        std::ofstream(name / "adapter_model.safetensors") << "x";
    ASSERT_TRUE(run.lastCheckpoint());
    EXPECT_EQ(run.lastCheckpoint()->step, 200);
    EXPECT_EQ(run.completeCheckpoints().size(), 2u);
}

TEST(RunDirectory, IsNotMadeOverAnotherRun)
{
    const test::TemporaryFolder folder;
    ASSERT_TRUE(RunDirectory::createAt(folder / "new"));
    std::ofstream(folder / "new/job.json") << "{}";
    const auto again = RunDirectory::createAt(folder / "new");
    ASSERT_FALSE(again);
    EXPECT_NE(again.error().message.find("--resume"), std::string::npos);
    std::filesystem::create_directories(folder / "other/thing");
    EXPECT_FALSE(RunDirectory::createAt(folder / "other"));
    EXPECT_FALSE(RunDirectory::open(folder / "other"));
}

TEST(OpenRun, TakesFolderJournalAndSnapshot)
{
    const test::TemporaryFolder folder;
    const RunDirectory run(folder.path());
    EXPECT_FALSE(openRun(folder / "nothing"));
    EXPECT_FALSE(openRun(folder.path()));
    writeState(run.journal(), "done");
    EXPECT_EQ(openRun(folder.path())->state(), "done");
    EXPECT_EQ(openRun(run.journal())->state(), "done");
    ASSERT_TRUE(writeSnapshot(*openRun(folder.path()), run.snapshot()));
    EXPECT_EQ(openRun(run.snapshot())->state(), "done");
    std::filesystem::remove(run.journal());
    std::ofstream(run.job()) << "{}";
    EXPECT_EQ(openRun(folder.path())->state(), "done"); // from the snapshot
    std::filesystem::remove(run.snapshot());
    EXPECT_EQ(openRun(folder.path())->description.jobJson, "{}"); // queued
}

TEST(OpenRun, RefusesAFileThatIsNoRun)
{
    const test::TemporaryFolder folder;
    for (const char* content : {"", "hello", "{\"name\": \"a job file, long enough to look at\"}"}) {
        std::ofstream(folder / "file.h5") << content;
        const auto opened = openRun(folder / "file.h5");
        ASSERT_FALSE(opened) << content;
        EXPECT_NE(opened.error().message.find("file.h5 is no run"), std::string::npos);
    }
}

TEST(OpenRun, FallsBackOnTheSnapshotOfADamagedRun)
{
    const test::TemporaryFolder folder;
    const RunDirectory run(folder.path());
    writeState(run.journal(), "stopped");
    ASSERT_TRUE(writeSnapshot(*openRun(run.journal()), run.snapshot()));
    auto bytes = *base::readFile(run.journal());
    bytes[13] ^= 4;
    ASSERT_TRUE(base::writeFileAtomically(run.journal(), bytes));
    const auto opened = openRun(folder.path());
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened->state(), "stopped");
    EXPECT_NE(opened->notices.back().text.find("damaged"), std::string::npos);
}

} // namespace
} // namespace rankscope::record

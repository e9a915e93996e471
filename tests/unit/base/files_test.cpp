// SPDX-License-Identifier: Apache-2.0
#include "core/base/files.h"

#include "tests/unit/record/temporary_folder.h"

#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace rankscope::base
{
namespace
{

namespace fs = std::filesystem;

/// Read without the code under test.
std::string contentOf(const fs::path& path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void put(const fs::path& path, const std::string& content)
{
    std::ofstream(path, std::ios::binary) << content;
}

std::span<const std::byte> bytesOf(std::string_view text)
{
    return std::as_bytes(std::span(text));
}

class Files : public testing::Test
{
protected:
    [[nodiscard]] fs::path path(const std::string& name) const { return m_folder / name; }
    /// Everything in the folder: parts that were left behind would show.
    [[nodiscard]] std::size_t entries() const
    {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(m_folder.path()), {}));
    }

    test::TemporaryFolder m_folder;
};

TEST_F(Files, AtomicFileReplacesAtCommitAndNotBefore)
{
    put(path("a"), "old");
    auto file = AtomicFile::create(path("a"));
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(file->write(bytesOf("new ")));
    ASSERT_TRUE(file->write({}));
    ASSERT_TRUE(file->write(bytesOf(std::string_view("con\0tent", 8))));
    EXPECT_EQ(contentOf(path("a")), "old");
    ASSERT_TRUE(file->commit());
    EXPECT_EQ(contentOf(path("a")), std::string("new con\0tent", 12));
    EXPECT_EQ(entries(), 1U);
}

TEST_F(Files, AtomicFileLeavesNothingWithoutCommit)
{
    put(path("a"), "old");
    {
        auto file = AtomicFile::create(path("a"));
        ASSERT_TRUE(file && file->write(bytesOf("new")));
        EXPECT_EQ(entries(), 2U);
    }
    EXPECT_EQ(contentOf(path("a")), "old");
    EXPECT_EQ(entries(), 1U);
    EXPECT_TRUE(AtomicFile::create(path("b")));
    EXPECT_EQ(entries(), 1U);
}

TEST_F(Files, AtomicFileMayBeMoved)
{
    {
        auto made = AtomicFile::create(path("a"));
        ASSERT_TRUE(made);
        ASSERT_TRUE(made->write(bytesOf("one ")));
        AtomicFile moved(std::move(*made));
        ASSERT_TRUE(moved.write(bytesOf("two")));
        ASSERT_TRUE(moved.commit());
        // What was moved from has no file any more: it neither removes the new one nor writes into it.
        EXPECT_FALSE(made->write(bytesOf("three")));
        EXPECT_FALSE(made->commit());
    }
    EXPECT_EQ(contentOf(path("a")), "one two");
    EXPECT_EQ(entries(), 1U);
}

TEST_F(Files, AtomicFileNamesWhatIsInTheWay)
{
    const fs::path inside = path("no") / "such" / "file";
    const auto missing = AtomicFile::create(inside);
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().message.find(inside.string()), std::string::npos);
    fs::create_directories(path("taken") / "x");
    const auto taken = writeFileAtomically(path("taken"), "new");
    ASSERT_FALSE(taken);
    EXPECT_NE(taken.error().message.find("cannot put in place"), std::string::npos);
    EXPECT_EQ(entries(), 1U) << "a part was left behind";
    EXPECT_TRUE(fs::is_directory(path("taken") / "x"));
}

TEST_F(Files, WritesAllBytesAtOnce)
{
    const std::string large(3'000'000, 'x');
    for (const std::string& content : {std::string(), std::string("a\0b\n", 4), large}) {
        ASSERT_TRUE(writeFileAtomically(path("a"), content));
        EXPECT_EQ(contentOf(path("a")), content);
    }
    EXPECT_FALSE(writeFileAtomically(path("no") / "file", "x"));
    EXPECT_EQ(entries(), 1U);
}

TEST_F(Files, ReadFileAcceptsExactlyTheLimit)
{
    const std::string large(200'001, 'x'); // several pieces
    for (const std::string& content : {std::string(), std::string("a\0b", 3), large}) {
        put(path("a"), content);
        EXPECT_EQ(readFile(path("a")).value_or("an error"), content);
        EXPECT_EQ(readFile(path("a"), content.size()).value_or("an error"), content);
    }
    const auto over = readFile(path("a"), large.size() - 1);
    ASSERT_FALSE(over);
    EXPECT_NE(over.error().message.find("200000"), std::string::npos) << over.error().message;
}

TEST_F(Files, ReadFileNamesWhatItCannotRead)
{
    for (const fs::path& wrong : {path("missing"), m_folder.path()}) {
        const auto text = readFile(wrong);
        ASSERT_FALSE(text);
        EXPECT_NE(text.error().message.find(wrong.string()), std::string::npos);
    }
    EXPECT_NE(readFile(m_folder.path()).error().message.find("folder"), std::string::npos);
}

TEST_F(Files, AMapLivesAsLongAsAnyOwner)
{
    put(path("a"), "content");
    std::shared_ptr<const void> owner;
    std::span<const std::byte> bytes;
    {
        const auto file = MappedFile::open(path("a"));
        ASSERT_TRUE(file) << file.error().message;
        EXPECT_EQ(file->path(), path("a"));
        bytes = file->bytes();
        owner = file->owner();
    }
    fs::remove(path("a")); // its bytes stay for those who hold the map
    ASSERT_EQ(bytes.size(), 7U);
    EXPECT_EQ(std::memcmp(bytes.data(), "content", 7), 0);
}

TEST_F(Files, MapsOnlyFiles)
{
    put(path("empty"), "");
    const auto empty = MappedFile::open(path("empty"));
    ASSERT_TRUE(empty) << empty.error().message;
    EXPECT_TRUE(empty->bytes().empty());
    for (const fs::path& wrong : {path("missing"), m_folder.path(), fs::path("/dev/zero")}) {
        const auto file = MappedFile::open(wrong);
        ASSERT_FALSE(file);
        EXPECT_NE(file.error().message.find(wrong.string()), std::string::npos);
    }
}

TEST_F(Files, MakesWritableFoldersAndLeavesNoProbe)
{
    const fs::path deep = path("a") / "b" / "c";
    ASSERT_TRUE(ensureWritableFolder(deep));
    ASSERT_TRUE(ensureWritableFolder(deep)); // it may be there already
    EXPECT_TRUE(fs::is_empty(deep));
    put(path("file"), "");
    for (const fs::path& wrong : {path("file"), path("file") / "below"}) {
        const auto status = ensureWritableFolder(wrong);
        ASSERT_FALSE(status);
        EXPECT_NE(status.error().message.find(wrong.string()), std::string::npos);
    }
    if (!fs::exists("/proc/self"))
        GTEST_SKIP() << "no folder here that nobody can write into";
    EXPECT_FALSE(ensureWritableFolder("/proc/self"));
    EXPECT_FALSE(ensureWritableFolder("/proc/self/rankscope"));
}

TEST_F(Files, FreeSpaceIsThatOfTheNearestFolderThatExists)
{
    struct statvfs system {
    };
    ASSERT_EQ(::statvfs(m_folder.path().c_str(), &system), 0);
    const auto whole = static_cast<std::uintmax_t>(system.f_blocks) * system.f_frsize;
    for (const fs::path& place : {m_folder.path(), path("not") / "made" / "yet", fs::path("relative/name")}) {
        const auto space = freeSpace(place);
        ASSERT_TRUE(space) << space.error().message;
        EXPECT_GT(*space, 0U);
    }
    EXPECT_LE(*freeSpace(path("not") / "made" / "yet"), whole);
}

TEST_F(Files, SyncsFilesAndFolders)
{
    put(path("a"), "x");
    EXPECT_TRUE(syncPath(path("a")));
    EXPECT_TRUE(syncPath(m_folder.path()));
    EXPECT_FALSE(syncPath(path("missing")));
}

TEST_F(Files, PartsOfAProcessThatIsGoneAreRemovedAndNothingElse)
{
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    const std::string gone = std::to_string(child);
    const std::vector<std::string> litter{"run.h5.part-" + gone, "job.json.part-" + gone,
                                          "a.part-1.part-" + gone};
    const std::vector<std::string> kept{
        "run.h5",
        "run.h5.part-",
        "run.h5.part-0",
        "run.h5.part-0" + gone,
        "run.h5.part--" + gone,
        "run.h5.part-" + gone + "x",
        "run.h5.part-" + gone + " ",
        "run.h5.part-99999999999999999999",
        "run.h5.part" + gone,
        ".part-" + gone,
        "run.h5.part-" + std::to_string(::getpid()),
        "run.h5.part-" + std::to_string(::getppid()),
    };
    for (const auto& names : {litter, kept}) {
        for (const auto& name : names)
            put(path(name), "x");
    }
    fs::create_directory(path("folder.part-" + gone));
    fs::create_symlink("run.h5", path("link.part-" + gone));
    removeAbandonedParts(m_folder.path());
    for (const auto& name : litter)
        EXPECT_FALSE(fs::exists(path(name))) << name;
    for (const auto& name : kept)
        EXPECT_TRUE(fs::exists(path(name))) << name;
    EXPECT_EQ(entries(), kept.size() + 2);
    removeAbandonedParts(path("nowhere"));
}

TEST_F(Files, APartIsWrittenUnderTheNameThatIsLookedFor)
{
    const auto file = AtomicFile::create(path("a"));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(partBeside(path("a")), path("a.part-" + std::to_string(::getpid())));
    EXPECT_TRUE(fs::exists(partBeside(path("a"))));
}

} // namespace
} // namespace rankscope::base

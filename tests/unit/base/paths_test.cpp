// SPDX-License-Identifier: Apache-2.0
// The places that environment variables name.
#include "core/base/paths.h"

#include "tests/unit/record/temporary_folder.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace rankscope::base
{
namespace
{

namespace fs = std::filesystem;

/// Sets variables for one test and puts the old values back.
class Paths : public testing::Test
{
protected:
    void TearDown() override
    {
        for (const auto& [name, value] : m_before) {
            if (value)
                ::setenv(name.c_str(), value->c_str(), 1);
            else
                ::unsetenv(name.c_str());
        }
    }
    void set(const std::string& name, const std::string& value)
    {
        const char* before = std::getenv(name.c_str());
        m_before.try_emplace(name, before ? std::optional<std::string>(before) : std::nullopt);
        ::setenv(name.c_str(), value.c_str(), 1);
    }
    static mode_t modeOf(const fs::path& path)
    {
        struct stat status {
        };
        EXPECT_EQ(::lstat(path.c_str(), &status), 0);
        return status.st_mode & 0777;
    }

    test::TemporaryFolder m_folder;

private:
    std::map<std::string, std::optional<std::string>> m_before;
};

TEST_F(Paths, TheProgramsFolderHoldsThisTest)
{
    EXPECT_TRUE(fs::exists(programFolder() / "unit_base_system"));
    EXPECT_EQ(siblingProgram("unit_base_system").value_or(""), programFolder() / "unit_base_system");
    const auto missing = siblingProgram("no-such-program");
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().message.find("no-such-program"), std::string::npos);
}

TEST_F(Paths, PluginsAreBesideTheProgramsAndWhereNamed)
{
    const fs::path own = programFolder().parent_path() / "plugins";
    set("RANKSCOPE_PLUGINS", "");
    EXPECT_EQ(pluginFolders(), (std::vector<fs::path>{own}));
    set("RANKSCOPE_PLUGINS", ":/a::/b/c:");
    EXPECT_EQ(pluginFolders(), (std::vector<fs::path>{own, "/a", "/b/c"}));
}

TEST_F(Paths, TheRuntimeFolderIsForThisUserAlone)
{
    set("XDG_RUNTIME_DIR", m_folder.path().string());
    const auto folder = runtimeFolder();
    ASSERT_TRUE(folder) << folder.error().message;
    EXPECT_EQ(*folder, m_folder / "rankscope");
    EXPECT_EQ(modeOf(*folder), 0700U);
    EXPECT_EQ(defaultSocket().value_or(""), m_folder / "rankscope" / "engine.sock");
    ::chmod(folder->c_str(), 0755); // opened since: closed again
    ASSERT_TRUE(runtimeFolder());
    EXPECT_EQ(modeOf(*folder), 0700U);
}

TEST_F(Paths, TheRuntimeFolderIsNoLinkAndNoFile)
{
    set("XDG_RUNTIME_DIR", m_folder.path().string());
    fs::create_directories(m_folder / "elsewhere");
    fs::create_directory_symlink(m_folder / "elsewhere", m_folder / "rankscope");
    EXPECT_FALSE(runtimeFolder());
    fs::remove(m_folder / "rankscope");
    std::ofstream(m_folder / "rankscope") << "x";
    const auto folder = runtimeFolder();
    ASSERT_FALSE(folder);
    EXPECT_NE(folder.error().message.find((m_folder / "rankscope").string()), std::string::npos);
    EXPECT_FALSE(defaultSocket());
}

TEST_F(Paths, WithoutARuntimeAreaTheTemporaryFolderServes)
{
    set("XDG_RUNTIME_DIR", (m_folder / "missing").string());
    set("TMPDIR", m_folder.path().string());
    const auto folder = runtimeFolder();
    ASSERT_TRUE(folder) << folder.error().message;
    EXPECT_EQ(*folder, m_folder / ("rankscope-" + std::to_string(::getuid())));
    EXPECT_EQ(modeOf(*folder), 0700U);
    set("TMPDIR", (m_folder / "missing").string());
    const auto none = runtimeFolder();
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().message.find("TMPDIR"), std::string::npos);
}

TEST_F(Paths, StateIsWhereTheUserKeepsIt)
{
    set("HOME", "/somebody");
    set("XDG_STATE_HOME", "");
    EXPECT_EQ(stateFolder(), "/somebody/.local/state/rankscope");
    set("XDG_STATE_HOME", "/states");
    EXPECT_EQ(stateFolder(), "/states/rankscope");
}

TEST_F(Paths, RunsGoWhereNamedOrUnderTheWorkingFolder)
{
    set("RANKSCOPE_RUNS", "/my/runs");
    EXPECT_EQ(*runsFolder(), "/my/runs");
    set("RANKSCOPE_RUNS", "");
    EXPECT_EQ(*runsFolder(), fs::current_path() / "runs");
    EXPECT_EQ(*runsFolder("/named//here/../there/"), "/named/there");
}

TEST_F(Paths, ModelsAreFoundAsGivenThenAmongTheInstalled)
{
    fs::create_directories(m_folder / "installed");
    fs::create_directories(m_folder / "base");
    std::ofstream(m_folder / "installed/both.gguf") << "x";
    std::ofstream(m_folder / "installed/one.gguf") << "x";
    std::ofstream(m_folder / "base/both.gguf") << "x";
    set("RANKSCOPE_MODEL", (m_folder / "installed/default.gguf").string());
    EXPECT_EQ(defaultModel(), m_folder / "installed/default.gguf");
    const fs::path base = m_folder / "base";
    EXPECT_EQ(resolveModel("both.gguf", base), base / "both.gguf");
    EXPECT_EQ(resolveModel("one.gguf", base), m_folder / "installed/one.gguf");
    EXPECT_EQ(resolveModel((m_folder / "base/both.gguf").string(), "/nowhere"), base / "both.gguf");
    EXPECT_EQ(resolveModel("no-such-model.gguf", base), base / "no-such-model.gguf");
}

TEST_F(Paths, AModelMissingFromANamedPlaceIsNotReplacedByAnInstalledOne)
{
    fs::create_directories(m_folder / "installed");
    fs::create_directories(m_folder / "base");
    std::ofstream(m_folder / "installed/one.gguf") << "x";
    set("RANKSCOPE_MODEL", (m_folder / "installed/default.gguf").string());
    const fs::path base = m_folder / "base";
    EXPECT_EQ(resolveModel("one.gguf", base), m_folder / "installed/one.gguf") << "a bare name is looked up";
    EXPECT_EQ(resolveModel("/nowhere/at/all/one.gguf", base), "/nowhere/at/all/one.gguf");
    EXPECT_EQ(resolveModel("sub/one.gguf", base), base / "sub/one.gguf");
    EXPECT_EQ(resolveModel("./one.gguf", base).lexically_normal(), base / "one.gguf");
    EXPECT_EQ(resolveModel("../installed/one.gguf", base), base / "../installed/one.gguf") << "it is there";
}

} // namespace
} // namespace rankscope::base

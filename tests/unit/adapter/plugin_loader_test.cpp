// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/plugin_loader.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>

namespace rankscope::adapter
{
namespace
{

namespace fs = std::filesystem;

class PluginFolders : public testing::Test
{
protected:
    void SetUp() override
    {
        std::string name = (fs::temp_directory_path() / "rankscope-plugins-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        m_folder = name;
    }
    void TearDown() override { fs::remove_all(m_folder); }

    void write(const std::string& folder, const std::string& text) const
    {
        fs::create_directories(m_folder / folder);
        std::ofstream(m_folder / folder / "family.json") << text;
    }
    /// A family.json that is right, with a library of the test's own.
    void writePlugin(const std::string& folder, const std::string& name, const std::string& library,
                     int version = protocol::pluginApiVersion) const
    {
        write(folder, base::Json{{"name", name},
                                 {"title", name},
                                 {"library", library + ".so"},
                                 {"apiVersion", version},
                                 {"scope", "module"}}
                          .dump());
        const fs::path built = fs::path(std::getenv("RANKSCOPE_TEST_PLUGINS")) / (library + ".so");
        if (fs::exists(built))
            fs::create_symlink(built, m_folder / folder / (library + ".so"));
    }
    /// The state and the reason after everything was loaded.
    [[nodiscard]] Plugin only() const
    {
        PluginLoader loader({m_folder});
        loader.loadAll();
        EXPECT_EQ(loader.plugins().size(), 1U);
        return loader.plugins().at(0);
    }
    static bool says(const std::string& text, const std::string& part)
    {
        return text.find(part) != std::string::npos;
    }

    fs::path m_folder;
};

TEST_F(PluginFolders, AGoodOneIsFoundAndThenLoaded)
{
    writePlugin("one", "smallest", "good");
    PluginLoader loader({m_folder});
    ASSERT_EQ(loader.plugins().size(), 1U);
    EXPECT_EQ(loader.plugins()[0].state, PluginState::Found);
    EXPECT_EQ(loader.plugins()[0].family, nullptr) << "no code runs before a family is asked for";
    const auto plugin = loader.load("smallest");
    ASSERT_TRUE(plugin) << plugin.error().message;
    EXPECT_EQ((*plugin)->state, PluginState::Loaded);
    checkpoint::ModelConfig model;
    model.layers = 5;
    EXPECT_EQ((*plugin)->family->plan(model, Settings(base::Json::object()))->trainable, 5);
    EXPECT_EQ(*loader.load("smallest"), *plugin);
}

TEST_F(PluginFolders, ThatDoNotExistArePassedOver)
{
    PluginLoader none({m_folder / "nowhere", m_folder});
    EXPECT_TRUE(none.plugins().empty());
    const auto plugin = none.load("lora");
    ASSERT_FALSE(plugin);
    EXPECT_TRUE(says(plugin.error().message, "'lora'")) << plugin.error().message;
}

TEST_F(PluginFolders, AFolderWithoutAManifestIsNoPlugin)
{
    fs::create_directories(m_folder / "notes");
    EXPECT_TRUE(PluginLoader({m_folder}).plugins().empty());
}

TEST_F(PluginFolders, BrokenJsonIsInvalid)
{
    write("broken", "{ \"name\": \"broken\", ");
    const Plugin plugin = only();
    EXPECT_EQ(plugin.state, PluginState::Invalid);
    EXPECT_EQ(plugin.manifest.name, "broken");
    EXPECT_TRUE(says(plugin.error, "family.json")) << plugin.error;
}

TEST_F(PluginFolders, AManifestWithoutALibraryNameIsInvalid)
{
    write("nameless", R"({"name": "nameless", "title": "N", "apiVersion": 1, "scope": "module"})");
    const Plugin plugin = only();
    EXPECT_EQ(plugin.state, PluginState::Invalid);
    EXPECT_TRUE(says(plugin.error, "library")) << plugin.error;
}

TEST_F(PluginFolders, AnotherVersionIsIncompatible)
{
    writePlugin("future", "future", "good", protocol::pluginApiVersion + 1);
    const Plugin plugin = only();
    EXPECT_EQ(plugin.state, PluginState::Incompatible);
    EXPECT_EQ(plugin.family, nullptr);
    EXPECT_TRUE(says(plugin.error, std::to_string(protocol::pluginApiVersion + 1))) << plugin.error;
}

TEST_F(PluginFolders, AnotherVersionInTheLibraryIsIncompatible)
{
    writePlugin("lying", "lying", "other_version");
    const Plugin plugin = only();
    EXPECT_EQ(plugin.state, PluginState::Incompatible);
    EXPECT_EQ(plugin.family, nullptr);
    EXPECT_TRUE(says(plugin.error, std::to_string(protocol::pluginApiVersion + 1))) << plugin.error;
}

TEST_F(PluginFolders, AMissingLibraryFails)
{
    writePlugin("empty", "empty", "not_built");
    const Plugin plugin = only();
    EXPECT_EQ(plugin.state, PluginState::Failed);
    EXPECT_TRUE(says(plugin.error, "not_built.so")) << plugin.error;
}

TEST_F(PluginFolders, AFileThatIsNoLibraryFails)
{
    writePlugin("text", "text", "text");
    std::ofstream(m_folder / "text" / "text.so") << "not a library";
    const Plugin plugin = only();
    EXPECT_EQ(plugin.state, PluginState::Failed);
    EXPECT_TRUE(says(plugin.error, "text.so")) << plugin.error;
}

TEST_F(PluginFolders, ALibraryWithoutAnEntryFails)
{
    writePlugin("other", "other", "no_entry");
    const Plugin plugin = only();
    EXPECT_EQ(plugin.state, PluginState::Failed);
    EXPECT_TRUE(says(plugin.error, "rankscope_family")) << plugin.error;
}

TEST_F(PluginFolders, AnExceptionAtItsStartFails)
{
    writePlugin("throwing", "throwing", "throwing");
    const Plugin plugin = only();
    EXPECT_EQ(plugin.state, PluginState::Failed);
    EXPECT_TRUE(says(plugin.error, "no licence for this machine")) << plugin.error;
}

TEST_F(PluginFolders, AnythingElseThrownAtItsStartFails)
{
    writePlugin("number", "number", "throwing_number");
    const Plugin plugin = only();
    EXPECT_EQ(plugin.state, PluginState::Failed);
    EXPECT_TRUE(says(plugin.error, "failed to start")) << plugin.error;
}

TEST_F(PluginFolders, AnEntryThatMakesNoFamilyFails)
{
    for (const char* library : {"no_create", "no_family"}) {
        writePlugin("none", "none", library);
        const Plugin plugin = only();
        EXPECT_EQ(plugin.state, PluginState::Failed) << library;
        EXPECT_EQ(plugin.family, nullptr) << library;
        EXPECT_TRUE(says(plugin.error, "failed to start")) << plugin.error;
    }
}

TEST_F(PluginFolders, ALibraryThatIsCutOffFails)
{
    const fs::path good = fs::path(std::getenv("RANKSCOPE_TEST_PLUGINS")) / "good.so";
    const auto size = fs::file_size(good);
    writePlugin("cut", "cut", "cut");
    for (const std::uintmax_t percent : {0, 1, 10, 30, 60, 90, 99}) {
        const fs::path library = m_folder / "cut" / "cut.so";
        fs::remove(library); // a new file each time: the loader knows those it has loaded
        fs::copy_file(good, library);
        fs::resize_file(library, size * percent / 100);
        const Plugin plugin = only();
        EXPECT_EQ(plugin.state, PluginState::Failed) << percent << " %";
        EXPECT_TRUE(says(plugin.error, library.string())) << plugin.error;
    }
}

TEST_F(PluginFolders, OfTwoWithOneNameTheFirstCounts)
{
    writePlugin("a", "same", "good");
    writePlugin("b", "same", "good");
    PluginLoader loader({m_folder});
    loader.loadAll();
    ASSERT_EQ(loader.plugins().size(), 2U);
    EXPECT_EQ(loader.plugins()[0].state, PluginState::Loaded);
    EXPECT_EQ(loader.plugins()[1].state, PluginState::Invalid);
    EXPECT_TRUE(says(loader.plugins()[1].error, "same")) << loader.plugins()[1].error;
    EXPECT_TRUE(loader.load("same"));
}

TEST_F(PluginFolders, AnIncompatibleOneTakesNoName)
{
    writePlugin("a", "same", "good", protocol::pluginApiVersion + 1);
    writePlugin("b", "same", "good");
    PluginLoader loader({m_folder});
    EXPECT_EQ(loader.plugins().at(0).state, PluginState::Incompatible);
    const auto plugin = loader.load("same");
    ASSERT_TRUE(plugin) << plugin.error().message;
    EXPECT_EQ((*plugin)->manifest.folder, m_folder / "b");
}

TEST_F(PluginFolders, ABadOneDoesNotHideAGoodOneAndIsExplained)
{
    write("a", "[]");
    writePlugin("b", "smallest", "good");
    PluginLoader loader({m_folder});
    EXPECT_TRUE(loader.load("smallest"));
    const auto broken = loader.load("a");
    ASSERT_FALSE(broken);
    EXPECT_TRUE(says(broken.error().message, "invalid")) << broken.error().message;
    const auto unknown = loader.load("nothing");
    ASSERT_FALSE(unknown);
    EXPECT_TRUE(says(unknown.error().message, "smallest")) << unknown.error().message;
}

} // namespace
} // namespace rankscope::adapter

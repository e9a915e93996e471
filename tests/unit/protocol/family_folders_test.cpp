// SPDX-License-Identifier: Apache-2.0
#include "core/protocol/family_folders.h"

#include "tests/unit/record/temporary_folder.h"

#include <fstream>
#include <gtest/gtest.h>

namespace rankscope::protocol
{
namespace
{

namespace fs = std::filesystem;
using Use = FoundFamily::Use;

class FamilyFolders : public testing::Test
{
protected:
    void write(const std::string& folder, const std::string& name, int version = pluginApiVersion) const
    {
        writeText(folder, base::Json{{"name", name},
                                     {"title", name},
                                     {"library", "a.so"},
                                     {"apiVersion", version},
                                     {"scope", "module"}}
                              .dump());
    }
    void writeText(const std::string& folder, const std::string& text) const
    {
        fs::create_directories(m_folder / folder);
        std::ofstream(m_folder / folder / "family.json") << text;
    }
    /// The folder that counts for a name; empty if none does.
    [[nodiscard]] static fs::path usable(const std::vector<FoundFamily>& found, const std::string& name)
    {
        fs::path folder;
        for (const auto& family : found) {
            if (family.use == Use::Usable && family.manifest.name == name) {
                EXPECT_TRUE(folder.empty()) << "two count";
                folder = family.manifest.folder;
            }
        }
        return folder;
    }

    test::TemporaryFolder m_folder;
};

TEST_F(FamilyFolders, OfOneNameTheFirstByPathCountsInWhateverOrderTheyWereMade)
{
    for (const char* folder : {"one/lora-backup", "one/z", "one/lora", "one/lora2"})
        write(folder, "lora");
    const auto found = findFamilies({m_folder / "one"});
    ASSERT_EQ(found.size(), 4U);
    EXPECT_EQ(usable(found, "lora"), m_folder / "one/lora");
    EXPECT_EQ(found[0].manifest.folder, m_folder / "one/lora");
    EXPECT_EQ(found[1].manifest.folder, m_folder / "one/lora-backup");
    EXPECT_EQ(found[1].use, Use::Invalid);
    EXPECT_NE(found[1].error.find("already named lora"), std::string::npos) << found[1].error;
}

TEST_F(FamilyFolders, TheOrderOfTheFoldersComesFirst)
{
    write("one/a", "lora");
    write("two/z", "lora");
    EXPECT_EQ(usable(findFamilies({m_folder / "two", m_folder / "none", m_folder / "one"}), "lora"),
              m_folder / "two/z");
}

TEST_F(FamilyFolders, OneThatCannotBeUsedTakesNoName)
{
    write("one/a", "lora", pluginApiVersion + 1);
    writeText("one/lora", "{");
    write("one/z", "lora");
    const auto found = findFamilies({m_folder / "one"});
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].use, Use::Incompatible);
    EXPECT_NE(found[0].error.find(std::to_string(pluginApiVersion + 1)), std::string::npos);
    EXPECT_EQ(found[1].use, Use::Invalid);
    EXPECT_EQ(found[1].manifest.name, "lora") << "the folder's";
    EXPECT_EQ(usable(found, "lora"), m_folder / "one/z");
}

} // namespace
} // namespace rankscope::protocol

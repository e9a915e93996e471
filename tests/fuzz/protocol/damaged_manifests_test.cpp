// SPDX-License-Identifier: Apache-2.0
// family.json of every plugin, damaged, and settings that no form would let through: one error, or settings
// that the family's own schema accepts.
#include "core/protocol/family_manifest.h"

#include "tests/fuzz/damage.h"
#include "tests/unit/record/temporary_folder.h"

using namespace rankscope;
using namespace rankscope::test;
using protocol::FamilyManifest;

namespace
{

std::vector<std::filesystem::path> manifests()
{
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(sourcePath("plugins"))) {
        if (std::filesystem::exists(entry.path() / "family.json"))
            files.push_back(entry.path() / "family.json");
    }
    std::ranges::sort(files);
    EXPECT_GT(files.size(), 20U);
    return files;
}

bool fitsType(protocol::SettingType type, const base::Json& value)
{
    const auto whole = [](const base::Json& number) {
        return number.is_number_integer() &&
               (!number.is_number_unsigned() ||
                number.get<std::uint64_t>() <=
                    static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    };
    switch (type) {
    case protocol::SettingType::Integer:
        return whole(value);
    case protocol::SettingType::Number:
        return value.is_number();
    case protocol::SettingType::Boolean:
        return value.is_boolean();
    case protocol::SettingType::Text:
        return value.is_string();
    case protocol::SettingType::TextList:
        return value.is_array() &&
               std::ranges::all_of(value, [](const base::Json& item) { return item.is_string(); });
    case protocol::SettingType::IntegerList:
        return value.is_array() && std::ranges::all_of(value, whole);
    }
    return false;
}

void trySettings(const FamilyManifest& family, const base::Json& given)
{
    const auto complete = family.complete(given);
    if (!complete)
        return expectSentence(complete.error());
    EXPECT_EQ(complete->size(), family.settings.size());
    for (const auto& setting : family.settings) {
        ASSERT_TRUE(complete->contains(setting.name));
        const base::Json& value = (*complete)[setting.name];
        EXPECT_TRUE(fitsType(setting.type, value))
            << family.name << " " << setting.name << ": " << value.dump();
        EXPECT_TRUE(FamilyManifest::check(setting, value));
        (void)setting.shownAmong(*complete);
    }
    EXPECT_EQ(family.complete(*complete).value_or(nullptr), *complete);
    const std::string output = family.initialOutputOf(*complete);
    EXPECT_TRUE(output == "exact" || output == "rounding" || output == "changed") << output;
    for (const auto* condition :
         {&family.nonCausal, &family.hardEvaluation, &family.mergesExperts, &family.stopsGradient})
        (void)condition->holds(*complete);
}

void tryManifest(const Result<FamilyManifest>& family)
{
    if (!family)
        return expectSentence(family.error());
    EXPECT_FALSE(family->name.empty());
    EXPECT_EQ(family->library.find('/'), std::string::npos);
    ASSERT_TRUE(family->complete(nullptr));
    trySettings(*family, nullptr);
    trySettings(*family, family->small);
    for (const std::int64_t steps : {1, 100, 1'000'000'000}) {
        protocol::TrainingSpec training;
        training.steps = steps;
        if (const auto status = family->completeTraining(training); !status)
            expectSentence(status.error());
    }
}

} // namespace

TEST(DamagedManifests, Files)
{
    const ModestMemory modest;
    const TemporaryFolder folder;
    const auto attempt = [&](const std::string& bytes) {
        put(folder / "family.json", bytes);
        tryManifest(FamilyManifest::read(folder / "family.json"));
    };
    for (const auto& file : manifests()) {
        const std::string bytes = base::readFile(file).value_or("");
        ASSERT_TRUE(FamilyManifest::read(file)) << file;
        truncate(bytes, 53, attempt);
        damage(bytes, bytes.size(), 150, attempt);
        damageValues(*base::parseJson(bytes), 300,
                     [&](const base::Json& changed) { attempt(changed.dump()); });
    }
}

TEST(DamagedManifests, Settings)
{
    const ModestMemory modest;
    for (const auto& file : manifests()) {
        const auto family = FamilyManifest::read(file);
        ASSERT_TRUE(family) << family.error().message;
        const auto complete = family->complete(nullptr);
        ASSERT_TRUE(complete) << complete.error().message;
        damageValues(*complete, 1500, [&](const base::Json& changed) { trySettings(*family, changed); });
    }
}

TEST(DamagedManifests, WholeNumbersFitInto64BitsWithoutAMaximumToo)
{
    const TemporaryFolder folder;
    put(folder / "family.json",
        R"({"name": "x", "title": "X", "library": "x.so", "apiVersion": 1, "scope": "module",
            "settings": {"properties": {"rank": {"type": "integer", "minimum": 1, "default": 1},
              "ranks": {"type": "array", "items": {"type": "integer"}, "default": [1]}}}})");
    const auto family = FamilyManifest::read(folder / "family.json");
    ASSERT_TRUE(family) << family.error().message;
    const auto accepted = [&](const std::string& text) {
        const base::Json number = *base::parseJson(text);
        const bool alone = family->complete({{"rank", number}}).has_value();
        EXPECT_EQ(family->complete({{"ranks", base::Json::array({number})}}).has_value(), alone) << text;
        return alone;
    };
    EXPECT_TRUE(accepted("9223372036854775807"));
    EXPECT_FALSE(accepted("9223372036854775808"));
    EXPECT_FALSE(accepted("18446744073709551615")); // as a signed number, -1
}

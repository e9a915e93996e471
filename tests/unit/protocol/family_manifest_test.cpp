// SPDX-License-Identifier: Apache-2.0
#include "core/protocol/family_manifest.h"

#include "core/base/files.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace rankscope::protocol
{
namespace
{

namespace fs = std::filesystem;

constexpr const char* wellFormed = R"({
  "name": "example", "title": "Example", "summary": "s", "authors": "a", "paper": "p", "link": "l", "version": "1",
  "library": "libexample.so", "apiVersion": 1, "scope": "module", "routing": "token", "initialOutput": "exact",
  "mergeable": true, "training": {"learningRate": 1e-4},
  "settings": {"type": "object", "properties": {
    "rank": {"type": "integer", "title": "Rank", "default": 16, "minimum": 1, "maximum": 4096, "group": "Size"},
    "dropout": {"type": "number", "default": 0.0, "minimum": 0, "exclusiveMaximum": 1, "advanced": true},
    "alpha": {"type": "number", "default": 32, "exclusiveMinimum": 0},
    "router": {"type": "string", "default": "soft", "enum": ["soft", "topk"]},
    "k": {"type": "integer", "default": 2, "minimum": 1, "showWhen": {"router": ["topk"]}},
    "shared": {"type": "boolean", "default": false},
    "targets": {"type": "array", "items": {"type": "string"}, "default": ["q_proj"]},
    "parts": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "default": ["a"]},
    "ranks": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 8}, "default": [1, 2]}
  }}})";

class Manifest : public testing::Test
{
protected:
    void SetUp() override
    {
        m_folder = fs::temp_directory_path() / ("rankscope-manifest-" + std::to_string(::getpid()));
        fs::create_directories(m_folder);
    }
    void TearDown() override { fs::remove_all(m_folder); }

    Result<FamilyManifest> read(const base::Json& json) const { return read(json.dump()); }
    Result<FamilyManifest> read(const std::string& text) const
    {
        EXPECT_TRUE(base::writeFileAtomically(m_folder / "family.json", text));
        return FamilyManifest::read(m_folder / "family.json");
    }
    std::string errorOf(const base::Json& json) const
    {
        const auto manifest = read(json);
        return manifest ? std::string("accepted") : manifest.error().message;
    }

    fs::path m_folder;
};

TEST_F(Manifest, KeepsTheOrderOfTheFile)
{
    const auto manifest = read(std::string(wellFormed));
    ASSERT_TRUE(manifest) << manifest.error().message;
    std::vector<std::string> names;
    for (const auto& setting : manifest->settings)
        names.push_back(setting.name);
    EXPECT_EQ(names, (std::vector<std::string>{"rank", "dropout", "alpha", "router", "k", "shared", "targets",
                                               "parts", "ranks"}));
    EXPECT_EQ(manifest->folder, m_folder);
    EXPECT_EQ(manifest->setting("rank")->group, "Size");
    EXPECT_TRUE(manifest->setting("dropout")->advanced);
    EXPECT_TRUE(manifest->setting("dropout")->exclusiveMaximum);
    EXPECT_EQ(manifest->setting("k")->showWhen.front().first, "router");
    EXPECT_EQ(manifest->setting("alpha")->title, "alpha");
    EXPECT_EQ(manifest->setting("nothing"), nullptr);
}

TEST_F(Manifest, CompletesSettings)
{
    const auto manifest = read(std::string(wellFormed));
    ASSERT_TRUE(manifest);
    const auto all = manifest->complete({{"rank", 8.0}, {"targets", {"qkv_proj", "anything"}}});
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(all->at("rank"), 8);
    EXPECT_TRUE(all->at("rank").is_number_integer());
    EXPECT_EQ(all->at("router"), "soft");
    EXPECT_EQ(all->at("targets").size(), 2u);
    EXPECT_EQ(all->size(), 9u);
}

TEST_F(Manifest, NamesTheSettingThatIsWrong)
{
    const auto manifest = read(std::string(wellFormed));
    ASSERT_TRUE(manifest);
    const auto errorOfSetting = [&](const char* name, const base::Json& value) {
        const auto all = manifest->complete({{name, value}});
        return all ? std::string("accepted") : all.error().message;
    };
    EXPECT_EQ(errorOfSetting("rank", 0), "rank is 0, but must be at least 1");
    EXPECT_EQ(errorOfSetting("rank", 5000), "rank is 5000, but must be at most 4096");
    EXPECT_EQ(errorOfSetting("rank", 1.5), "rank is 1.5, but must be a whole number");
    EXPECT_EQ(errorOfSetting("rank", "x"), "rank is \"x\", but must be a whole number");
    EXPECT_EQ(errorOfSetting("dropout", 1), "dropout is 1, but must be below 1");
    EXPECT_EQ(errorOfSetting("alpha", 0), "alpha is 0, but must be above 0");
    EXPECT_EQ(errorOfSetting("router", "hard"), "router is 'hard', but must be one of: soft, topk");
    EXPECT_EQ(errorOfSetting("shared", 1), "shared is 1, but must be true or false");
    EXPECT_EQ(errorOfSetting("targets", "q_proj"), "targets is \"q_proj\", but must be a list of texts");
    EXPECT_EQ(errorOfSetting("parts", {"a", "c"}), "parts[1] is 'c', but must be one of: a, b");
    EXPECT_EQ(errorOfSetting("ranks", {1, 9}), "ranks[1] is 9, but must be at most 8");
    EXPECT_NE(errorOfSetting("rnak", 4).find("rnak is not a setting of example; its settings are: rank"),
              std::string::npos);
}

TEST_F(Manifest, GivesVariantsTheirOwnDefaults)
{
    base::Json json = base::parseJson(wellFormed).value();
    json["settings"]["properties"]["alpha"]["defaultWhen"] =
        base::parseJson(R"([{"if": {"router": ["topk"], "shared": [true]}, "value": 8},
                            {"if": {"router": ["topk"]}, "value": 4}])")
            .value();
    const auto manifest = read(json);
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(manifest->complete(base::Json::object())->at("alpha"), 32);
    EXPECT_EQ(manifest->complete({{"router", "topk"}})->at("alpha"), 4);
    EXPECT_EQ(manifest->complete({{"router", "topk"}, {"shared", true}})->at("alpha"), 8);
    EXPECT_EQ(manifest->complete({{"router", "topk"}, {"alpha", 5}})->at("alpha"), 5) << "said is said";

    auto refused = [&](const char* defaultWhen) {
        base::Json wrong = base::parseJson(wellFormed).value();
        wrong["settings"]["properties"]["alpha"]["defaultWhen"] = base::parseJson(defaultWhen).value();
        return errorOf(wrong);
    };
    EXPECT_NE(refused(R"([{"if": {"router": ["topk"]}, "value": 0}])").find("a default is not allowed"),
              std::string::npos);
    EXPECT_NE(refused(R"([{"if": {"nothing": [1]}, "value": 1}])").find("'nothing', which is not a setting"),
              std::string::npos);
    EXPECT_NE(refused(R"([{"if": {"alpha": [1]}, "value": 1}])").find("whose own default depends on others"),
              std::string::npos);
    EXPECT_NE(refused(R"([{"value": 1}])").find("if"), std::string::npos);
    EXPECT_NE(refused(R"({"if": {}})").find("must be a list"), std::string::npos);
}

TEST_F(Manifest, SaysWhatVariantsDoToTheFirstOutput)
{
    base::Json json = base::parseJson(wellFormed).value();
    json["initialOutputWhen"] =
        base::parseJson(R"([{"if": {"router": ["topk"]}, "value": "changed"}])").value();
    const auto manifest = read(json);
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(manifest->initialOutputOf(*manifest->complete(base::Json::object())), "exact");
    EXPECT_EQ(manifest->initialOutputOf(*manifest->complete({{"router", "topk"}})), "changed");
    json["initialOutputWhen"][0]["value"] = "perhaps";
    EXPECT_NE(errorOf(json).find("must be exact, rounding or changed"), std::string::npos);
}

TEST_F(Manifest, SuggestsWhatAJobDoesNotSay)
{
    base::Json json = base::parseJson(wellFormed).value();
    json["training"] = {{"learningRate", 1e-3}, {"schedule", "constant"}, {"warmup", 200}};
    const auto manifest = read(json);
    ASSERT_TRUE(manifest) << manifest.error().message;
    TrainingSpec said;
    ASSERT_TRUE(said.read({{"steps", 1000}, {"learningRate", 5e-5}}));
    ASSERT_TRUE(manifest->completeTraining(said));
    EXPECT_EQ(said.learningRate, 5e-5);
    EXPECT_EQ(said.schedule, "constant");
    EXPECT_EQ(said.warmup, 200);
    EXPECT_EQ(said.batchSize, TrainingSpec().batchSize);
    TrainingSpec brief;
    ASSERT_TRUE(brief.read({{"steps", 60}}));
    ASSERT_TRUE(manifest->completeTraining(brief));
    EXPECT_EQ(brief.learningRate, 1e-3);
    EXPECT_EQ(brief.warmup, TrainingSpec().warmup) << "200 steps of warm-up do not fit a run of 60";

    json["training"] = {{"learningRate", -1}};
    EXPECT_NE(errorOf(json).find("training.learningRate"), std::string::npos);
    json["training"] = {{"epochs", 1}};
    EXPECT_NE(errorOf(json).find("epochs"), std::string::npos);
}

TEST_F(Manifest, ReadsPaperAsTheDefaultTargets)
{
    const auto manifest = read(std::string(wellFormed));
    ASSERT_TRUE(manifest);
    EXPECT_EQ(manifest->complete({{"targets", {"paper"}}})->at("targets"), base::Json::array({"q_proj"}));
    EXPECT_EQ(manifest->complete({{"targets", {"mlp", "paper", "o_proj"}}})->at("targets"),
              base::Json::array({"mlp", "q_proj", "o_proj"}));
}

TEST_F(Manifest, SaysWhereAStatementHolds)
{
    base::Json json = base::parseJson(wellFormed).value();
    const base::Json settings{{"router", "topk"}, {"shared", true}};
    auto holds = [&](const base::Json& condition) {
        json["stopsGradient"] = condition;
        return read(json).value().stopsGradient.holds(settings);
    };
    EXPECT_FALSE(read(std::string(wellFormed)).value().stopsGradient.holds(settings));
    EXPECT_TRUE(holds(true));
    EXPECT_FALSE(holds(false));
    EXPECT_TRUE(holds(base::parseJson(R"([{"router": ["soft", "topk"]}])").value()));
    EXPECT_FALSE(holds(base::parseJson(R"([{"router": ["topk"], "shared": [false]}])").value()));
    EXPECT_TRUE(holds(base::parseJson(R"([{"router": ["soft"]}, {"shared": [true]}])").value()));
}

TEST_F(Manifest, RefusesABrokenFile)
{
    const auto changed = [](const char* pointer, const base::Json& value) {
        base::Json json = base::Json::parse(wellFormed);
        json[base::Json::json_pointer(pointer)] = value;
        return json;
    };
    EXPECT_NE(errorOf(changed("/scope", "galaxy")).find("scope is 'galaxy'"), std::string::npos);
    EXPECT_NE(errorOf(changed("/library", "../evil.so")).find("plain file name"), std::string::npos);
    EXPECT_NE(errorOf(changed("/name", "A b")).find("must be made of"), std::string::npos);
    EXPECT_NE(errorOf(changed("/colour", "red")).find("colour is not a known field"), std::string::npos);
    EXPECT_NE(errorOf(changed("/settings/properties/rank/default", 0)).find("the default is not allowed"),
              std::string::npos);
    EXPECT_NE(
        errorOf(changed("/settings/properties/rank/type", "float")).find("settings.properties.rank.type"),
        std::string::npos);
    EXPECT_EQ(errorOf(changed("/small", {{"rank", 2}})), "accepted");
    EXPECT_NE(errorOf(changed("/small", {{"rank", 0}})).find("small: rank is 0, but must be at least 1"),
              std::string::npos);
    EXPECT_NE(errorOf(changed("/nonCausal", {{{"ruoter", {"topk"}}}})).find("nonCausal names 'ruoter'"),
              std::string::npos);
    EXPECT_NE(errorOf(changed("/nonCausal", "router")).find("nonCausal must be"), std::string::npos);
    EXPECT_NE(errorOf(changed("/settings/properties/k/showWhen", {{"ruoter", {"topk"}}})).find("'ruoter'"),
              std::string::npos);
    EXPECT_NE(errorOf(changed("/settings/properties/rank/minimum", 9000)).find("minimum above its maximum"),
              std::string::npos);
    base::Json json = base::Json::parse(wellFormed);
    json["settings"]["properties"]["rank"].erase("default");
    EXPECT_NE(errorOf(json).find("rank.default is missing"), std::string::npos);
    json.erase("apiVersion");
    EXPECT_NE(errorOf(json).find("apiVersion is missing"), std::string::npos);
    EXPECT_FALSE(read(std::string("{\"name\": ")));
    EXPECT_FALSE(FamilyManifest::read(m_folder / "none.json"));
}

} // namespace
} // namespace rankscope::protocol

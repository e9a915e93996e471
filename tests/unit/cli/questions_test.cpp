// SPDX-License-Identifier: Apache-2.0
// plan and families: what they print, and the numbers against counts made by hand.
#include "tests/unit/worker/job_fixture.h"

#include <algorithm>
#include <cstdlib>

namespace rankscope::worker::test
{
namespace
{

namespace fs = std::filesystem;

class Question : public JobTest
{
protected:
    [[nodiscard]] base::Json plan(const std::string& config, const base::Json& settings) const
    {
        const fs::path model =
            fs::path(std::getenv("RANKSCOPE_SOURCE")) / "tests/data/configs" / config / "config.json";
        const base::Json request = {{"model", {{"path", model.string()}}},
                                    {"adapter", {{"family", "lora"}, {"settings", settings}}}};
        const auto captured = engine({"plan", write("plan", request), "--json"});
        EXPECT_EQ(captured.exitStatus(), 0) << captured.error;
        EXPECT_EQ(captured.error, "");
        const auto json = base::parseJson(captured.output);
        EXPECT_TRUE(json) << captured.output;
        return json ? *json : base::Json::object();
    }
};

TEST_F(Question, PlanOfABareConfig)
{
    const base::Json answer = plan("llama2-7b", {{"rank", 16}});
    // Seven linears in 32 layers: q, k, v, o are 4096 x 4096, gate, up, down 4096 x 11008; A and B of rank 16
    // on each.
    const std::int64_t trainable = 32 * 16 * (4 * (4096 + 4096) + 3 * (4096 + 11008));
    const std::int64_t base = 6'738'415'616; // as published
    EXPECT_EQ(answer.at("trainableParameters"), trainable);
    EXPECT_EQ(answer.at("baseParameters"), base);
    EXPECT_NEAR(answer.at("trainablePercent").get<double>(),
                100.0 * static_cast<double>(trainable) / static_cast<double>(base + trainable), 1e-9);
    EXPECT_NEAR(answer.at("percentOfBase").get<double>(),
                100.0 * static_cast<double>(trainable) / static_cast<double>(base), 1e-9);
    EXPECT_GT(answer.at("memoryBytes").get<double>(), 2.0 * static_cast<double>(base));
    EXPECT_FALSE(fs::exists(m_folder / "runs"));
}

TEST_F(Question, PlanFollowsTheTargets)
{
    const base::Json attention = plan("llama2-7b", {{"rank", 4}, {"targets", {"q_proj", "v_proj"}}});
    EXPECT_EQ(attention.at("trainableParameters"), 32 * 4 * 2 * (4096 + 4096));
    // Grouped keys: 8 heads of 128.
    const base::Json grouped = plan("llama3-8b", {{"rank", 4}, {"targets", {"k_proj"}}});
    EXPECT_EQ(grouped.at("trainableParameters"), 32 * 4 * (4096 + 1024));
}

TEST_F(Question, PlannedMemoryFollowsTheRowsOrWhereNoneCanBeReadTheirLongestLength)
{
    const auto planned = [this](const std::string& data, std::int64_t maxLength) {
        const base::Json request = job(base::Json{
            {"data", {{"train", {data}}, {"maxLength", maxLength}}},
            {"training",
             {{"batchSize", 16}}}}.dump());
        const auto captured = engine({"plan", write("plan", request), "--json"});
        EXPECT_EQ(captured.exitStatus(), 0) << captured.error;
        return base::Json::parse(captured.output);
    };
    const std::string rows = (m_folder / "capitals.jsonl").string();
    const std::string none = (m_folder / "none.jsonl").string();
    EXPECT_EQ(planned(none, 128).at("batchTokens"), 16 * 128);
    EXPECT_EQ(planned(none, 4096).at("batchTokens"), 16 * 4096);
    EXPECT_LT(planned(none, 128).at("memoryBytes").get<double>(),
              planned(none, 512).at("memoryBytes").get<double>());
    EXPECT_LT(planned(none, 512).at("memoryBytes").get<double>(),
              planned(none, 4096).at("memoryBytes").get<double>());
    // Two short rows are all there are, however long they might be.
    EXPECT_LT(planned(rows, 4096).at("batchTokens").get<std::int64_t>(), 16 * 128);
    EXPECT_EQ(planned(rows, 512), planned(rows, 4096));
    const auto read = engine({"plan", write("plan", job())});
    EXPECT_NE(read.output.find(" for batches of up to "), std::string::npos) << read.output;
}

TEST_F(Question, Families)
{
    const auto captured = engine({"families", "--json"});
    EXPECT_EQ(captured.exitStatus(), 0) << captured.error;
    const auto families = base::parseJson(captured.output);
    ASSERT_TRUE(families) << captured.output;
    ASSERT_TRUE(families->is_array());
    std::vector<std::string> names;
    for (const auto& family : *families) {
        for (const char* key : {"name", "state", "path", "error"})
            EXPECT_TRUE(family.contains(key) && family[key].is_string()) << key;
        EXPECT_EQ(family["state"], "loaded") << family.dump();
        EXPECT_EQ(family["error"], "");
        EXPECT_TRUE(fs::exists(fs::path(family["path"].get<std::string>()) / "family.json"));
        names.push_back(family["name"]);
    }
    for (const char* name : {"lora", "mixlora", "sharedlora", "opera"})
        EXPECT_TRUE(std::ranges::find(names, name) != names.end()) << name;
}

} // namespace
} // namespace rankscope::worker::test

// SPDX-License-Identifier: Apache-2.0
// Job files that are damaged: one error, or a job that can be written down and read again.
#include "core/protocol/job.h"

#include "tests/fuzz/damage.h"
#include "tests/unit/record/temporary_folder.h"

using namespace rankscope;
using namespace rankscope::test;
using protocol::Job;

namespace
{

void tryJob(const Result<Job>& job)
{
    if (!job)
        return expectSentence(job.error());
    EXPECT_FALSE(job->name.empty());
    EXPECT_GT(job->training.steps, 0);
    const std::string written = job->toJson().dump();
    const auto json = base::parseJson(written);
    ASSERT_TRUE(json) << json.error().message;
    const auto again = Job::fromJson(*json);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->toJson().dump(), written);
    const std::string folder = protocol::runFolderName(*job, 0);
    EXPECT_EQ(folder.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-T"), std::string::npos)
        << folder;
    Job resolved = *job;
    ASSERT_TRUE(resolved.resolvePaths("/nowhere"));
    for (const auto& file : resolved.data.train)
        EXPECT_TRUE(file.starts_with("/"));
}

void tryText(const std::string& bytes)
{
    const auto json = base::parseJson(bytes);
    if (!json)
        return expectSentence(json.error());
    tryJob(Job::fromJson(*json));
}

/// The sample, and one with every field.
std::vector<std::string> jobs()
{
    Job full;
    full.name = "Everything";
    full.model.path = "model";
    full.data.train = {"a.jsonl", "b/train.json"};
    full.data.test = {"a-test.jsonl"};
    full.adapter.settings = {{"rank", 8}, {"modules", {"q_proj"}}};
    return {contentOf("sample-data/sample-job.json"), full.toJson().dump(2)};
}

} // namespace

TEST(DamagedJobs, Texts)
{
    const ModestMemory modest;
    for (const std::string& bytes : jobs()) {
        ASSERT_TRUE(Job::fromJson(*base::parseJson(bytes)));
        truncate(bytes, 1, tryText);
        damage(bytes, bytes.size(), 8000, tryText);
    }
}

TEST(DamagedJobs, Values)
{
    const ModestMemory modest;
    for (const std::string& bytes : jobs())
        damageValues(*base::parseJson(bytes), 10000,
                     [](const base::Json& changed) { tryJob(Job::fromJson(changed)); });
}

/// A job without a name gets one from its family and data, however long those are.
TEST(DamagedJobs, NamesMadeOfLongNamesCanBeReadAgain)
{
    for (std::size_t length = 190; length < 215; ++length) {
        std::string family(length, 'x');
        for (const char* end : {"", "é", "日", "\U0001F600"}) {
            tryJob(Job::fromJson({{"adapter", {{"family", family + end}}}}));
            tryJob(Job::fromJson({{"data", {{"train", {"data/" + family + end + ".jsonl"}}}}}));
        }
    }
}

TEST(DamagedJobs, Files)
{
    const ModestMemory modest;
    const TemporaryFolder folder;
    const std::string bytes = contentOf("sample-data/sample-job.json");
    const auto attempt = [&](const std::string& damaged) {
        put(folder / "job.json", damaged);
        const auto job = Job::read(folder / "job.json");
        if (!job) {
            EXPECT_NE(job.error().message.find((folder / "job.json").string()), std::string::npos);
        }
        tryJob(job);
    };
    truncate(bytes, 37, attempt);
    damage(bytes, bytes.size(), 500, attempt);
    attempt(std::string(17U << 20, ' ')); // more than any job needs
    EXPECT_FALSE(Job::read(folder.path()));
    EXPECT_FALSE(Job::read(folder / "missing.json"));
}

// SPDX-License-Identifier: Apache-2.0
#include "core/train/longest_batch.h"

#include "tests/unit/record/temporary_folder.h"

#include <fstream>
#include <gtest/gtest.h>

namespace rankscope::train
{
namespace
{

class LongestBatch : public testing::Test
{
protected:
    /// A row of so many bytes.
    static std::string row(std::size_t size)
    {
        const std::string start = R"({"instruction":"\"}{[\\","output":")";
        return start + std::string(size - start.size() - 2, 'x') + "\"}";
    }
    /// A job of batches of two on a file with this in it.
    [[nodiscard]] protocol::Job job(const std::string& name, const std::string& content) const
    {
        std::ofstream(m_folder / name) << content;
        protocol::Job job;
        job.data.train = {(m_folder / name).string()};
        job.data.maxLength = 4096;
        job.training.batchSize = 2;
        return job;
    }

    test::TemporaryFolder m_folder;
};

TEST_F(LongestBatch, IsThatOfTheLongestRows)
{
    const std::string rows = row(90) + "\n" + row(301) + "\n" + row(60) + "\n" + row(150) + "\n";
    EXPECT_EQ(longestBatchTokens(job("a.jsonl", rows)), 101 + 50);
    const std::string list =
        "[\n" + row(90) + ",\n  " + row(301) + "\n,   " + row(60) + "," + row(150) + "]\n";
    EXPECT_EQ(longestBatchTokens(job("a.json", list)), 101 + 50);
}

TEST_F(LongestBatch, TakesAllFilesAndNoMoreRowsThanThereAre)
{
    auto two = job("a.jsonl", row(90));
    EXPECT_EQ(longestBatchTokens(two), 30);
    two.data.train.push_back(job("b.jsonl", row(300)).data.train.front());
    EXPECT_EQ(longestBatchTokens(two), 130);
}

TEST_F(LongestBatch, CutsRowsWhereTrainingCutsThem)
{
    auto cut = job("a.jsonl", row(900) + "\n" + row(90));
    cut.data.maxLength = 64;
    EXPECT_EQ(longestBatchTokens(cut), 64 + 30);
    cut.data.trainRows = 1;
    EXPECT_EQ(longestBatchTokens(cut), 64);
}

TEST_F(LongestBatch, WithoutRowsIsAsLongAsRowsMayBe)
{
    for (auto unread : {job("empty.jsonl", ""), job("text.jsonl", "no rows"), protocol::Job{}}) {
        unread.training.batchSize = 3;
        for (const std::int64_t length : {128, 512, 4096}) {
            unread.data.maxLength = length;
            EXPECT_EQ(longestBatchTokens(unread), 3 * length);
        }
    }
}

} // namespace
} // namespace rankscope::train

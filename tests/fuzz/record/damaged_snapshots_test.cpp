// SPDX-License-Identifier: Apache-2.0
// Snapshots with damaged bytes. The HDF5 library may crash on them, so none of them may reach it: the
// checksum at the end of the file must find every change.
#include "core/record/snapshot.h"

#include "tests/fuzz/damage.h"
#include "tests/unit/record/temporary_folder.h"

#include <array>

using namespace rankscope;
using namespace rankscope::record;
using namespace rankscope::test;

namespace
{

/// What README.md of core/record puts behind HDF5's own end: a word and a checksum of 32 bits.
constexpr std::size_t sealBytes = 16 + 4;

RunRecord sample()
{
    RunRecord run;
    run.description.jobJson = "{\"name\": \"sample\"}";
    run.description.tasks = {"arithmetic", "logic"};
    run.description.data = {{"arithmetic/train.jsonl", std::string(64, 'a'), 100, "arithmetic", "train"}};
    run.states = {{1, "running", ""}, {2, "finished", "all steps are done"}};
    run.checkpoints = {{3, 100, "checkpoints/step-000100"}};
    Measure& rank = run.define(
        {"rank/entropy", "Rank", "", "", {{"layer", "", {"0", "1"}}, {"module", "", {"q_proj", "o_proj"}}}});
    for (int step = 0; step < 30; ++step)
        EXPECT_TRUE(rank.append(step, std::array{1.0F, 2.0F, 3.0F, static_cast<float>(step)}));
    return run;
}

class DamagedSnapshots : public testing::Test
{
protected:
    void SetUp() override
    {
        ASSERT_TRUE(writeSnapshot(sample(), m_path));
        m_bytes = base::readFile(m_path).value_or("");
        ASSERT_GT(m_bytes.size(), 1000U);
    }
    Result<RunRecord> read(const std::string& bytes)
    {
        put(m_path, bytes);
        return readSnapshot(m_path);
    }
    void expectWhole(const Result<RunRecord>& run)
    {
        ASSERT_TRUE(run) << run.error().message;
        EXPECT_EQ(run->description, sample().description);
        EXPECT_EQ(run->states, sample().states);
        EXPECT_EQ(run->measures().size(), 1U);
    }

    const ModestMemory m_modest;
    TemporaryFolder m_folder;
    const std::filesystem::path m_path = m_folder / "run.h5";
    std::string m_bytes;
};

TEST_F(DamagedSnapshots, CutOffAnywhere)
{
    const std::size_t content = m_bytes.size() - sealBytes;
    const auto attempt = [&](const std::string& bytes) {
        const auto run = read(bytes);
        if (bytes.size() >= content)
            return expectWhole(run); // only the seal is gone
        ASSERT_FALSE(run) << bytes.size();
        expectSentence(run.error());
    };
    truncate(m_bytes, 29, attempt);
    for (std::size_t size = content - 3; size < m_bytes.size(); ++size)
        attempt(m_bytes.substr(0, size));
}

TEST_F(DamagedSnapshots, EveryChangeOfTheContentIsFound)
{
    const std::size_t content = m_bytes.size() - sealBytes;
    damage(m_bytes, content - 8, 5000, [&](const std::string& bytes) {
        const auto run = read(bytes);
        if (bytes == m_bytes)
            return expectWhole(run);
        ASSERT_FALSE(run);
        EXPECT_NE(run.error().message.find("it is damaged"), std::string::npos) << run.error().message;
    });
}

TEST_F(DamagedSnapshots, ADamagedSealIsAnErrorOrNone)
{
    const std::size_t content = m_bytes.size() - sealBytes;
    damage(m_bytes.substr(content), sealBytes, 300, [&](const std::string& seal) {
        const auto run = read(m_bytes.substr(0, content) + seal);
        const bool recognised = seal.substr(0, 16) == m_bytes.substr(content, 16);
        if (recognised && seal.substr(16) != m_bytes.substr(content + 16)) {
            ASSERT_FALSE(run);
        } else
            expectWhole(run);
    });
}

TEST_F(DamagedSnapshots, OtherFiles)
{
    const std::string seal = m_bytes.substr(m_bytes.size() - sealBytes);
    for (const std::string& bytes :
         {std::string(), std::string("\x89HDF\r\n\x1A\n", 8), seal, seal.substr(0, 16),
          std::string(5000, '\0'), m_bytes + m_bytes, m_bytes.substr(0, 2000) + seal}) {
        const auto run = read(bytes);
        ASSERT_FALSE(run);
        expectSentence(run.error());
    }
}

} // namespace

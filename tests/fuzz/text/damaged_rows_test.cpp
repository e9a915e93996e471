// SPDX-License-Identifier: Apache-2.0
// Training files of both kinds, damaged: one error that names the file, or rows that can be trained on.
#include "core/text/bpe_tokenizer.h"
#include "core/text/dataset.h"

#include "tests/fuzz/damage.h"
#include "tests/unit/record/temporary_folder.h"

using namespace rankscope;
using namespace rankscope::test;

namespace
{

constexpr const char* lines =
    R"({"instruction": "Add", "input": "2 and 3", "output": "The answer is 5.", "answer": 5}
{"instruction": "Is the naïve 日本 \ud83d\ude00 one?", "output": "yes", "choices": ["yes", "no"]}
{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi\n"}, {"role": "assistant", "content": "Hello"}], "id": 7}
{"instruction": "Number", "input": "", "output": "", "answer": "-1,234.50"}
)";

base::Json rowsAsList()
{
    base::Json list = base::Json::array();
    const std::string text = lines;
    for (std::size_t start = 0; start < text.size();) {
        const std::size_t end = text.find('\n', start);
        list.push_back(*base::parseJson(text.substr(start, end - start)));
        start = end + 1;
    }
    return list;
}

class DamagedRows : public testing::Test
{
protected:
    void SetUp() override
    {
        const auto json = base::readJsonFile(sourcePath("tests/data/tokenizer/llama3.json"));
        ASSERT_TRUE(json);
        const auto tokenizer = text::BpeTokenizer::fromJson(*json);
        ASSERT_TRUE(tokenizer) << tokenizer.error().message;
        m_tokenizer = *tokenizer;
    }
    [[nodiscard]] Attempt as(const std::string& name)
    {
        return [this, path = m_folder / name](const std::string& bytes) {
            put(path, bytes);
            tryFile(path);
        };
    }
    void tryFile(const std::filesystem::path& path) const
    {
        const auto file = text::readTaskFile(path);
        if (!file) {
            EXPECT_NE(file.error().message.find(path.string()), std::string::npos) << file.error().message;
            return expectSentence(file.error());
        }
        ASSERT_FALSE(file->rows.empty());
        for (const text::Row& row : file->rows)
            tryRow(row);
    }
    void tryRow(const text::Row& row) const
    {
        ASSERT_FALSE(row.prompt.empty());
        EXPECT_FALSE(row.output.empty());
        EXPECT_FALSE(row.answer.empty());
        EXPECT_TRUE(text::answers(row.output, row)) << row.output;
        if (!row.choices.empty()) {
            EXPECT_NE(std::ranges::find(row.choices, row.output), row.choices.end());
        }
        const auto example =
            text::makeExample(row, *m_tokenizer, text::ChatTemplate(text::ChatTemplate::Format::ChatMl), 40);
        EXPECT_LE(example.ids.size(), 40U);
        EXPECT_LE(example.promptLength, static_cast<std::int64_t>(example.ids.size()));
    }

    const ModestMemory m_modest;
    TemporaryFolder m_folder;
    std::shared_ptr<const text::Tokenizer> m_tokenizer;
};

} // namespace

TEST_F(DamagedRows, Lines)
{
    const std::string bytes = lines;
    as("x.jsonl")(bytes);
    truncate(bytes, 1, as("x.jsonl"));
    damage(bytes, bytes.size(), 5000, as("x.jsonl"));
}

TEST_F(DamagedRows, List)
{
    const base::Json list = rowsAsList();
    ASSERT_EQ(list.size(), 4U);
    const std::string bytes = list.dump(1);
    as("x.json")(bytes);
    truncate(bytes, 1, as("x.json"));
    damage(bytes, bytes.size(), 5000, as("x.json"));
    damageValues(list, 5000, [&](const base::Json& changed) { as("x.json")(changed.dump()); });
}

TEST_F(DamagedRows, SampleTask)
{
    const std::string bytes = contentOf("sample-data/arithmetic/train.jsonl").substr(0, 4000);
    truncate(bytes, 97, as("train.jsonl"));
    damage(bytes, bytes.size(), 500, as("train.jsonl"));
}

TEST_F(DamagedRows, FilesThatAreNoText)
{
    for (const char* name : {"x.json", "x.jsonl"}) {
        for (const std::string& bytes :
             {std::string(), std::string("\n\n"), std::string(100'000, '\0'), std::string(100'000, '['),
              std::string(100'000, '"'), std::string(100'000, '\\'), std::string("\xEF\xBB\xBF"),
              std::string("\xFF\xFE[\0]\0", 6), std::string(100'000, '1'), "[" + std::string(100'000, ',')})
            as(name)(bytes);
        std::filesystem::remove(m_folder / name);
        std::filesystem::create_directory(m_folder / name);
        tryFile(m_folder / name);
    }
}

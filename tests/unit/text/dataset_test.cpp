// SPDX-License-Identifier: Apache-2.0
#include "core/base/paths.h"
#include "core/text/dataset.h"

#include <fstream>
#include <gtest/gtest.h>

using namespace rankscope;
using text::Row;

namespace
{

class Dataset : public testing::Test
{
protected:
    void SetUp() override
    {
        m_folder = std::filesystem::path(testing::TempDir()) /
                   (std::string("rankscope-dataset-") +
                    testing::UnitTest::GetInstance()->current_test_info()->name());
        std::filesystem::remove_all(m_folder);
        std::filesystem::create_directories(m_folder);
    }
    void TearDown() override { std::filesystem::remove_all(m_folder); }

    Result<text::TaskFile> read(const std::string& name, const std::string& content, std::int64_t maxRows = 0)
    {
        std::ofstream(m_folder / name, std::ios::binary) << content;
        return text::readTaskFile(m_folder / name, maxRows);
    }
    std::string errorOf(const std::string& name, const std::string& content)
    {
        const auto file = read(name, content);
        return file ? std::string("no error") : file.error().message;
    }

    std::filesystem::path m_folder;
};

Row rowOf(const std::string& output, const std::string& answer)
{
    Row row;
    row.prompt = {{"user", "?"}};
    row.output = output;
    row.answer = answer;
    return row;
}

} // namespace

TEST_F(Dataset, ReadsInstructionRowsFromAList)
{
    const auto file = read("sums.json", R"([
  {"instruction": "Add", "input": "2 and 3", "output": "The answer is 5.", "answer": "5"},
  {"instruction": "Say hi", "input": "", "output": "hi"},
  {"instruction": "Number", "output": "", "answer": 7}
])");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->task, "sums");
    ASSERT_EQ(file->rows.size(), 3U);
    EXPECT_EQ(file->rows[0].prompt.at(0).role, "user");
    EXPECT_EQ(file->rows[0].prompt.at(0).content, "Add\n2 and 3");
    EXPECT_EQ(file->rows[0].answer, "5");
    EXPECT_EQ(file->rows[1].prompt.at(0).content, "Say hi");
    EXPECT_EQ(file->rows[1].answer, "hi");
    EXPECT_EQ(file->rows[2].output, "7");
    EXPECT_TRUE(file->choices.empty());
}

TEST_F(Dataset, ReadsMessagesFromLines)
{
    const auto file =
        read("chat.jsonl", "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": "
                           "\"user\", \"content\": \"Hi\"},"
                           " {\"role\": \"assistant\", \"content\": \"Hello\"}], \"id\": 7}\r\n\n");
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_EQ(file->rows.size(), 1U);
    EXPECT_EQ(file->rows[0].prompt.size(), 2U);
    EXPECT_EQ(file->rows[0].output, "Hello");
}

TEST_F(Dataset, NamesFileAndLineOfEveryFault)
{
    const std::string good = R"({"instruction": "a", "output": "b"})";
    const std::string path = (m_folder / "x.jsonl").string();
    EXPECT_TRUE(errorOf("x.jsonl", good + "\n\n" + good).starts_with(path + ":2: "));
    EXPECT_TRUE(errorOf("x.jsonl", good + "\n{\"instruction\": \"a\"").starts_with(path + ":2: "));
    EXPECT_TRUE(
        errorOf("x.jsonl", good + "\n" + good + "\n{\"instruction\": \"a\"}\n").starts_with(path + ":3: "));
    EXPECT_TRUE(errorOf("x.jsonl", good + "\n[]").starts_with(path + ":2: "));
    EXPECT_TRUE(
        errorOf("x.jsonl", good + "\n" + R"({"instruction": 5, "output": "b"})").starts_with(path + ":2: "));
    EXPECT_TRUE(errorOf("x.jsonl", good + "\n" + R"({"instruction": " ", "output": "b"})")
                    .starts_with(path + ":2: "));
    EXPECT_TRUE(errorOf("x.jsonl", good + "\n" + R"({"messages": [{"role": "user", "content": "b"}]})")
                    .starts_with(path + ":2: "));
    EXPECT_TRUE(errorOf("x.jsonl", good + "\n" + R"({"messages": [{"role": "robot", "content": "b"}]})")
                    .starts_with(path + ":2: "));
    EXPECT_TRUE(
        errorOf("x.jsonl", good + "\n" + R"({"instruction": "a", "output": "b", "choices": ["c", "d"]})")
            .starts_with(path + ":2: "));
    const std::string twice = errorOf(
        "x.jsonl", good + "\n" + R"({"instruction": "a", "output": "b", "choices": ["b", "no", "c", "no"]})");
    EXPECT_TRUE(twice.starts_with(path + ":2: ")) << twice;
    EXPECT_NE(twice.find("'no' twice"), std::string::npos) << twice;
    EXPECT_TRUE(errorOf("x.jsonl", "").starts_with(path + ":1: "));

    const std::string list = (m_folder / "x.json").string();
    const std::string fault = errorOf(
        "x.json", "[\n " + good + ",\n {\"instruction\": \"[,{\\\"\",\n  \"output\": 1},\n " + good + "]");
    EXPECT_TRUE(fault.starts_with(list + ":3: row 2: ")) << fault;
    EXPECT_NE(errorOf("x.json", "[\n" + good + ",\n oops]").find("line 3"), std::string::npos);
    EXPECT_TRUE(errorOf("x.json", good).starts_with(list + ":1: "));
    EXPECT_TRUE(errorOf("x.json", "[]").starts_with(list + ":1: "));
    EXPECT_NE(errorOf("x.csv", good).find(".jsonl"), std::string::npos);
    EXPECT_FALSE(text::readTaskFile(m_folder / "missing.json"));
}

TEST_F(Dataset, NamesTheTaskAfterFileOrFolder)
{
    EXPECT_EQ(text::taskName("data/boolq.json"), "boolq");
    EXPECT_EQ(text::taskName("data/ARC-Easy/train.json"), "ARC-Easy");
    EXPECT_EQ(text::taskName("data/ARC-Easy/test.jsonl"), "ARC-Easy");
    EXPECT_EQ(text::taskName(m_folder / "sub" / ".." / "train.json"), m_folder.filename().string());
}

TEST_F(Dataset, TellsChoicesFromOpenAnswers)
{
    const auto rows = [](const std::vector<std::string>& outputs) {
        std::string text;
        for (const auto& output : outputs)
            text += R"({"instruction": "q", "output": ")" + output + "\"}\n";
        return text;
    };
    EXPECT_EQ(read("a.jsonl", rows({"yes", "no", "no", "yes"}))->choices,
              (std::vector<std::string>{"no", "yes"}));
    EXPECT_TRUE(read("a.jsonl", rows({"yes", "no", "no"}))->choices.empty());   // "yes" occurs once
    EXPECT_TRUE(read("a.jsonl", rows({"yes", "yes", "yes"}))->choices.empty()); // nothing to choose between
    std::vector<std::string> nine;
    for (int i = 0; i < 18; ++i)
        nine.push_back(std::to_string(i % 9));
    EXPECT_TRUE(read("a.jsonl", rows(nine))->choices.empty());
    std::vector<std::string> straggler(100, "yes");
    straggler.insert(straggler.end(), 100, "no");
    straggler.push_back("perhaps");
    EXPECT_EQ(read("a.jsonl", rows(straggler))->choices.size(), 3U);
    // What a row lists is its own alone: the others are open.
    const auto listed = read("a.jsonl", R"({"instruction": "q", "output": "x", "choices": ["z", "x"]})"
                                        "\n" +
                                            rows({"yes", "no", "no", "yes"}));
    ASSERT_TRUE(listed) << listed.error().message;
    EXPECT_EQ(listed->rows[0].choices, (std::vector<std::string>{"z", "x"}));
    EXPECT_TRUE(listed->choices.empty());
}

TEST_F(Dataset, StopsAtTheRequestedNumberOfRows)
{
    const std::string rows = "{\"instruction\": \"a\", \"output\": \"b\"}\n{\"instruction\": \"a\", "
                             "\"output\": \"c\"}\nnot json\n";
    const auto file = read("a.jsonl", rows, 2);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->rows.size(), 2U);
}

TEST(Example, PutsTheLossOnTheAnswerAndItsEnd)
{
    const auto tokenizer = text::Tokenizer::open(base::defaultModel());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    const auto chat = text::ChatTemplate::forModel(base::defaultModel());
    ASSERT_TRUE(chat);
    const Row row = rowOf("the correct answer is answer2", "answer2");
    const auto example = text::makeExample(row, **tokenizer, *chat, 0);
    const std::span<const text::TokenId> ids = example.ids;
    const auto prompt = static_cast<std::size_t>(example.promptLength);
    EXPECT_EQ((*tokenizer)->decode(ids.first(prompt), false), chat->prompt(row.prompt));
    EXPECT_EQ((*tokenizer)->decode(ids.subspan(prompt), false), "the correct answer is answer2<|im_end|>");
    EXPECT_EQ(ids.back(), (*tokenizer)->endOfText());

    // Cut: first the prompt's front, down to half of the row, then the answer's end.
    const std::size_t answer = ids.size() - prompt;
    ASSERT_GT(prompt, answer);
    text::Omissions omissions;
    const auto limit = static_cast<std::int64_t>(2 * answer + 2);
    const auto shorter = text::makeExample(row, **tokenizer, *chat, limit, &omissions);
    EXPECT_EQ(shorter.promptLength, limit - static_cast<std::int64_t>(answer));
    EXPECT_TRUE(std::equal(shorter.ids.begin(), shorter.ids.end(), ids.end() - limit, ids.end()));
    const auto shortest = text::makeExample(row, **tokenizer, *chat, 6, &omissions);
    EXPECT_EQ(shortest.promptLength, 3);
    EXPECT_TRUE(std::equal(shortest.ids.begin(), shortest.ids.end(),
                           ids.begin() + static_cast<std::ptrdiff_t>(prompt - 3),
                           ids.begin() + static_cast<std::ptrdiff_t>(prompt + 3)));
    text::makeExample(row, **tokenizer, *chat, static_cast<std::int64_t>(ids.size()), &omissions);
    EXPECT_EQ(omissions.rows, 2U) << "a row that just fits is whole";

    const auto plain = text::makeExample(row, **tokenizer, text::ChatTemplate(), 0);
    EXPECT_EQ(plain.ids.back(), (*tokenizer)->endOfText());
    EXPECT_EQ(omissions.bytes, 0U);
    text::makeExample(rowOf("a\xF1z", "x"), **tokenizer, *chat, 0, &omissions);
    EXPECT_EQ(omissions.bytes, 1U);

    // To test with: prompt and answer each by itself, and each output that the row lists.
    omissions = {};
    const auto whole = static_cast<std::int64_t>(std::max(prompt, answer));
    text::makeTestExample(row, **tokenizer, *chat, 0, &omissions);
    text::makeTestExample(row, **tokenizer, *chat, whole, &omissions);
    EXPECT_EQ(omissions.rows, 0U);
    text::makeTestExample(row, **tokenizer, *chat, whole - 1, &omissions);
    EXPECT_EQ(omissions.rows, 1U);
    Row listed = row;
    listed.choices = {row.output, "x\xF1", std::string(400, '7')};
    text::makeTestExample(listed, **tokenizer, *chat, whole, &omissions);
    EXPECT_EQ(omissions.rows, 2U);
    EXPECT_EQ(omissions.bytes, 1U);
    text::makeTestExample(rowOf("a\xF1z", "x"), **tokenizer, *chat, 0, &omissions);
    EXPECT_EQ(omissions.bytes, 2U);
}

TEST(Examples, TestPromptsDoNotDependOnTheAnswer)
{
    const auto tokenizer = text::Tokenizer::open(base::defaultModel());
    const auto chat = text::ChatTemplate::forModel(base::defaultModel());
    ASSERT_TRUE(tokenizer && chat);
    std::string longAnswer = "Paris";
    for (int i = 0; i < 40; ++i)
        longAnswer += ", on the Seine";
    const auto brief = text::makeTestExample(rowOf("Paris", "Paris"), **tokenizer, *chat, 32);
    const auto wordy = text::makeTestExample(rowOf(longAnswer, "Paris"), **tokenizer, *chat, 32);
    ASSERT_EQ(brief.promptLength, wordy.promptLength);
    EXPECT_TRUE(std::equal(brief.ids.begin(), brief.ids.begin() + brief.promptLength, wordy.ids.begin()));
    EXPECT_EQ(static_cast<std::int64_t>(wordy.ids.size()) - wordy.promptLength, 32);
    const auto whole = text::makeExample(rowOf("Paris", "Paris"), **tokenizer, *chat, 0);
    EXPECT_EQ(brief.promptLength, std::min<std::int64_t>(32, whole.promptLength));
    EXPECT_TRUE(std::equal(brief.ids.begin(), brief.ids.end(),
                           whole.ids.end() - static_cast<std::ptrdiff_t>(brief.ids.size()), whole.ids.end()));
}

TEST(Answers, ComparesWholeTextsFoldingCaseAndSpace)
{
    const Row row = rowOf("The answer is Paris.", "Paris");
    EXPECT_TRUE(text::answers("  the answer\nis  paris. ", row));
    EXPECT_TRUE(text::answers("paris", row));
    EXPECT_FALSE(text::answers("", row));
    EXPECT_FALSE(text::answers("Rome", row));
}

TEST(Answers, ComparesTheLastNumber)
{
    const Row row = rowOf("16 - 12 = 4", "4.0");
    EXPECT_TRUE(text::answers("She had 16 - 12 = 4. The answer is 4.", row));
    EXPECT_TRUE(text::answers("So 4 in answer3", row)); // the 3 belongs to a word
    EXPECT_FALSE(text::answers("4 and then 5", row));
    EXPECT_FALSE(text::answers("-4", row));
    EXPECT_FALSE(text::answers("no number", row));
    EXPECT_TRUE(text::answers("it is -1,234.50 in all", rowOf("x", "-1234.5")));
    EXPECT_TRUE(text::answers("10-7=3", rowOf("x", "3")));
    EXPECT_TRUE(text::answers("7-3", rowOf("x", "3"))); // a minus between terms
    EXPECT_FALSE(text::answers("12,34", rowOf("x", "1234")));
    EXPECT_TRUE(text::answers("$650", rowOf("", "650.0")));
}

TEST(Answers, ComparesTheLastWordOfTheAnswersKind)
{
    const Row choice = rowOf("the correct answer is answer2", "answer2");
    EXPECT_TRUE(text::answers("I think answer1 is wrong, so Answer2.", choice));
    EXPECT_FALSE(text::answers("answer2, not answer1", choice));
    EXPECT_FALSE(text::answers("answer12", choice));
    EXPECT_FALSE(text::answers("the answer", choice));
    const Row truth = rowOf("the correct answer is true", "true");
    EXPECT_TRUE(text::answers("It is not false, it is TRUE!", truth));
    EXPECT_FALSE(text::answers("true? no: false", truth));
    const Row letter = rowOf("B", "B");
    EXPECT_TRUE(text::answers("The answer is (B), as a rule I think", letter));
    EXPECT_FALSE(text::answers("B or C", letter));
    Row listed = rowOf("negative", "negative");
    listed.choices = {"positive", "negative"};
    EXPECT_TRUE(text::answers("negative in tone", listed));
    EXPECT_FALSE(text::answers("negative or positive", listed));
}

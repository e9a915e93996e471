// SPDX-License-Identifier: Apache-2.0
// Tokenizers against ids made by the `tokenizers` library (tests/data/tokenizer/make_vectors.py).
#include "core/base/files.h"
#include "core/base/json.h"
#include "core/base/paths.h"
#include "core/text/bpe_tokenizer.h"
#include "core/text/byte_alphabet.h"
#include "core/text/pre_tokenizer.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <sstream>

using namespace rankscope;
using text::TokenId;
using text::Tokenizer;

namespace
{

std::filesystem::path dataFolder()
{
    const char* source = std::getenv("RANKSCOPE_SOURCE");
    return std::filesystem::path(source ? source : ".") / "tests" / "data" / "tokenizer";
}

std::shared_ptr<const Tokenizer> load(const std::filesystem::path& path)
{
    auto tokenizer = Tokenizer::open(path);
    if (!tokenizer)
        throw std::runtime_error(tokenizer.error().message);
    return *tokenizer;
}

std::shared_ptr<const Tokenizer> smollm()
{
    static const auto tokenizer = load(base::defaultModel());
    return tokenizer;
}

/// Encodes every text of a vector file and compares ids and dropped bytes.
int compare(const Tokenizer& tokenizer, const std::filesystem::path& vectors)
{
    const auto content = base::readFile(vectors);
    EXPECT_TRUE(content) << vectors;
    std::istringstream lines(content.value_or(""));
    std::string line;
    int count = 0;
    int wrong = 0;
    while (std::getline(lines, line)) {
        const auto vector = base::parseJson(line);
        EXPECT_TRUE(vector) << vector.error().message;
        if (!vector)
            return count;
        const auto input = (*vector)["t"].get<std::string>();
        const auto encoding = tokenizer.encode(input);
        ++count;
        if (encoding.ids != (*vector)["i"].get<std::vector<TokenId>>() ||
            encoding.droppedBytes != (*vector)["d"].get<std::size_t>()) {
            ADD_FAILURE() << vectors.filename() << " line " << count << ": " << line << "\n ours "
                          << base::Json(encoding.ids).dump() << " dropped " << encoding.droppedBytes;
            if (++wrong == 5)
                return count;
        }
    }
    return count;
}

} // namespace

TEST(Tokenizer, AgreesWithTheReferenceOnSmolLm2)
{
    EXPECT_EQ(compare(*smollm(), dataFolder() / "smollm_vectors.jsonl"), 1800);
}

TEST(Tokenizer, AgreesWithTheReferenceOnTheOtherFamilies)
{
    for (const char* name : {"qwen2", "llama3", "phi4", "gpt2"}) {
        const auto tokenizer = load(dataFolder() / (std::string(name) + ".json"));
        EXPECT_GE(compare(*tokenizer, dataFolder() / (std::string(name) + "_vectors.jsonl")), 300) << name;
    }
}

TEST(Tokenizer, KnowsSmolLm2sSpecialTokens)
{
    EXPECT_EQ(smollm()->vocabularySize(), 49152U);
    EXPECT_EQ(smollm()->find("<|im_start|>"), 1);
    EXPECT_EQ(smollm()->endOfText(), 2);
    EXPECT_EQ(smollm()->find("no such token"), -1);
}

TEST(Tokenizer, KeepsSpecialTokensAsTextWhenAsked)
{
    const auto parsed = smollm()->encode("<|im_end|>");
    EXPECT_EQ(parsed.ids, std::vector<TokenId>{2});
    const auto plain = smollm()->encode("<|im_end|>", false);
    EXPECT_GT(plain.ids.size(), 1U);
    EXPECT_EQ(smollm()->decode(plain.ids, true), "<|im_end|>");
}

TEST(Tokenizer, LeavesSpecialTokensOutOfDecodedTextWhenAsked)
{
    const auto encoding = smollm()->encode("<|im_start|>user\nHi<|im_end|>");
    EXPECT_EQ(smollm()->decode(encoding.ids, true), "user\nHi");
    EXPECT_EQ(smollm()->decode(encoding.ids, false), "<|im_start|>user\nHi<|im_end|>");
    const std::vector<TokenId> outside{-1, 49152, 1 << 30};
    EXPECT_EQ(smollm()->decode(outside, false), "");
}

TEST(Tokenizer, CountsBytesThatTheVocabularyLacks)
{
    // 0xF1 begins a character that SmolLM2's vocabulary has no token for; the reference drops it as well.
    const auto encoding = smollm()->encode("a\xF1z");
    EXPECT_EQ(encoding.droppedBytes, 1U);
    EXPECT_EQ(smollm()->decode(encoding.ids), "az");
}

TEST(Tokenizer, KeepsInvalidUtf8ThroughARoundTrip)
{
    const auto tokenizer = load(dataFolder() / "llama3.json");
    for (const std::string bytes : {"\xFF\xFE",
                                    "a\x80"
                                    "b",
                                    "\xE6\x97", "x\xC0\xAFy \xED\xA0\x80", "\xF0\x9F\x98 12"}) {
        const auto encoding = tokenizer->encode(bytes);
        EXPECT_EQ(encoding.droppedBytes, 0U);
        EXPECT_EQ(tokenizer->decode(encoding.ids), bytes);
    }
}

TEST(Tokenizer, EncodesAVeryLongWordInReasonableTime)
{
    const std::string word(1 << 20, 'a'); // quadratic merging would take hours
    EXPECT_EQ(smollm()->decode(smollm()->encode(word).ids), word);
    const std::string blanks(1 << 20, ' ');
    EXPECT_EQ(smollm()->decode(smollm()->encode(blanks).ids), blanks);
}

TEST(Tokenizer, SplitsByTheSameRulesFromAGgufsNameAsFromTheJson)
{
    const std::string text = "I'LL pay $12345.67 for  3 cafés\r\n\n  naïve x1y22 ٣٤٥ don't\t!?\n ";
    for (const auto& [ggufName, file] :
         {std::pair{"qwen2", "qwen2.json"}, {"llama-bpe", "llama3.json"}, {"gpt-2", "gpt2.json"}}) {
        const auto named = text::PreTokenizer::fromGgufName(ggufName);
        const auto json = base::readJsonFile(dataFolder() / file);
        ASSERT_TRUE(named && json);
        const auto published = text::PreTokenizer::fromJson((*json)["pre_tokenizer"]);
        ASSERT_TRUE(published) << published.error().message;
        EXPECT_EQ(named->split(text), published->split(text)) << ggufName;
    }
    const auto digits = text::PreTokenizer::fromGgufName("smollm");
    ASSERT_TRUE(digits);
    EXPECT_EQ(digits->split("ab 12c"), (std::vector<std::string_view>{"ab", " ", "1", "2", "c"}));
}

TEST(Tokenizer, MapsEveryByteToACharacterAndBack)
{
    std::string all;
    for (int byte = 0; byte < 256; ++byte) {
        const auto& character = text::byteToCharacter(static_cast<std::uint8_t>(byte));
        EXPECT_EQ(text::charactersToBytes(character), std::string(1, static_cast<char>(byte)));
        all += character;
    }
    EXPECT_EQ(text::byteToCharacter(' '), "Ġ"); // of the published vocabularies
    EXPECT_EQ(text::byteToCharacter('\n'), "Ċ");
    EXPECT_EQ(text::charactersToBytes(all).size(), 256U);
    EXPECT_EQ(text::charactersToBytes("日"), "日"); // outside the alphabet: its own bytes
}

TEST(Tokenizer, RefusesWhatItCannotReproduce)
{
    const auto json = base::readJsonFile(dataFolder() / "llama3.json");
    ASSERT_TRUE(json);
    const auto messageOf = [&](auto change) {
        base::Json changed = *json;
        change(changed);
        const auto result = text::BpeTokenizer::fromJson(changed);
        return result ? std::string() : result.error().message;
    };
    using base::Json;
    EXPECT_EQ(messageOf([](Json&) {}), "");
    EXPECT_NE(messageOf([](Json& j) { j["model"]["type"] = "WordPiece"; }).find("WordPiece"),
              std::string::npos);
    EXPECT_NE(messageOf([](Json& j) { j["model"]["byte_fallback"] = true; }).find("byte_fallback"),
              std::string::npos);
    EXPECT_NE(messageOf([](Json& j) { j["model"]["dropout"] = 0.1; }).find("dropout"), std::string::npos);
    EXPECT_NE(messageOf([](Json& j) {
                  j["model"]["merges"].push_back({"no", "such"});
              }).find("no such"),
              std::string::npos);
    EXPECT_NE(messageOf([](Json& j) { j["model"]["vocab"]["zzz"] = 5U; }).find("same id"), std::string::npos);
    EXPECT_NE(messageOf([](Json& j) { j["model"]["vocab"]["zzz"] = 4'000'000'000U; }).find("zzz"),
              std::string::npos);
    EXPECT_NE(messageOf([](Json& j) {
                  j["normalizer"] = {{"type", "Lowercase"}};
              }).find("Lowercase"),
              std::string::npos);
    EXPECT_NE(messageOf([](Json& j) {
                  j["pre_tokenizer"] = {{"type", "Metaspace"}};
              }).find("Metaspace"),
              std::string::npos);
    EXPECT_NE(messageOf([](Json& j) {
                  j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(";
              }).find("does not compile"),
              std::string::npos);
    EXPECT_FALSE(text::PreTokenizer::fromGgufName("tekken"));
    const auto missing = Tokenizer::open("/no/such/model");
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().message.find("/no/such/model"), std::string::npos);
}

TEST(Tokenizer, SurvivesAPatternThatBacktracksWithoutEnd)
{
    const auto splitter = text::PreTokenizer::fromJson(*base::parseJson(
        R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(a+)+$"},"behavior":"Isolated"},)"
        R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})"));
    ASSERT_TRUE(splitter) << splitter.error().message;
    const std::string text = std::string(60, 'a') + "b";
    std::string joined;
    for (const auto piece : splitter->split(text))
        joined += piece;
    EXPECT_EQ(joined, text);
}

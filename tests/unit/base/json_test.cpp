// SPDX-License-Identifier: Apache-2.0
#include "core/base/json.h"

#include "tests/unit/record/temporary_folder.h"

#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <rapidcheck/gtest.h>

namespace rankscope::base
{
namespace
{

std::string errorOf(const Result<Json>& json)
{
    return json ? "accepted: " + json->dump() : json.error().message;
}

/// Valid UTF-8 of one to four bytes a character, with what JSON must escape.
rc::Gen<std::string> anyText()
{
    return rc::gen::map(
        rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(std::vector<std::string>{
            "a", "Z", "\"", "\\", "/", "\n", "\x01", "\x7F", "{", "[", "]", "é", "日", "\U0001F600", " "})),
        [](const std::vector<std::string>& parts) {
            std::string text;
            for (const auto& part : parts)
                text += part;
            return text;
        });
}

Json anyJson(int depth)
{
    switch (*rc::gen::inRange(0, depth > 0 ? 8 : 6)) {
    case 0:
        return nullptr;
    case 1:
        return *rc::gen::arbitrary<bool>();
    case 2:
        return *rc::gen::arbitrary<std::int64_t>();
    case 3:
        return *rc::gen::arbitrary<std::uint64_t>();
    case 4:
        return *rc::gen::arbitrary<double>();
    case 5:
        return *anyText();
    case 6: {
        Json list = Json::array();
        for (int count = *rc::gen::inRange(0, 5); count > 0; --count)
            list.push_back(anyJson(depth - 1));
        return list;
    }
    default: {
        Json object = Json::object();
        for (int count = *rc::gen::inRange(0, 5); count > 0; --count)
            object[*anyText()] = anyJson(depth - 1);
        return object;
    }
    }
}

TEST(Json, ReadsEveryKindOfValue)
{
    const auto json = parseJson(R"( {"a": [1, -2, 2.5, true, null, "xé\n"]} )");
    ASSERT_TRUE(json) << json.error().message;
    EXPECT_EQ((*json)["a"][0].get<int>(), 1);
    EXPECT_EQ((*json)["a"][1].get<int>(), -2);
    EXPECT_EQ((*json)["a"][2].get<double>(), 2.5);
    EXPECT_TRUE((*json)["a"][3].get<bool>());
    EXPECT_TRUE((*json)["a"][4].is_null());
    EXPECT_EQ((*json)["a"][5].get<std::string>(), "x\xC3\xA9\n");
}

/// Which of the two values counts differs between readers.
TEST(Json, RefusesAKeyThatItsObjectHasTwice)
{
    for (const char* text :
         {R"({"a": 1, "a": 1})", R"({"a": {"b": {}}, "a": []})",
          R"([{"b": 1}, {"a": 1, "b": {"a": 2, "a": 3}}])", R"({"b": 1, "a": ":", "\u0061": 2})"}) {
        EXPECT_EQ(errorOf(parseJson(text)), "the key 'a' stands twice in one JSON object") << text;
        EXPECT_FALSE(parseOrderedJson(text)) << text;
    }
    for (const char* text :
         {R"({"a": {"a": {"a": ":"}}, ":": "\":"})", R"([{"a": 1}, {"a": 1}])", R"("a: b: c")"})
        EXPECT_TRUE(parseJson(text)) << text;
}

TEST(Json, KeepsTheOrderOfKeysWhereAsked)
{
    const auto json = parseOrderedJson(R"({"b": 1, "a": 2, "c": 3})");
    ASSERT_TRUE(json);
    std::string keys;
    for (const auto& item : json->items())
        keys += item.key();
    EXPECT_EQ(keys, "bac");
}

TEST(Json, ErrorsNameLineAndColumn)
{
    const auto at = [](const std::string& text, const std::string& place) {
        const std::string message = errorOf(parseJson(text));
        EXPECT_NE(message.find("at " + place + ":"), std::string::npos) << text << "\n" << message;
    };
    at("{\"a\" 1}", "column 6");
    at("[1,\n 2,\n\n  oops]", "line 4, column 3");
    at("[1,\n]", "line 2, column 1");
    at("[\"tab\tinside\"]", "column 6");
    at("[\n\"\xFF\"]", "line 2, column 2");
    at("[1, 1e999]", "column 9"); // the last digit of the number
    at("\n\n-1e999", "line 3, column 6");
    at(std::string("{}\n\0", 4), "line 2, column 1");
    at("1 2", "column 3");
}

TEST(Json, ErrorsSayWhatIsWrongInOneSentence)
{
    EXPECT_NE(errorOf(parseJson("{\"a\" 1}")).find("expected ':'"), std::string::npos);
    EXPECT_NE(errorOf(parseJson("[\"a: b\", tru]")).find("invalid literal"), std::string::npos);
    EXPECT_NE(errorOf(parseJson("1e999")).find("too large"), std::string::npos);
    // A message does not repeat the file: this one is a single text that never ends, of bytes or digits.
    EXPECT_LT(errorOf(parseJson('"' + std::string(1'000'000, 'x'))).size(), 300U);
    EXPECT_LT(errorOf(parseJson(std::string(1'000'000, '9') + "e999")).size(), 300U);
}

TEST(Json, NothingFollowsTheValue)
{
    EXPECT_FALSE(parseJson(""));
    EXPECT_FALSE(parseJson("{} {}"));
    EXPECT_FALSE(parseJson(std::string("{}\0{", 4)));
    EXPECT_FALSE(parseJson(std::string("{}\0\0\0\0", 6))); // the end of a file that lost power
    EXPECT_FALSE(parseOrderedJson(std::string("{}\0", 3)));
    EXPECT_FALSE(parseJson("{'a': 1}"));
    EXPECT_FALSE(parseJson("[NaN]"));
    EXPECT_FALSE(parseJson("[1] // comment"));
}

TEST(Json, TheDepthLimitIsExact)
{
    for (const int limit : {1, 2, 8, 64}) {
        const auto count = static_cast<std::size_t>(limit);
        const auto nested = [](std::size_t depth) {
            return std::string(depth, '[') + std::string(depth, ']');
        };
        std::string objects = "0";
        for (std::size_t i = 0; i < count; ++i)
            objects = "{\"a\":" + objects + "}";
        EXPECT_TRUE(parseJson(nested(count), limit));
        EXPECT_FALSE(parseJson(nested(count + 1), limit));
        EXPECT_TRUE(parseJson(objects, limit));
        EXPECT_FALSE(parseJson("[" + objects + "]", limit));
        EXPECT_TRUE(parseOrderedJson(objects, limit));
        EXPECT_FALSE(parseOrderedJson("[" + objects + "]", limit));
    }
    EXPECT_TRUE(parseJson("1", 0));
    EXPECT_FALSE(parseJson("[]", 0));
    EXPECT_NE(errorOf(parseJson("[1,\n [[]]]", 2)).find("line 2, column 3"), std::string::npos);
    // Far beyond what a recursive reader's stack would bear.
    EXPECT_FALSE(parseJson(std::string(10'000'000, '[')));
}

TEST(Json, BracketsInTextsDoNotCountAsDepth)
{
    EXPECT_TRUE(parseJson(R"(["[[[[{{{{", "\"[[[[", "\\", "[["])", 1));
    EXPECT_FALSE(parseJson(R"(["\\", []])", 1)); // the backslash is escaped, so the text ends
    EXPECT_TRUE(parseJson(R"([[], [], {}, [], {}])", 2));
}

TEST(Json, FilesAreNamedInErrors)
{
    const test::TemporaryFolder folder;
    std::ofstream(folder / "a.json") << "{\"a\": [1]}";
    ASSERT_TRUE(readJsonFile(folder / "a.json"));
    EXPECT_FALSE(readJsonFile(folder / "a.json", 9));
    EXPECT_TRUE(readJsonFile(folder / "a.json", 10));
    std::ofstream(folder / "b.json") << "{";
    for (const char* name : {"b.json", "missing.json"})
        EXPECT_NE(errorOf(readJsonFile(folder / name)).find((folder / name).string()), std::string::npos);
    EXPECT_FALSE(readJsonFile(folder.path()));
}

RC_GTEST_PROP(JsonProperty, WhatIsWrittenIsReadBack, ())
{
    const Json json = anyJson(4);
    for (const int indent : {-1, 0, 2}) {
        const auto read = parseJson(json.dump(indent));
        RC_ASSERT(read.has_value());
        RC_ASSERT(*read == json);
        // Equality of JSON takes 1 for 1.0; the text does not.
        RC_ASSERT(read->dump() == json.dump());
    }
}

RC_GTEST_PROP(JsonProperty, RandomBytesGiveAValueOrASentence, (const std::string& bytes))
{
    // Some of these characters make it more likely that parsing gets anywhere.
    const auto frequent =
        *rc::gen::container<std::string>(rc::gen::elementOf(std::string("{}[]\",:\\u019eE+-. truefalsn\n")));
    for (const std::string& text : {bytes, frequent, frequent + bytes}) {
        const auto json = parseJson(text);
        if (json) {
            RC_ASSERT(parseJson(json->dump()).has_value());
        } else {
            RC_ASSERT(json.error().message.find("JSON") != std::string::npos);
        }
        RC_ASSERT(parseOrderedJson(text).has_value() == json.has_value());
    }
}

} // namespace
} // namespace rankscope::base

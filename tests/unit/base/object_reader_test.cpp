// SPDX-License-Identifier: Apache-2.0
#include "core/base/json.h"

#include <gtest/gtest.h>
#include <limits>

namespace rankscope::base
{
namespace
{

constexpr std::int64_t smallest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();

std::string errorOf(const Status& status)
{
    return status ? std::string("no error") : status.error().message;
}

Json parsed(const std::string& text)
{
    const auto json = parseJson(text);
    EXPECT_TRUE(json) << json.error().message;
    return json.value_or(Json());
}

std::string integerError(const std::string& text, std::int64_t minimum, std::int64_t maximum)
{
    const Json json = parsed("{\"n\": " + text + "}");
    std::int64_t value = 42;
    const auto status = ObjectReader(json, "").integer("n", value, minimum, maximum).finish();
    EXPECT_EQ(value == 42, !status) << "only a value that is accepted may be taken over";
    return errorOf(status);
}

std::string numberError(const std::string& text, double minimum, double maximum)
{
    const Json json = parsed("{\"n\": " + text + "}");
    double value = 42;
    const auto status = ObjectReader(json, "").number("n", value, minimum, maximum).finish();
    EXPECT_EQ(value == 42, !status) << "only a value that is accepted may be taken over";
    return errorOf(status);
}

TEST(ObjectReader, TakesWhatIsThereAndKeepsTheRest)
{
    const Json json = parsed(R"({"text": "a", "number": 0.5, "integer": -3, "flag": true, "list": ["b", "c"],
                                 "choice": "two", "inner": {"x": 1}, "free": [1]})");
    std::string text = "old";
    std::string absent = "kept";
    std::string choice = "one";
    double number = 0;
    std::int64_t integer = 0;
    bool flag = false;
    std::vector<std::string> list{"old"};
    ObjectReader reader(json, "");
    reader.text("text", text)
        .text("absent", absent)
        .number("number", number, 0, 1)
        .integer("integer", integer, -3, -3)
        .boolean("flag", flag)
        .texts("list", list)
        .choice("choice", choice, {"one", "two"});
    ASSERT_TRUE(reader.object("inner"));
    ASSERT_TRUE(reader.any("free"));
    EXPECT_EQ(reader.object("nowhere"), nullptr);
    EXPECT_EQ(reader.any("nothing"), nullptr);
    EXPECT_TRUE(reader.finish()) << errorOf(reader.finish());
    EXPECT_EQ(text, "a");
    EXPECT_EQ(absent, "kept");
    EXPECT_EQ(number, 0.5);
    EXPECT_EQ(integer, -3);
    EXPECT_TRUE(flag);
    EXPECT_EQ(list, (std::vector<std::string>{"b", "c"}));
    EXPECT_EQ(choice, "two");
    EXPECT_EQ((*reader.object("inner"))["x"].get<int>(), 1);
}

TEST(ObjectReader, BoundsOfNumbersAreInclusive)
{
    EXPECT_EQ(numberError("0", 0, 1), "no error");
    EXPECT_EQ(numberError("1.0", 0, 1), "no error");
    EXPECT_EQ(numberError("-0.25", -0.25, 1), "no error");
    EXPECT_EQ(numberError("1.0000001", 0, 1).find("n is 1.0000001, but must lie between 0"), 0U);
    EXPECT_NE(numberError("-1e-9", 0, 1), "no error");
    EXPECT_NE(numberError("18446744073709551615", 0, 1e19), "no error");
    EXPECT_EQ(numberError("\"1\"", 0, 1), "n must be a number");
    EXPECT_EQ(numberError("null", 0, 1), "n must be a number");
    EXPECT_EQ(numberError("true", 0, 1), "n must be a number");
}

TEST(ObjectReader, BoundsOfWholeNumbersAreInclusiveUpToTheExtremes)
{
    EXPECT_EQ(integerError("7", 7, 7), "no error");
    EXPECT_EQ(integerError("8", 7, 7), "n is 8, but must lie between 7 and 7");
    EXPECT_EQ(integerError("6", 7, 7), "n is 6, but must lie between 7 and 7");
    EXPECT_EQ(integerError("9223372036854775807", smallest, largest), "no error");
    EXPECT_EQ(integerError("-9223372036854775808", smallest, largest), "no error");
    EXPECT_NE(integerError("9223372036854775807", smallest, largest - 1), "no error");
    EXPECT_NE(integerError("-9223372036854775808", smallest + 1, largest), "no error");
    // As a signed number each of these would be negative.
    for (const char* unsignedOnly : {"9223372036854775808", "18446744073709551615"})
        EXPECT_EQ(integerError(unsignedOnly, smallest, largest).find("n is " + std::string(unsignedOnly)),
                  0U);
    EXPECT_NE(integerError("18446744073709551615", smallest, -1), "no error");
}

TEST(ObjectReader, OnlyWholeNumbersAreWhole)
{
    // Beyond 64 bits JSON's numbers become doubles.
    for (const char* other : {"1.0", "1e3", "\"1\"", "true", "null", "[1]", "18446744073709551616"})
        EXPECT_EQ(integerError(other, smallest, largest), "n must be a whole number") << other;
}

TEST(ObjectReader, WrongTypesNameThePath)
{
    const Json json = parsed(R"({"a": 1, "list": ["x", 2]})");
    std::string text;
    bool flag = false;
    std::vector<std::string> list{"old"};
    EXPECT_EQ(errorOf(ObjectReader(json, "top").text("a", text).finishLenient()), "top.a must be a text");
    EXPECT_EQ(errorOf(ObjectReader(json, "top").boolean("a", flag).finishLenient()),
              "top.a must be true or false");
    EXPECT_EQ(errorOf(ObjectReader(json, "top").texts("a", list).finishLenient()),
              "top.a must be a list of texts");
    EXPECT_EQ(errorOf(ObjectReader(json, "top").texts("list", list).finishLenient()),
              "top.list must be a list of texts");
    EXPECT_EQ(list, std::vector<std::string>{"old"});
    ObjectReader reader(json, "top");
    EXPECT_EQ(reader.object("a"), nullptr);
    EXPECT_EQ(errorOf(reader.finishLenient()), "top.a must be a JSON object");
}

TEST(ObjectReader, ChoicesAreListed)
{
    const Json json = parsed(R"({"a": "three", "b": 1})");
    std::string value = "one";
    EXPECT_EQ(errorOf(ObjectReader(json, "").choice("a", value, {"one", "two"}).finishLenient()),
              "a is 'three', but must be one of: one, two");
    EXPECT_EQ(errorOf(ObjectReader(json, "").choice("b", value, {"one", "two"}).finishLenient()),
              "b must be a text");
    EXPECT_EQ(value, "one");
    EXPECT_TRUE(ObjectReader(json, "").choice("absent", value, {"one", "two"}).finishLenient());
    EXPECT_EQ(value, "one");
}

TEST(ObjectReader, KeysNobodyAskedForAreErrors)
{
    const Json json = parsed(R"({"known": "a", "typo": 1})");
    std::string text;
    ObjectReader reader(json, "training");
    reader.text("known", text).text("other", text);
    EXPECT_EQ(errorOf(reader.finish()), "training.typo is not a known field; known here: known, other");
    EXPECT_TRUE(reader.finishLenient());
    reader.any("typo");
    EXPECT_TRUE(reader.finish());
}

TEST(ObjectReader, RequiredKeysMustBeThere)
{
    const Json json = parsed(R"({"here": null})");
    EXPECT_EQ(errorOf(ObjectReader(json, "a.b").require("here").require("gone").finish()),
              "a.b.gone is missing");
    EXPECT_TRUE(ObjectReader(json, "").require("here").finish());
}

TEST(ObjectReader, PathsAreNested)
{
    const Json json = parsed(R"({"training": {"optimizer": {"beta": 2}}})");
    ObjectReader top(json, "");
    EXPECT_EQ(top.pathOf("training"), "training");
    const Json* training = top.object("training");
    ASSERT_TRUE(training);
    ObjectReader inner(*training, top.pathOf("training"));
    const Json* optimizer = inner.object("optimizer");
    ASSERT_TRUE(optimizer);
    double beta = 0;
    ObjectReader innermost(*optimizer, inner.pathOf("optimizer"));
    EXPECT_EQ(errorOf(innermost.number("beta", beta, 0, 1).finish()).find("training.optimizer.beta is 2"),
              0U);
}

TEST(ObjectReader, TheFirstErrorWins)
{
    const Json json = parsed(R"({"a": 1, "b": 2, "unknown": 3})");
    std::string text;
    bool flag = false;
    ObjectReader reader(json, "");
    reader.boolean("b", flag).text("a", text).require("c");
    EXPECT_EQ(errorOf(reader.finish()), "b must be true or false");
    EXPECT_EQ(errorOf(reader.finishLenient()), "b must be true or false");
}

TEST(ObjectReader, WhatIsNoObjectIsOneError)
{
    for (const char* other : {"null", "[]", "1", "\"a\"", "[{\"a\": 1}]"}) {
        const Json json = parsed(other);
        std::string text = "kept";
        ObjectReader top(json, "");
        EXPECT_EQ(errorOf(top.text("a", text).require("a").finish()), "the file must be a JSON object");
        EXPECT_EQ(errorOf(ObjectReader(json, "model").finishLenient()), "model must be a JSON object");
        EXPECT_EQ(text, "kept");
    }
}

} // namespace
} // namespace rankscope::base

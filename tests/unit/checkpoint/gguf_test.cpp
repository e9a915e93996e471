// SPDX-License-Identifier: Apache-2.0
// GGUF: a file of the gguf package, and files built here byte by byte with one false claim each.
#include "core/checkpoint/gguf.h"
#include "tests/unit/checkpoint/gguf_builder.h"

#include <cstdlib>
#include <functional>
#include <gtest/gtest.h>

using namespace rankscope;
using namespace rankscope::checkpoint;
using Builder = checkpoint::test::GgufBuilder;

namespace
{

Result<GgufFile> parse(const std::string& bytes)
{
    return GgufFile::parse(std::as_bytes(std::span(bytes)), nullptr, "test");
}

std::string errorOf(const Builder& builder)
{
    const auto file = parse(builder.bytes);
    return file ? std::string("no error") : file.error().message;
}

testing::AssertionResult says(const Builder& builder, const std::string& part)
{
    const std::string message = errorOf(builder);
    if (message.find(part) != std::string::npos)
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << "'" << message << "' does not say '" << part << "'";
}

constexpr std::uint64_t huge = ~std::uint64_t{0};

} // namespace

TEST(Gguf, ReadsAFileOfTheReferenceLibrary)
{
    const char* source = std::getenv("RANKSCOPE_SOURCE");
    ASSERT_TRUE(source) << "run this test with ctest";
    const auto file = GgufFile::open(std::filesystem::path(source) / "tests/data/checkpoint/tiny-llama.gguf");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->version(), 3U);
    ASSERT_TRUE(file->text("general.architecture"));
    EXPECT_EQ(*file->text("general.architecture"), "llama");
    EXPECT_EQ(file->integer("llama.embedding_length"), 256);
    EXPECT_EQ(file->number("llama.rope.freq_base"), 50000.0);
    EXPECT_EQ(file->boolean("test.flag"), true);
    EXPECT_EQ(file->integers("test.integers"), (std::vector<std::int64_t>{3, -1, 2}));
    EXPECT_EQ(std::get<std::vector<double>>(file->metadata().at("test.floats")),
              (std::vector<double>{0.5, -2.0}));
    EXPECT_FALSE(file->integer("general.architecture"));
    EXPECT_FALSE(file->has("nothing"));
    EXPECT_EQ(file->tensors().size(), 11U);
    EXPECT_EQ(file->tensors().at("blk.0.ffn_down.weight").shape, (std::vector<std::int64_t>{256, 32}));
    EXPECT_EQ(file->tensors().at("blk.0.ffn_down.weight").dtype, DType::Q4_1);
}

TEST(Gguf, ReadsEveryTypeOfMetadata)
{
    Builder b;
    b.head(2, 0, 15);
    b.text("u8").put(0U).put(std::uint8_t{200});
    b.text("i8").put(1U).put(std::int8_t{-3});
    b.text("u16").put(2U).put(std::uint16_t{60000});
    b.text("i16").put(3U).put(std::int16_t{-300});
    b.text("u32").put(4U).put(std::uint32_t{4'000'000'000U});
    b.text("i32").put(5U).put(std::int32_t{-5});
    b.text("f32").put(6U).put(0.5F);
    b.text("bool").put(7U).put(std::uint8_t{1});
    b.text("text").put(8U).text("hi");
    b.text("texts").put(9U).put(8U).put(std::uint64_t{2}).text("a").text("");
    b.text("bools").put(9U).put(7U).put(std::uint64_t{2}).put(std::uint8_t{0}).put(std::uint8_t{1});
    b.text("u64").put(10U).put(huge);
    b.text("i64").put(11U).put(std::int64_t{-9});
    b.text("f64").put(12U).put(0.25);
    b.text("bytes").put(9U).put(0U).put(std::uint64_t{1}).put(std::uint8_t{9});
    const auto file = parse(b.bytes);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->integer("u8"), 200);
    EXPECT_EQ(file->integer("i8"), -3);
    EXPECT_EQ(file->integer("u16"), 60000);
    EXPECT_EQ(file->integer("i16"), -300);
    EXPECT_EQ(file->integer("u32"), 4'000'000'000);
    EXPECT_EQ(file->integer("i32"), -5);
    EXPECT_EQ(file->integer("i64"), -9);
    EXPECT_FALSE(file->integer("u64")); // does not fit
    EXPECT_EQ(std::get<std::uint64_t>(file->metadata().at("u64")), huge);
    EXPECT_EQ(file->number("f32"), 0.5);
    EXPECT_EQ(file->number("f64"), 0.25);
    EXPECT_EQ(file->boolean("bool"), true);
    EXPECT_EQ(*file->texts("texts"), (std::vector<std::string>{"a", ""}));
    EXPECT_EQ(std::get<std::vector<bool>>(file->metadata().at("bools")), (std::vector<bool>{false, true}));
    EXPECT_EQ(file->integers("bytes"), std::vector<std::int64_t>{9});
}

TEST(Gguf, RefusesEveryFalseClaim)
{
    EXPECT_TRUE(says(Builder{"GGML"}, "does not begin"));
    EXPECT_TRUE(says(Builder{}, "does not begin"));
    EXPECT_TRUE(says(Builder().head(1, 0, 0), "version is 1"));
    EXPECT_TRUE(says(Builder().head(0x03000000, 0, 0), "little-endian"));
    EXPECT_EQ(errorOf(Builder().head(3, 0, 0)), "no error");
    EXPECT_TRUE(says(Builder().head(3, huge, 0), "more entries"));
    EXPECT_TRUE(says(Builder().head(3, 0, huge), "more entries"));
    const auto value = [](std::uint32_t type) {
        Builder b;
        b.head(3, 0, 1).text("key").put(type);
        return b;
    };
    EXPECT_TRUE(says(value(99).put(0U), "unknown type 99"));
    EXPECT_TRUE(says(value(8).put(huge), "incomplete"));
    EXPECT_TRUE(says(value(9).put(4U).put(huge), "more than the file holds"));
    EXPECT_TRUE(says(value(9).put(8U).put(huge), "more than the file holds"));
    EXPECT_TRUE(says(value(9).put(8U).put(std::uint64_t{1}).put(huge), "incomplete"));
    EXPECT_TRUE(says(value(9).put(9U).put(std::uint64_t{1}), "array of arrays"));
    EXPECT_TRUE(says(value(9).put(77U).put(std::uint64_t{1}), "unknown type 77"));
    EXPECT_TRUE(says(Builder().head(3, 0, 2).text("k").put(7U).put('a').text("k").put(7U).put('a'), "twice"));
    for (const std::uint32_t alignment : {0U, 3U, 1U << 31})
        EXPECT_TRUE(
            says(Builder().head(3, 0, 1).text("general.alignment").put(4U).put(alignment), "power of two"));

    const auto tensor = [](const std::vector<std::uint64_t>& lengths, std::uint32_t type,
                           std::uint64_t offset) {
        Builder b;
        b.head(3, 1, 0).tensor("t", lengths, type, offset);
        return b.data(128);
    };
    EXPECT_EQ(errorOf(tensor({32}, 0, 0)), "no error");
    EXPECT_EQ(errorOf(tensor({32}, 2, 32)), "no error");
    EXPECT_TRUE(says(tensor({33}, 0, 0), "past the end"));
    EXPECT_TRUE(says(tensor({32}, 0, 32), "past the end"));
    EXPECT_TRUE(says(tensor({32}, 0, 4), "alignment"));
    EXPECT_TRUE(says(tensor({32}, 0, huge - 31), "past the end"));
    EXPECT_TRUE(says(tensor({33}, 2, 0), "blocks of 32"));
    EXPECT_TRUE(says(tensor({1, 2, 3, 4, 5}, 0, 0), "5 dimensions"));
    EXPECT_TRUE(says(tensor({}, 0, 0), "0 dimensions"));
    EXPECT_TRUE(says(tensor({std::uint64_t{1} << 62, 2}, 0, 0), "too large"));
    EXPECT_TRUE(says(tensor({std::uint64_t{1} << 62}, 28, 0), "too large"));
    EXPECT_TRUE(says(tensor({32}, 13, 0), "Q5_K"));
    EXPECT_TRUE(says(tensor({32}, 1234, 0), "1234"));

    Builder overlap;
    overlap.head(3, 2, 0).tensor("a", {16}, 0, 0).tensor("b", {8}, 0, 32).data(128);
    EXPECT_TRUE(says(overlap, "overlap"));
    Builder twice;
    twice.head(3, 2, 0).tensor("a", {8}, 0, 0).tensor("a", {8}, 0, 32).data(128);
    EXPECT_TRUE(says(twice, "twice"));
}

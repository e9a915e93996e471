// SPDX-License-Identifier: Apache-2.0
// Decoding against the gguf package (tests/data/checkpoint/make_vectors.py) and the compiler's own half
// precision.
#include "core/checkpoint/safetensors.h"
#include "core/checkpoint/tensor.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>

using namespace rankscope;
using namespace rankscope::checkpoint;

namespace
{

std::filesystem::path dataFolder()
{
    const char* source = std::getenv("RANKSCOPE_SOURCE");
    return std::filesystem::path(source ? source : ".") / "tests" / "data" / "checkpoint";
}

TensorView viewOf(DType dtype, std::span<const std::uint16_t> values)
{
    return {"t", dtype, {static_cast<std::int64_t>(values.size())}, std::as_bytes(values), nullptr};
}

} // namespace

TEST(Tensor, DecodesQuantisedBlocksAsTheReferenceDoes)
{
    const auto file = SafetensorsFile::open(dataFolder() / "blocks.safetensors");
    ASSERT_TRUE(file) << file.error().message;
    for (const DType type : {DType::Q8_0, DType::Q4_0, DType::Q4_1, DType::Q4_K, DType::Q6_K}) {
        const TensorView* blocks = file->find(name(type) + ".blocks");
        const TensorView* expected = file->find(name(type) + ".values");
        ASSERT_TRUE(blocks && expected) << name(type);
        const TensorView view{name(type), type, expected->shape, blocks->bytes, nullptr};
        std::vector<float> values(static_cast<std::size_t>(expected->elements()));
        const auto status = decode(view, values);
        ASSERT_TRUE(status) << status.error().message;
        std::vector<float> reference(values.size());
        std::memcpy(reference.data(), expected->bytes.data(), expected->bytes.size());
        for (std::size_t i = 0; i < values.size(); ++i)
            ASSERT_EQ(values[i], reference[i]) << name(type) << " value " << i;
    }
}

TEST(Tensor, DecodesEveryHalfPrecisionNumber)
{
    std::vector<std::uint16_t> all(65536);
    for (std::size_t i = 0; i < all.size(); ++i)
        all[i] = static_cast<std::uint16_t>(i);
    std::vector<float> values(all.size());
    ASSERT_TRUE(decode(viewOf(DType::F16, all), values));
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto expected = static_cast<float>(std::bit_cast<_Float16>(all[i]));
        if (std::isnan(expected))
            ASSERT_TRUE(std::isnan(values[i])) << i;
        else
            ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected)) << i;
    }
    ASSERT_TRUE(decode(viewOf(DType::BF16, all), values));
    EXPECT_EQ(values[0x3F80], 1.0F); // sign and exponent of float32
    EXPECT_EQ(values[0xC000], -2.0F);
    EXPECT_TRUE(std::isinf(values[0x7F80]));
}

TEST(Tensor, RefusesTypesAndSizesThatDoNotFit)
{
    std::vector<std::uint16_t> two{1, 2};
    std::vector<float> values(2);
    TensorView view = viewOf(DType::F16, two);
    EXPECT_FALSE(decode(view, std::span(values).first(1)));
    view.dtype = DType::I16;
    const auto integer = decode(view, values);
    ASSERT_FALSE(integer);
    EXPECT_NE(integer.error().message.find("I16"), std::string::npos);
    view.dtype = DType::F32; // twice the bytes would be needed
    EXPECT_FALSE(decode(view, values));
    view.dtype = DType::Q8_0; // two values are no block
    EXPECT_FALSE(decode(view, values));
}

TEST(Tensor, NamesAndSizesOfTypes)
{
    EXPECT_EQ(name(DType::Bool), "BOOL");
    EXPECT_EQ(name(DType::Q4_K), "Q4_K");
    EXPECT_EQ(blockElements(DType::F32), 1U);
    EXPECT_EQ(blockBytes(DType::Q4_1), 20U);
    EXPECT_EQ(blockBytes(DType::Q6_K), 210U);
    EXPECT_EQ(blockBytes(DType::Q4_K), 144U);
    EXPECT_EQ(blockElements(DType::Q6_K), 256U);
    EXPECT_EQ((TensorView{"x", DType::F32, {2, 3, 4}, {}, nullptr}).elements(), 24);
    EXPECT_EQ((TensorView{"x", DType::F32, {}, {}, nullptr}).elements(), 1);
}

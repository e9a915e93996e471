// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/tensor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace rankscope::checkpoint
{
namespace
{

static_assert(std::endian::native == std::endian::little,
              "safetensors and GGUF are read as they lie in memory");

constexpr std::size_t smallBlock = 32;  ///< Q8_0, Q4_0, Q4_1
constexpr std::size_t superBlock = 256; ///< Q4_K, Q6_K

struct Traits {
    const char* name;
    std::size_t elements;
    std::size_t bytes;
};

Traits traits(DType dtype)
{
    switch (dtype) {
    case DType::F64:
        return {"F64", 1, 8};
    case DType::F32:
        return {"F32", 1, 4};
    case DType::F16:
        return {"F16", 1, 2};
    case DType::BF16:
        return {"BF16", 1, 2};
    case DType::I64:
        return {"I64", 1, 8};
    case DType::I32:
        return {"I32", 1, 4};
    case DType::I16:
        return {"I16", 1, 2};
    case DType::I8:
        return {"I8", 1, 1};
    case DType::U8:
        return {"U8", 1, 1};
    case DType::Bool:
        return {"BOOL", 1, 1};
    case DType::Q8_0:
        return {"Q8_0", smallBlock, 2 + 32};
    case DType::Q4_0:
        return {"Q4_0", smallBlock, 2 + 16};
    case DType::Q4_1:
        return {"Q4_1", smallBlock, 2 + 2 + 16};
    case DType::Q4_K:
        return {"Q4_K", superBlock, 2 + 2 + 12 + 128};
    case DType::Q6_K:
        return {"Q6_K", superBlock, 128 + 64 + 16 + 2};
    }
    return {"?", 1, 1};
}

template <typename T>
T load(const std::byte* from)
{
    T value;
    std::memcpy(&value, from, sizeof value); // files align to their own rules, not to the type's
    return value;
}

float halfToFloat(std::uint16_t half)
{
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
    const std::uint32_t exponent = (half >> 10) & 0x1FU;
    const std::uint32_t mantissa = half & 0x3FFU;
    if (exponent == 0) { // zero and subnormals: mantissa * 2^-24, exact in float
        const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
        return sign ? -magnitude : magnitude;
    }
    if (exponent == 31)
        return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
    return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
}

float loadHalf(const std::byte* from)
{
    return halfToFloat(load<std::uint16_t>(from));
}

std::uint8_t loadByte(const std::byte* from)
{
    return std::to_integer<std::uint8_t>(*from);
}

void decodeQ8_0(const std::byte* block, float* out)
{
    const float scale = loadHalf(block);
    for (std::size_t i = 0; i < smallBlock; ++i)
        out[i] = scale * static_cast<float>(load<std::int8_t>(block + 2 + i));
}

void decodeQ4_0(const std::byte* block, float* out)
{
    const float scale = loadHalf(block);
    for (std::size_t i = 0; i < smallBlock / 2; ++i) {
        const std::uint8_t pair = loadByte(block + 2 + i);
        out[i] = scale * static_cast<float>((pair & 0x0F) - 8);
        out[i + smallBlock / 2] = scale * static_cast<float>((pair >> 4) - 8);
    }
}

void decodeQ4_1(const std::byte* block, float* out)
{
    const float scale = loadHalf(block);
    const float minimum = loadHalf(block + 2);
    for (std::size_t i = 0; i < smallBlock / 2; ++i) {
        const std::uint8_t pair = loadByte(block + 4 + i);
        out[i] = scale * static_cast<float>(pair & 0x0F) + minimum;
        out[i + smallBlock / 2] = scale * static_cast<float>(pair >> 4) + minimum;
    }
}

/// Eight sub-blocks of 32 values; their 6-bit scales and minima share twelve bytes.
void decodeQ4_K(const std::byte* block, float* out)
{
    const float scale = loadHalf(block);
    const float minimum = loadHalf(block + 2);
    std::array<std::uint8_t, 12> packed{};
    for (std::size_t i = 0; i < packed.size(); ++i)
        packed[i] = loadByte(block + 4 + i);
    const std::byte* nibbles = block + 16;
    for (std::size_t sub = 0; sub < 8; ++sub) {
        unsigned subScale = 0;
        unsigned subMinimum = 0;
        if (sub < 4) {
            subScale = packed[sub] & 63U;
            subMinimum = packed[sub + 4] & 63U;
        } else {
            subScale = (packed[sub + 4] & 0x0FU) | ((packed[sub - 4] >> 6U) << 4U);
            subMinimum = (packed[sub + 4] >> 4U) | ((packed[sub] >> 6U) << 4U);
        }
        const float d = scale * static_cast<float>(subScale);
        const float m = minimum * static_cast<float>(subMinimum);
        const std::byte* from = nibbles + (sub / 2) * 32;
        for (std::size_t i = 0; i < 32; ++i) {
            const std::uint8_t pair = loadByte(from + i);
            out[sub * 32 + i] = d * static_cast<float>(sub % 2 == 0 ? pair & 0x0F : pair >> 4) - m;
        }
    }
}

/// Low four bits, high two bits, and a signed 8-bit scale for every 16 values.
void decodeQ6_K(const std::byte* block, float* out)
{
    const float scale = loadHalf(block + 208);
    for (std::size_t half = 0; half < 2; ++half) {
        const std::byte* low = block + half * 64;
        const std::byte* high = block + 128 + half * 32;
        const std::byte* scales = block + 192 + half * 8;
        for (std::size_t quarter = 0; quarter < 4; ++quarter) {
            for (std::size_t i = 0; i < 32; ++i) {
                const std::uint8_t pair = loadByte(low + (quarter % 2) * 32 + i);
                const int lowBits = quarter < 2 ? pair & 0x0F : pair >> 4;
                const int highBits = (loadByte(high + i) >> (2 * quarter)) & 3;
                const float d = scale * static_cast<float>(load<std::int8_t>(scales + quarter * 2 + i / 16));
                out[half * 128 + quarter * 32 + i] = d * static_cast<float>((lowBits | (highBits << 4)) - 32);
            }
        }
    }
}

/// Hands `use` what decodes one block of this type; false if the type holds no floating-point values.
template <typename Use>
bool withDecoder(DType dtype, Use use)
{
    switch (dtype) {
    case DType::F32:
        use([](const std::byte* from, float* to) { *to = load<float>(from); });
        return true;
    case DType::F64:
        use([](const std::byte* from, float* to) { *to = static_cast<float>(load<double>(from)); });
        return true;
    case DType::F16:
        use([](const std::byte* from, float* to) { *to = loadHalf(from); });
        return true;
    case DType::BF16:
        use([](const std::byte* from, float* to) {
            *to = std::bit_cast<float>(static_cast<std::uint32_t>(load<std::uint16_t>(from)) << 16);
        });
        return true;
    case DType::Q8_0:
        use(decodeQ8_0);
        return true;
    case DType::Q4_0:
        use(decodeQ4_0);
        return true;
    case DType::Q4_1:
        use(decodeQ4_1);
        return true;
    case DType::Q4_K:
        use(decodeQ4_K);
        return true;
    case DType::Q6_K:
        use(decodeQ6_K);
        return true;
    case DType::I64:
    case DType::I32:
    case DType::I16:
    case DType::I8:
    case DType::U8:
    case DType::Bool:
        break;
    }
    return false;
}

template <typename DecodeBlock>
void decodeBlocks(const TensorView& tensor, std::span<float> out, DecodeBlock decodeBlock)
{
    const Traits type = traits(tensor.dtype);
    const std::byte* from = tensor.bytes.data();
    for (std::size_t i = 0; i < out.size(); i += type.elements, from += type.bytes)
        decodeBlock(from, out.data() + i);
}

} // namespace

std::string name(DType dtype)
{
    return traits(dtype).name;
}

std::size_t blockElements(DType dtype)
{
    return traits(dtype).elements;
}

std::size_t blockBytes(DType dtype)
{
    return traits(dtype).bytes;
}

bool isDecodable(DType dtype)
{
    return withDecoder(dtype, [](auto) {});
}

std::int64_t TensorView::elements() const
{
    // An empty dimension decides first: the product of the others may be too large.
    if (std::find(shape.begin(), shape.end(), 0) != shape.end())
        return 0;
    std::int64_t count = 1;
    for (const std::int64_t length : shape)
        count *= length;
    return count;
}

Status decode(const TensorView& tensor, std::span<float> out)
{
    const auto elements = static_cast<std::size_t>(tensor.elements());
    const Traits type = traits(tensor.dtype);
    if (out.size() != elements)
        return fail("tensor " + tensor.name + " has " + std::to_string(elements) +
                    " values, but room was given for " + std::to_string(out.size()));
    if (elements % type.elements != 0 || tensor.bytes.size() != elements / type.elements * type.bytes)
        return fail("tensor " + tensor.name + " has " + std::to_string(tensor.bytes.size()) +
                    " bytes, which " + std::to_string(elements) + " values of type " + type.name +
                    " do not take; the file is damaged");
    if (tensor.dtype == DType::F32) {
        if (!out.empty())
            std::memcpy(out.data(), tensor.bytes.data(), out.size_bytes());
        return {};
    }
    if (!withDecoder(tensor.dtype, [&](auto decodeBlock) { decodeBlocks(tensor, out, decodeBlock); }))
        return fail("tensor " + tensor.name + " has type " + type.name +
                    ", which holds no floating-point values");
    return {};
}

} // namespace rankscope::checkpoint

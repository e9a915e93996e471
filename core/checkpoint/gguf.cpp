// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/gguf.h"

#include "core/base/files.h"
#include "core/base/text.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace rankscope::checkpoint
{
namespace
{

enum class ValueType : std::uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, Text, Array, U64, I64, F64 };

constexpr std::uint64_t defaultAlignment = 32;
constexpr std::uint64_t maxAlignment = 1 << 20;
constexpr std::uint64_t maxKeyBytes = 65535; // of the specification
constexpr std::uint32_t maxDimensions = 4;

/// Walks through the bytes; after the first step past the end (or a text that is none) it stays failed and
/// gives zeros.
class Reader
{
public:
    explicit Reader(std::span<const std::byte> bytes) : m_bytes(bytes) {}

    template <typename T>
    T take()
    {
        T value{};
        if (m_failed || m_bytes.size() - m_at < sizeof value) {
            m_failed = true;
            return T{};
        }
        std::memcpy(&value, m_bytes.data() + m_at, sizeof value);
        m_at += sizeof value;
        return value;
    }

    std::string takeText(std::uint64_t limit)
    {
        const auto length = take<std::uint64_t>();
        if (m_failed || length > limit || length > remaining()) {
            m_failed = true;
            return {};
        }
        std::string text(reinterpret_cast<const char*>(m_bytes.data() + m_at), length);
        m_at += length;
        if (!base::isUtf8(text)) { // the format's texts are
            m_failed = true;
            return {};
        }
        return text;
    }

    [[nodiscard]] std::uint64_t remaining() const { return m_bytes.size() - m_at; }
    [[nodiscard]] std::uint64_t position() const { return m_at; }
    [[nodiscard]] bool failed() const { return m_failed; }

private:
    std::span<const std::byte> m_bytes;
    std::uint64_t m_at = 0;
    bool m_failed = false;
};

constexpr const char* cutOff = "the file is cut off or damaged";

/// Reads `count` values of one stored type into a vector of the widened type. `count` is checked against the
/// bytes left before anything is allocated.
template <typename Stored, typename Wide>
Result<GgufValue> takeArray(Reader& reader, std::uint64_t count)
{
    if (count > reader.remaining() / sizeof(Stored))
        return fail("its array claims " + std::to_string(count) + " values, more than the file holds; " +
                    cutOff);
    std::vector<Wide> values;
    values.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i)
        values.push_back(static_cast<Wide>(reader.take<Stored>()));
    return GgufValue(std::move(values));
}

Result<GgufValue> takeTexts(Reader& reader, std::uint64_t count)
{
    if (count > reader.remaining() / sizeof(std::uint64_t))
        return fail("its array claims " + std::to_string(count) + " texts, more than the file holds; " +
                    cutOff);
    std::vector<std::string> values;
    for (std::uint64_t i = 0; i < count && !reader.failed(); ++i)
        values.push_back(reader.takeText(reader.remaining()));
    return GgufValue(std::move(values));
}

Result<GgufValue> takeValue(Reader& reader, std::uint32_t type)
{
    switch (static_cast<ValueType>(type)) {
    case ValueType::U8:
        return GgufValue(std::uint64_t{reader.take<std::uint8_t>()});
    case ValueType::U16:
        return GgufValue(std::uint64_t{reader.take<std::uint16_t>()});
    case ValueType::U32:
        return GgufValue(std::uint64_t{reader.take<std::uint32_t>()});
    case ValueType::U64:
        return GgufValue(reader.take<std::uint64_t>());
    case ValueType::I8:
        return GgufValue(std::int64_t{reader.take<std::int8_t>()});
    case ValueType::I16:
        return GgufValue(std::int64_t{reader.take<std::int16_t>()});
    case ValueType::I32:
        return GgufValue(std::int64_t{reader.take<std::int32_t>()});
    case ValueType::I64:
        return GgufValue(reader.take<std::int64_t>());
    case ValueType::F32:
        return GgufValue(double{reader.take<float>()});
    case ValueType::F64:
        return GgufValue(reader.take<double>());
    case ValueType::Bool:
        return GgufValue(reader.take<std::uint8_t>() != 0);
    case ValueType::Text:
        return GgufValue(reader.takeText(reader.remaining()));
    case ValueType::Array:
        break;
    default:
        return fail("it has the unknown type " + std::to_string(type) + "; " + cutOff);
    }
    const auto element = reader.take<std::uint32_t>();
    const auto count = reader.take<std::uint64_t>();
    switch (static_cast<ValueType>(element)) {
    case ValueType::U8:
        return takeArray<std::uint8_t, std::uint64_t>(reader, count);
    case ValueType::U16:
        return takeArray<std::uint16_t, std::uint64_t>(reader, count);
    case ValueType::U32:
        return takeArray<std::uint32_t, std::uint64_t>(reader, count);
    case ValueType::U64:
        return takeArray<std::uint64_t, std::uint64_t>(reader, count);
    case ValueType::I8:
        return takeArray<std::int8_t, std::int64_t>(reader, count);
    case ValueType::I16:
        return takeArray<std::int16_t, std::int64_t>(reader, count);
    case ValueType::I32:
        return takeArray<std::int32_t, std::int64_t>(reader, count);
    case ValueType::I64:
        return takeArray<std::int64_t, std::int64_t>(reader, count);
    case ValueType::F32:
        return takeArray<float, double>(reader, count);
    case ValueType::F64:
        return takeArray<double, double>(reader, count);
    case ValueType::Bool:
        return takeArray<std::uint8_t, bool>(reader, count);
    case ValueType::Text:
        return takeTexts(reader, count);
    case ValueType::Array:
        return fail("it is an array of arrays, which is not supported");
    }
    return fail("its array has the unknown type " + std::to_string(element) + "; " + cutOff);
}

/// ggml's type numbers. Those without a DType are named so that the error says what the file needs.
Result<DType> tensorType(std::uint32_t number)
{
    switch (number) {
    case 0:
        return DType::F32;
    case 1:
        return DType::F16;
    case 2:
        return DType::Q4_0;
    case 3:
        return DType::Q4_1;
    case 8:
        return DType::Q8_0;
    case 12:
        return DType::Q4_K;
    case 14:
        return DType::Q6_K;
    case 24:
        return DType::I8;
    case 25:
        return DType::I16;
    case 26:
        return DType::I32;
    case 27:
        return DType::I64;
    case 28:
        return DType::F64;
    case 30:
        return DType::BF16;
    default:
        break;
    }
    struct Known {
        std::uint32_t number;
        const char* name;
    };
    constexpr Known others[] = {{6, "Q5_0"},    {7, "Q5_1"},     {9, "Q8_1"},    {10, "Q2_K"},
                                {11, "Q3_K"},   {13, "Q5_K"},    {15, "Q8_K"},   {16, "IQ2_XXS"},
                                {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},  {20, "IQ4_NL"},
                                {21, "IQ3_S"},  {22, "IQ2_S"},   {23, "IQ4_XS"}, {29, "IQ1_M"},
                                {34, "TQ1_0"},  {35, "TQ2_0"},   {39, "MXFP4"}};
    std::string name = "number " + std::to_string(number);
    for (const Known& other : others) {
        if (other.number == number)
            name = other.name;
    }
    return fail("its type is " + name +
                ", but supported are F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K and Q6_K; "
                "convert the model to one of these");
}

struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    const std::string* name = nullptr;
};

/// A tensor as announced: its place counts from the start of the data, which is known only after all of them.
struct Announced {
    TensorView view;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

Status takeTensor(Reader& reader, Announced& tensor)
{
    const auto dimensions = reader.take<std::uint32_t>();
    if (reader.failed() || dimensions < 1 || dimensions > maxDimensions)
        return fail("it has " + std::to_string(dimensions) + " dimensions, but 1 to 4 are possible; " +
                    cutOff);
    std::uint64_t elements = 1;
    std::uint64_t fastest = 0;
    for (std::uint32_t i = 0; i < dimensions; ++i) {
        const auto length = reader.take<std::uint64_t>();
        if (i == 0)
            fastest = length;
        if (length > static_cast<std::uint64_t>(INT64_MAX) ||
            __builtin_mul_overflow(elements, length, &elements) ||
            elements > static_cast<std::uint64_t>(INT64_MAX))
            return fail("its shape is too large; " + std::string(cutOff));
        tensor.view.shape.insert(tensor.view.shape.begin(), static_cast<std::int64_t>(length));
    }
    RANKSCOPE_TRY(tensor.view.dtype, tensorType(reader.take<std::uint32_t>()));
    const std::uint64_t block = blockElements(tensor.view.dtype);
    if (fastest % block != 0)
        return fail("its rows of " + std::to_string(fastest) + " values do not divide into blocks of " +
                    std::to_string(block));
    if (__builtin_mul_overflow(elements / block, std::uint64_t{blockBytes(tensor.view.dtype)}, &tensor.bytes))
        return fail("its shape is too large; " + std::string(cutOff));
    tensor.offset = reader.take<std::uint64_t>();
    return {};
}

} // namespace

Result<GgufFile> GgufFile::open(const std::filesystem::path& path)
{
    RANKSCOPE_TRY(const auto mapped, base::MappedFile::open(path));
    return parse(mapped.bytes(), mapped.owner(), path.string());
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner,
                                 const std::string& name)
{
    const auto refuse = [&](const std::string& why) {
        return fail(name + " cannot be read as GGUF: " + why);
    };
    Reader reader(bytes);
    constexpr std::uint32_t magic = 0x46554747; // "GGUF"
    if (reader.take<std::uint32_t>() != magic)
        return refuse("it does not begin with 'GGUF'");
    GgufFile file;
    file.m_version = reader.take<std::uint32_t>();
    if (file.m_version != 2 && file.m_version != 3)
        return refuse(
            "its version is " + std::to_string(file.m_version) +
            ", but only 2 and 3 in little-endian order are supported; convert it with a current tool");
    const auto tensorCount = reader.take<std::uint64_t>();
    const auto valueCount = reader.take<std::uint64_t>();
    // The least that a value (key length, type, one byte) and a tensor (name length, dimension, type, offset)
    // take.
    if (reader.failed() || valueCount > reader.remaining() / 13 || tensorCount > reader.remaining() / 32)
        return refuse(std::string("it claims more entries than it has bytes for; ") + cutOff);

    for (std::uint64_t i = 0; i < valueCount; ++i) {
        std::string key = reader.takeText(maxKeyBytes);
        const auto type = reader.take<std::uint32_t>();
        if (reader.failed())
            return refuse("metadata entry " + std::to_string(i + 1) + " is incomplete; " + cutOff);
        auto value = takeValue(reader, type);
        if (!value)
            return refuse("metadata '" + base::shown(key) + "': " + value.error().message);
        if (reader.failed())
            return refuse("metadata '" + base::shown(key) + "' is incomplete; " + cutOff);
        if (!file.m_metadata.emplace(key, std::move(*value)).second)
            return refuse("metadata '" + base::shown(key) + "' occurs twice");
    }

    std::uint64_t alignment = defaultAlignment;
    if (file.has("general.alignment")) {
        const auto given = file.integer("general.alignment");
        if (!given || *given < 1 || !std::has_single_bit(static_cast<std::uint64_t>(*given)) ||
            static_cast<std::uint64_t>(*given) > maxAlignment)
            return refuse("general.alignment is not a power of two");
        alignment = static_cast<std::uint64_t>(*given);
    }

    std::vector<Announced> announced;
    for (std::uint64_t i = 0; i < tensorCount; ++i) {
        Announced tensor;
        tensor.view.name = reader.takeText(maxKeyBytes);
        if (reader.failed())
            return refuse("tensor entry " + std::to_string(i + 1) + " is incomplete; " + cutOff);
        if (auto status = takeTensor(reader, tensor); !status)
            return refuse("tensor " + base::shown(tensor.view.name) + ": " + status.error().message);
        if (reader.failed())
            return refuse("tensor " + base::shown(tensor.view.name) + " is incomplete; " + cutOff);
        announced.push_back(std::move(tensor));
    }

    const std::uint64_t dataStart =
        std::min<std::uint64_t>((reader.position() + alignment - 1) / alignment * alignment, bytes.size());
    const auto data = bytes.subspan(dataStart);
    std::vector<Range> ranges;
    for (Announced& tensor : announced) {
        const std::string label = "tensor " + base::shown(tensor.view.name);
        if (tensor.offset % alignment != 0)
            return refuse(label + " does not lie on the file's alignment of " + std::to_string(alignment) +
                          " bytes");
        if (tensor.offset > data.size() || tensor.bytes > data.size() - tensor.offset)
            return refuse(label + " reaches past the end; " + cutOff);
        tensor.view.bytes = data.subspan(tensor.offset, tensor.bytes);
        tensor.view.owner = owner;
        const auto [place, inserted] = file.m_tensors.emplace(tensor.view.name, tensor.view);
        if (!inserted)
            return refuse(label + " occurs twice");
        ranges.push_back({tensor.offset, tensor.offset + tensor.bytes, &place->first});
    }
    std::sort(ranges.begin(), ranges.end(), [](const Range& left, const Range& right) {
        return std::pair(left.begin, left.end) < std::pair(right.begin, right.end);
    });
    for (std::size_t i = 1; i < ranges.size(); ++i) {
        if (ranges[i].begin < ranges[i - 1].end)
            return refuse("the tensors " + base::shown(*ranges[i - 1].name) + " and " +
                          base::shown(*ranges[i].name) + " overlap");
    }
    return file;
}

std::optional<std::int64_t> GgufFile::integer(const std::string& key) const
{
    const auto found = m_metadata.find(key);
    if (found == m_metadata.end())
        return std::nullopt;
    if (const auto* value = std::get_if<std::int64_t>(&found->second))
        return *value;
    if (const auto* value = std::get_if<std::uint64_t>(&found->second);
        value && *value <= static_cast<std::uint64_t>(INT64_MAX))
        return static_cast<std::int64_t>(*value);
    return std::nullopt;
}

std::optional<double> GgufFile::number(const std::string& key) const
{
    const auto found = m_metadata.find(key);
    if (found != m_metadata.end()) {
        if (const auto* value = std::get_if<double>(&found->second))
            return *value;
    }
    if (const auto whole = integer(key))
        return static_cast<double>(*whole);
    return std::nullopt;
}

std::optional<bool> GgufFile::boolean(const std::string& key) const
{
    const auto found = m_metadata.find(key);
    const auto* value = found == m_metadata.end() ? nullptr : std::get_if<bool>(&found->second);
    return value ? std::optional<bool>(*value) : std::nullopt;
}

const std::string* GgufFile::text(const std::string& key) const
{
    const auto found = m_metadata.find(key);
    return found == m_metadata.end() ? nullptr : std::get_if<std::string>(&found->second);
}

const std::vector<std::string>* GgufFile::texts(const std::string& key) const
{
    const auto found = m_metadata.find(key);
    return found == m_metadata.end() ? nullptr : std::get_if<std::vector<std::string>>(&found->second);
}

std::optional<std::vector<std::int64_t>> GgufFile::integers(const std::string& key) const
{
    const auto found = m_metadata.find(key);
    if (found == m_metadata.end())
        return std::nullopt;
    if (const auto* values = std::get_if<std::vector<std::int64_t>>(&found->second))
        return *values;
    if (const auto* values = std::get_if<std::vector<std::uint64_t>>(&found->second)) {
        if (std::any_of(values->begin(), values->end(),
                        [](std::uint64_t value) { return value > static_cast<std::uint64_t>(INT64_MAX); }))
            return std::nullopt;
        return std::vector<std::int64_t>(values->begin(), values->end());
    }
    return std::nullopt;
}

} // namespace rankscope::checkpoint

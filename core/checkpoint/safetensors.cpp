// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/safetensors.h"

#include "core/base/files.h"
#include "core/base/json.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

namespace rankscope::checkpoint
{
namespace
{

constexpr std::uint64_t headerLimit = 100'000'000; ///< as in the reference implementation
constexpr DType plainTypes[] = {DType::F64, DType::F32, DType::F16, DType::BF16, DType::I64,
                                DType::I32, DType::I16, DType::I8,  DType::U8,   DType::Bool};

std::optional<DType> plainType(std::string_view text)
{
    for (const DType type : plainTypes) {
        if (name(type) == text)
            return type;
    }
    return std::nullopt;
}

bool isPlain(DType type)
{
    return std::find(std::begin(plainTypes), std::end(plainTypes), type) != std::end(plainTypes);
}

bool nonNegative(const base::Json& value)
{
    return value.is_number_unsigned() && value.get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX);
}

/// One entry of the header: its type, shape and byte range within the data.
struct Entry {
    DType dtype = DType::F32;
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

Result<Entry> readEntry(const base::Json& json, std::uint64_t dataBytes)
{
    Entry entry;
    if (!json.is_object())
        return fail("its header entry is not an object");
    for (const auto& item : json.items()) {
        if (item.key() != "dtype" && item.key() != "shape" && item.key() != "data_offsets")
            return fail("its header entry has the unknown field '" + item.key() + "'");
    }
    if (!json.contains("dtype") || !json["dtype"].is_string())
        return fail("its type is missing");
    const auto typeName = json["dtype"].get<std::string>();
    const auto type = plainType(typeName);
    if (!type)
        return fail("its type '" + typeName + "' is not supported");
    entry.dtype = *type;
    if (!json.contains("shape") || !json["shape"].is_array() || json["shape"].size() > 16)
        return fail("its shape is missing or has too many dimensions");
    std::uint64_t bytes = blockBytes(entry.dtype);
    for (const auto& length : json["shape"]) {
        if (!nonNegative(length))
            return fail("its shape holds something other than whole numbers from 0");
        if (__builtin_mul_overflow(bytes, length.get<std::uint64_t>(), &bytes))
            return fail("its shape is too large");
        entry.shape.push_back(length.get<std::int64_t>());
    }
    const auto offsets = json.find("data_offsets");
    if (offsets == json.end() || !offsets->is_array() || offsets->size() != 2 ||
        !nonNegative((*offsets)[0]) || !nonNegative((*offsets)[1]))
        return fail("its data_offsets are not two whole numbers");
    entry.begin = (*offsets)[0].get<std::uint64_t>();
    entry.end = (*offsets)[1].get<std::uint64_t>();
    if (entry.begin > entry.end || entry.end > dataBytes)
        return fail("its bytes " + std::to_string(entry.begin) + " to " + std::to_string(entry.end) +
                    " lie outside the file's " + std::to_string(dataBytes) +
                    " bytes of data; the file is cut off or damaged");
    if (entry.end - entry.begin != bytes)
        return fail("its shape and type need " + std::to_string(bytes) + " bytes, but it has " +
                    std::to_string(entry.end - entry.begin));
    return entry;
}

/// The format demands that the tensors fill the data without gaps or overlaps.
Status checkCoverage(const std::map<std::string, Entry>& entries, std::uint64_t dataBytes)
{
    std::vector<const std::pair<const std::string, Entry>*> order;
    for (const auto& item : entries)
        order.push_back(&item);
    std::sort(order.begin(), order.end(), [](const auto* left, const auto* right) {
        return std::pair(left->second.begin, left->second.end) <
               std::pair(right->second.begin, right->second.end);
    });
    std::uint64_t at = 0;
    for (const auto* item : order) {
        if (item->second.begin != at)
            return fail("tensor " + item->first +
                        (item->second.begin < at ? ": its bytes overlap those of another tensor"
                                                 : ": unclaimed bytes lie before its data"));
        at = item->second.end;
    }
    if (at != dataBytes)
        return fail(std::to_string(dataBytes - at) + " bytes at the end belong to no tensor");
    return {};
}

} // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path)
{
    RANKSCOPE_TRY(const auto mapped, base::MappedFile::open(path));
    return parse(mapped.bytes(), mapped.owner(), path.string());
}

Result<SafetensorsFile> SafetensorsFile::parse(std::span<const std::byte> bytes,
                                               const std::shared_ptr<const void>& owner,
                                               const std::string& name)
{
    const auto refuse = [&](const std::string& why) {
        return fail(name + " is not a valid safetensors file: " + why);
    };
    std::uint64_t headerBytes = 0;
    if (bytes.size() < sizeof headerBytes)
        return refuse("it is shorter than 8 bytes");
    std::memcpy(&headerBytes, bytes.data(), sizeof headerBytes);
    if (headerBytes > headerLimit || headerBytes > bytes.size() - sizeof headerBytes)
        return refuse("its header claims " + std::to_string(headerBytes) +
                      " bytes, more than the file has or the format allows");
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof headerBytes,
                                headerBytes);
    if (text.empty() || text.front() != '{')
        return refuse("its header is not a JSON object");
    const auto header = base::parseJson(text, 8);
    if (!header)
        return refuse("its header: " + header.error().message);
    if (!header->is_object())
        return refuse("its header is not a JSON object");

    const auto data = bytes.subspan(sizeof headerBytes + headerBytes);
    SafetensorsFile file;
    std::map<std::string, Entry> entries;
    for (const auto& item : header->items()) {
        if (item.key() == "__metadata__") {
            if (!item.value().is_object())
                return refuse("its metadata is not an object");
            for (const auto& pair : item.value().items()) {
                if (!pair.value().is_string())
                    return refuse("its metadata field '" + pair.key() + "' is not a text");
                file.m_metadata.emplace(pair.key(), pair.value().get<std::string>());
            }
            continue;
        }
        auto entry = readEntry(item.value(), data.size());
        if (!entry)
            return refuse("tensor " + item.key() + ": " + entry.error().message);
        entries.emplace(item.key(), std::move(*entry));
    }
    if (auto status = checkCoverage(entries, data.size()); !status)
        return refuse(status.error().message);
    for (auto& [tensorName, entry] : entries) {
        file.m_tensors.emplace(tensorName,
                               TensorView{tensorName, entry.dtype, std::move(entry.shape),
                                          data.subspan(entry.begin, entry.end - entry.begin), owner});
    }
    return file;
}

const TensorView* SafetensorsFile::find(const std::string& name) const
{
    const auto found = m_tensors.find(name);
    return found == m_tensors.end() ? nullptr : &found->second;
}

Result<SafetensorsWriter> SafetensorsWriter::create(const std::filesystem::path& path,
                                                    std::span<const TensorOutline> tensors,
                                                    const std::map<std::string, std::string>& metadata)
{
    const auto refuse = [&](const std::string& why) {
        return fail("cannot write " + path.string() + ": " + why);
    };
    std::vector<std::size_t> order(tensors.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    // Wider types first, then by name: the order of the reference implementation, which keeps every tensor
    // aligned.
    std::sort(order.begin(), order.end(), [&](std::size_t left, std::size_t right) {
        return std::pair(blockBytes(tensors[right].dtype), std::string_view(tensors[left].name)) <
               std::pair(blockBytes(tensors[left].dtype), std::string_view(tensors[right].name));
    });

    base::OrderedJson header = base::OrderedJson::object();
    if (!metadata.empty())
        header["__metadata__"] = metadata;
    std::vector<std::pair<std::string, std::uint64_t>> expected;
    std::uint64_t at = 0;
    for (const std::size_t place : order) {
        const TensorOutline& tensor = tensors[place];
        if (!isPlain(tensor.dtype))
            return refuse("tensor " + tensor.name + " has type " + name(tensor.dtype) +
                          ", which safetensors does not hold");
        if (tensor.name == "__metadata__" || header.contains(tensor.name))
            return refuse("the tensor name '" + tensor.name + "' occurs twice or is reserved");
        std::uint64_t bytes = blockBytes(tensor.dtype);
        for (const std::int64_t length : tensor.shape) {
            if (length < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(length), &bytes))
                return refuse("tensor " + tensor.name + " has an impossible shape");
        }
        std::uint64_t end = 0;
        if (__builtin_add_overflow(at, bytes, &end))
            return refuse("tensor " + tensor.name + " has an impossible shape");
        header[tensor.name] = {
            {"dtype", name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
        expected.emplace_back(tensor.name, bytes);
        at = end;
    }
    std::string content;
    try {
        content = header.dump();
    } catch (const std::exception&) {
        return refuse("a name or metadata text is not valid UTF-8");
    }
    content.append((8 - content.size() % 8) % 8, ' ');
    const std::uint64_t headerBytes = content.size();
    if (headerBytes > headerLimit)
        return refuse("the header would be larger than the format allows");
    RANKSCOPE_TRY(base::AtomicFile file, base::AtomicFile::create(path));
    RANKSCOPE_CHECK(file.write(std::as_bytes(std::span(&headerBytes, 1))));
    RANKSCOPE_CHECK(file.write(std::as_bytes(std::span(content))));
    SafetensorsWriter writer(std::move(file));
    writer.m_name = path.string();
    writer.m_order = std::move(order);
    writer.m_expected = std::move(expected);
    return writer;
}

Status SafetensorsWriter::append(std::span<const std::byte> bytes)
{
    if (m_next == m_expected.size())
        return fail("cannot write " + m_name + ": it has all of its tensors already");
    const auto& [tensor, expected] = m_expected[m_next];
    if (bytes.size() != expected)
        return fail("cannot write " + m_name + ": tensor " + tensor + " has " + std::to_string(bytes.size()) +
                    " bytes, but its shape needs " + std::to_string(expected));
    ++m_next;
    return m_file.write(bytes);
}

Status SafetensorsWriter::commit()
{
    if (m_next != m_expected.size())
        return fail("cannot write " + m_name + ": tensor " + m_expected[m_next].first + " is missing");
    return m_file.commit();
}

Status writeSafetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                        const std::map<std::string, std::string>& metadata)
{
    std::vector<TensorOutline> outlines;
    for (const TensorView& tensor : tensors)
        outlines.push_back({tensor.name, tensor.dtype, tensor.shape});
    RANKSCOPE_TRY(SafetensorsWriter writer, SafetensorsWriter::create(path, outlines, metadata));
    for (const std::size_t place : writer.order())
        RANKSCOPE_CHECK(writer.append(tensors[place].bytes));
    return writer.commit();
}

} // namespace rankscope::checkpoint

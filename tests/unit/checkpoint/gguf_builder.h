// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rankscope::checkpoint::test
{

/// Writes GGUF's little-endian primitives.
struct GgufBuilder {
    std::string bytes;

    template <typename T>
    GgufBuilder& put(T value)
    {
        bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
        return *this;
    }
    GgufBuilder& text(const std::string& value)
    {
        put(static_cast<std::uint64_t>(value.size()));
        bytes += value;
        return *this;
    }
    GgufBuilder& head(std::uint32_t version, std::uint64_t tensors, std::uint64_t values)
    {
        bytes += "GGUF";
        return put(version).put(tensors).put(values);
    }
    GgufBuilder& tensor(const std::string& name, const std::vector<std::uint64_t>& lengths,
                        std::uint32_t type, std::uint64_t offset)
    {
        text(name).put(static_cast<std::uint32_t>(lengths.size()));
        for (const auto length : lengths)
            put(length);
        return put(type).put(offset);
    }
    GgufBuilder& data(std::size_t size, std::size_t alignment = 32)
    {
        bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
        bytes.append(size, 'x');
        return *this;
    }
};

} // namespace rankscope::checkpoint::test

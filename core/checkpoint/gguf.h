// SPDX-License-Identifier: Apache-2.0
// The GGUF format (ggml), versions 2 and 3: typed metadata and tensors, memory-mapped.
#pragma once

#include "core/checkpoint/tensor.h"

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace rankscope::checkpoint
{

/// A metadata value. Integers of every width are widened, and so are floats; arrays hold one type and do not
/// nest.
using GgufValue = std::variant<bool, std::uint64_t, std::int64_t, double, std::string, std::vector<bool>,
                               std::vector<std::uint64_t>, std::vector<std::int64_t>, std::vector<double>,
                               std::vector<std::string>>;

/// A GGUF file, memory-mapped. Everything it claims is checked against the file: counts, lengths, types,
/// alignment, duplicate names, byte ranges, overlaps.
class GgufFile
{
public:
    static Result<GgufFile> open(const std::filesystem::path& path);
    /// The same for bytes that are already in memory; `owner` keeps them, `name` stands for the file in
    /// errors.
    static Result<GgufFile> parse(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner,
                                  const std::string& name);

    [[nodiscard]] std::uint32_t version() const { return m_version; }
    [[nodiscard]] const std::map<std::string, GgufValue>& metadata() const { return m_metadata; }
    /// Tensors under GGUF's names; shapes are row-major (GGUF itself lists the fastest dimension first).
    [[nodiscard]] const std::map<std::string, TensorView>& tensors() const { return m_tensors; }

    /// The value if the key is there and of that type. integer() takes either signedness if it fits.
    [[nodiscard]] std::optional<std::int64_t> integer(const std::string& key) const;
    [[nodiscard]] std::optional<double> number(const std::string& key) const;
    [[nodiscard]] std::optional<bool> boolean(const std::string& key) const;
    [[nodiscard]] const std::string* text(const std::string& key) const;
    [[nodiscard]] const std::vector<std::string>* texts(const std::string& key) const;
    [[nodiscard]] std::optional<std::vector<std::int64_t>> integers(const std::string& key) const;
    [[nodiscard]] bool has(const std::string& key) const { return m_metadata.contains(key); }

private:
    std::uint32_t m_version = 0;
    std::map<std::string, GgufValue> m_metadata;
    std::map<std::string, TensorView> m_tensors;
};

} // namespace rankscope::checkpoint

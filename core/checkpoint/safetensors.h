// SPDX-License-Identifier: Apache-2.0
// The safetensors format (huggingface/safetensors): an 8-byte header length, a JSON header, and the tensors'
// bytes.
#pragma once

#include "core/base/files.h"
#include "core/checkpoint/tensor.h"

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace rankscope::checkpoint
{

/// A safetensors file, memory-mapped. Everything the header claims is checked against the file: header
/// length, types, shapes against byte ranges, overlaps, gaps, duplicate names.
class SafetensorsFile
{
public:
    static Result<SafetensorsFile> open(const std::filesystem::path& path);
    /// The same for bytes that are already in memory; `owner` keeps them, `name` stands for the file in
    /// errors.
    static Result<SafetensorsFile> parse(std::span<const std::byte> bytes,
                                         const std::shared_ptr<const void>& owner, const std::string& name);

    [[nodiscard]] const std::map<std::string, TensorView>& tensors() const { return m_tensors; }
    [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return m_metadata; }
    [[nodiscard]] const TensorView* find(const std::string& name) const;

private:
    std::map<std::string, TensorView> m_tensors;
    std::map<std::string, std::string> m_metadata;
};

/// A tensor that is to be written: all but its bytes.
struct TensorOutline {
    std::string name;
    DType dtype = DType::F32;
    std::vector<std::int64_t> shape;
};

/// Writes a file whose tensors are announced first and then given one after another, so that no two of them
/// need be in memory at once. The file appears beside its target and is renamed at the end; it goes away if
/// it is not committed.
class SafetensorsWriter
{
public:
    /// Errors: a type that is not plain, an impossible shape, a name that occurs twice or is not UTF-8, a
    /// place where nothing can be written.
    static Result<SafetensorsWriter> create(const std::filesystem::path& path,
                                            std::span<const TensorOutline> tensors,
                                            const std::map<std::string, std::string>& metadata = {});

    /// Where in `tensors` the first, second, ... tensor of the file stands: in this order they are appended.
    [[nodiscard]] const std::vector<std::size_t>& order() const { return m_order; }
    /// The bytes of the next tensor. Errors: fewer or more of them than its shape needs, a full disk.
    Status append(std::span<const std::byte> bytes);
    /// Syncs and renames. Errors: tensors that are still missing.
    Status commit();

private:
    explicit SafetensorsWriter(base::AtomicFile file) : m_file(std::move(file)) {}

    base::AtomicFile m_file;
    std::string m_name; ///< of the file, for messages
    std::vector<std::size_t> m_order;
    std::vector<std::pair<std::string, std::uint64_t>> m_expected; ///< name and bytes, in the file's order
    std::size_t m_next = 0;
};

/// Writes tensors (plain types only) beside the target and renames; the data is synced to disk first.
Status writeSafetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                        const std::map<std::string, std::string>& metadata = {});

} // namespace rankscope::checkpoint

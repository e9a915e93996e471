// SPDX-License-Identifier: Apache-2.0
// The safetensors format (huggingface/safetensors): an 8-byte header length, a JSON header, and the tensors'
// bytes.
#pragma once

#include "core/checkpoint/tensor.h"

#include <filesystem>
#include <map>
#include <span>
#include <string>

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

/// Writes tensors (plain types only) beside the target and renames; the data is synced to disk first.
Status writeSafetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                        const std::map<std::string, std::string>& metadata = {});

} // namespace rankscope::checkpoint

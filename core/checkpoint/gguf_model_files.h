// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/checkpoint/base_model_files.h"
#include "core/checkpoint/gguf.h"

namespace rankscope::checkpoint
{

/// A base model in one GGUF file: llama, qwen2 or qwen3. Tensors answer to Hugging Face's names.
class GgufModelFiles : public BaseModelFiles
{
public:
    static Result<std::unique_ptr<BaseModelFiles>> open(const std::filesystem::path& path);
    static Result<std::unique_ptr<BaseModelFiles>> fromFile(const GgufFile& file,
                                                            const std::filesystem::path& path);

    [[nodiscard]] std::vector<std::filesystem::path> identityFiles() const override { return {m_path}; }
    [[nodiscard]] const TensorView* plainView(const std::string& name) const override;
    [[nodiscard]] Status read(const std::string& name, std::span<float> out) const override;

private:
    /// Heads whose rows are interleaved (q and k of llama files); 0: rows lie as in Hugging Face's file.
    [[nodiscard]] std::int64_t permutedHeads(const std::string& name) const;
};

/// The config that a GGUF's metadata describes.
Result<ModelConfig> configFromGguf(const GgufFile& file);

} // namespace rankscope::checkpoint

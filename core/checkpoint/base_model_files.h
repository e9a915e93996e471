// SPDX-License-Identifier: Apache-2.0
// A base model on disk, GGUF or Hugging Face folder, behind one interface with Hugging Face's tensor names.
#pragma once

#include "core/checkpoint/model_config.h"
#include "core/checkpoint/tensor.h"

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace rankscope::checkpoint
{

class BaseModelFiles
{
public:
    virtual ~BaseModelFiles() = default;

    /// A .gguf file, a folder with config.json and (sharded) safetensors, or a bare config.json: then only
    /// the config is there and every tensor is missing.
    static Result<std::unique_ptr<BaseModelFiles>> open(const std::filesystem::path& path);

    [[nodiscard]] const ModelConfig& config() const { return m_config; }
    [[nodiscard]] const std::filesystem::path& path() const { return m_path; }
    /// The files that make the model what it is, for identityHash(): the GGUF; of a folder config, tokenizer,
    /// index and every file of weights.
    [[nodiscard]] virtual std::vector<std::filesystem::path> identityFiles() const = 0;

    /// Shape as Hugging Face has it ("model.layers.0.self_attn.q_proj.weight" is [out, in]); nullopt if
    /// absent.
    [[nodiscard]] std::optional<std::vector<std::int64_t>> shape(const std::string& name) const;
    /// The bytes as they lie in the file, where they need no rearrangement: plain F32, F16 or BF16, aligned
    /// to the type. Null otherwise.
    [[nodiscard]] virtual const TensorView* plainView(const std::string& name) const;
    /// The values as float32, in Hugging Face's row order (the permutation that Llama GGUFs apply to q and k
    /// is undone).
    [[nodiscard]] virtual Status read(const std::string& name, std::span<float> out) const;

    /// Every tensor that the config announces is there (errors name the first that is not), and an output
    /// layer that is stored though it is tied to the embedding is the embedding: some programs would use the
    /// one, some the other.
    [[nodiscard]] Status checkComplete() const;

protected:
    [[nodiscard]] const TensorView* find(const std::string& name) const;
    /// Every tensor that the file has is one that the config announces, of the announced shape and of
    /// numbers: what nobody computes would make it another model without a word.
    [[nodiscard]] Status checkTensors() const;

    ModelConfig m_config;
    std::filesystem::path m_path;
    std::map<std::string, TensorView> m_tensors; ///< under Hugging Face's names; a view has the file's own
};

/// The SHA-256 that stands for a model: that of its one file, or, of several, that of the list `sha256sum`
/// prints of their names. Every byte is read once.
Result<std::string> identityHash(std::span<const std::filesystem::path> files);

} // namespace rankscope::checkpoint

// SPDX-License-Identifier: Apache-2.0
// A frozen decoder-only language model (Llama 2/3, SmolLM2, Qwen2.5, Qwen3, Phi-4), written once with
// options.
#pragma once

#include "core/base/result.h"
#include "core/checkpoint/base_model_files.h"
#include "core/model/kv_cache.h"
#include "core/model/sites.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rankscope::model
{

struct DecoderLayer {
    std::int64_t index = 0;
    at::Tensor attentionNorm;                ///< [hidden]
    at::Tensor mlpNorm;                      ///< [hidden]
    at::Tensor queryNorm;                    ///< [headDim], Qwen3 only
    at::Tensor keyNorm;                      ///< [headDim], Qwen3 only
    std::vector<LinearSite> attentionInputs; ///< {q, k, v} or {qkv}
    LinearSite attentionOutput;
    MlpBlock mlp;
    LayerAdapter* adapter = nullptr;
};

class Decoder
{
public:
    struct Options {
        at::ScalarType dtype = at::kFloat; ///< kFloat, kBFloat16; kDouble for gradient checks
        at::Device device = at::kCPU;
        /// Called with tensors read and tensors in all; false stops the loading with an error.
        std::function<bool(std::int64_t, std::int64_t)> progress;
    };

    /// Reads the weights. Errors: a missing tensor, or one whose shape contradicts the config.
    static Result<std::unique_ptr<Decoder>> load(const checkpoint::BaseModelFiles& files,
                                                 const Options& options);
    /// A model with random weights of the given shape (seeded): for tests of adapters at small sizes.
    static std::unique_ptr<Decoder> random(const checkpoint::ModelConfig& config, std::uint64_t seed,
                                           const Options& options);

    /// The final normed hidden states [T, hidden] in the model's type. With pass.cache, keys and values are
    /// appended.
    [[nodiscard]] at::Tensor forward(const Pass& pass) const;
    /// hidden [S, hidden] -> logits [S, vocabulary], float32 (float64 for a float64 model).
    [[nodiscard]] at::Tensor logits(const at::Tensor& hidden) const;

    [[nodiscard]] const checkpoint::ModelConfig& config() const { return m_config; }
    [[nodiscard]] at::ScalarType dtype() const { return m_dtype; }
    [[nodiscard]] at::Device device() const { return m_device; }
    [[nodiscard]] const at::Tensor& outputEmbedding() const { return m_outputEmbedding; }
    [[nodiscard]] std::vector<DecoderLayer>& layers() { return m_layers; }
    [[nodiscard]] const std::vector<DecoderLayer>& layers() const { return m_layers; }
    /// The linear of that layer and module name; nullptr if the model has none.
    [[nodiscard]] LinearSite* linear(std::int64_t layer, const std::string& module);

private:
    /// Where a tensor comes from, by name and expected shape: a file, or a random generator.
    using TensorSource =
        std::function<Result<at::Tensor>(const std::string&, const std::vector<std::int64_t>&)>;

    Decoder(const checkpoint::ModelConfig& config, const Options& options);
    Status fill(const TensorSource& source, const Options& options);
    [[nodiscard]] at::Tensor layerForward(const DecoderLayer& layer, const at::Tensor& x, const Pass& pass,
                                          const at::Tensor& cosine, const at::Tensor& sine) const;
    [[nodiscard]] at::Tensor attention(const DecoderLayer& layer, const at::Tensor& normed, const Pass& pass,
                                       const at::Tensor& cosine, const at::Tensor& sine) const;

    checkpoint::ModelConfig m_config;
    at::ScalarType m_dtype;
    at::Device m_device;
    at::Tensor m_embedding;          ///< [vocabulary, hidden]
    at::Tensor m_outputEmbedding;    ///< the same tensor where tied
    at::Tensor m_finalNorm;          ///< [hidden]
    at::Tensor m_inverseFrequencies; ///< [headDim / 2], float64 on the CPU
    std::vector<DecoderLayer> m_layers;
};

} // namespace rankscope::model

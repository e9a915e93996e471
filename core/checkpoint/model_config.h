// SPDX-License-Identifier: Apache-2.0
// The shape of a base model: enough to build it, to count its parameters and to plan adapters, with no weight
// read.
#pragma once

#include "core/base/json.h"
#include "core/base/result.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace rankscope::checkpoint
{

/// "llama3" rotary scaling (Llama 3.1 and later); absent: plain RoPE.
struct RopeScaling {
    double factor = 8;
    double lowFrequencyFactor = 1;
    double highFrequencyFactor = 4;
    std::int64_t originalMaxPosition = 8192;
};

/// One linear layer that an adapter can be attached to. Weight [out, in].
struct LinearShape {
    std::int64_t layer = 0;
    std::string module; ///< "q_proj", "down_proj", "qkv_proj", "gate_up_proj", "query_proj", ...
    std::string path;   ///< "model.layers.7.mlp.down_proj"
    std::int64_t in = 0;
    std::int64_t out = 0;
    bool bias = false;
};

/// A tensor of a base model under Hugging Face's name.
struct TensorShape {
    std::string name;
    std::vector<std::int64_t> shape;
};

struct ModelConfig {
    std::string architecture; ///< "llama", "qwen2", "qwen3", "phi3", "deberta-v2"
    std::int64_t vocabulary = 0;
    std::int64_t hidden = 0;
    std::int64_t feedForward = 0;
    std::int64_t layers = 0;
    std::int64_t heads = 0;
    std::int64_t kvHeads = 0;
    std::int64_t headDim = 0;
    std::int64_t maxPosition = 0;
    double normEpsilon = 1e-5;
    double ropeTheta = 10000;
    std::optional<RopeScaling> ropeScaling;
    bool tiedEmbeddings = false;
    bool qkvBias = false;          ///< Qwen2.5
    bool qkNorm = false;           ///< Qwen3
    bool fusedProjections = false; ///< Phi-4: qkv_proj and gate_up_proj
    std::int64_t bosToken = -1;    ///< -1: none
    std::vector<std::int64_t> eosTokens;
    std::int64_t relativePositions =
        0;                   ///< DeBERTa: rows of the relative position table, 2 * position_buckets
    std::int64_t labels = 0; ///< DeBERTa: classes of the head

    std::string quantisation; ///< by which method the stored weights are quantised; empty: none is named

    /// From a Hugging Face config.json. Errors: a missing or impossible number, an architecture not known.
    static Result<ModelConfig> fromHuggingFace(const base::Json& config);

    /// The same as a config.json of a decoder (not DeBERTa), without a type of its weights.
    [[nodiscard]] base::OrderedJson toHuggingFace() const;

    /// Are the numbers possible and do they fit together? Every reader of a config ends with this.
    [[nodiscard]] Status check() const;

    /// Every linear of every decoder layer, in the order of the forward pass.
    [[nodiscard]] std::vector<LinearShape> linears() const;
    /// Every tensor that a decoder of this config is made of (of DeBERTa the word embeddings and the linears,
    /// which is what is counted and adapted).
    [[nodiscard]] std::vector<TensorShape> tensors() const;
    /// All parameters of the base model: embeddings (once where tied), norms, biases, linears. DeBERTa counts
    /// as the sequence classifier it is fine-tuned as: word and relative position embeddings with their
    /// norms, layers, pooler (dense, hidden x hidden) and classifier (labels x hidden); the masked-language
    /// head is left out.
    [[nodiscard]] std::int64_t parameters() const;
};

} // namespace rankscope::checkpoint

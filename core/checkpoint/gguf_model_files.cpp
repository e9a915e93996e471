// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/gguf_model_files.h"

#include "core/base/text.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace rankscope::checkpoint
{
namespace
{

constexpr std::pair<const char*, const char*> layerNames[] = {
    {"attn_norm.weight", "input_layernorm.weight"},    {"ffn_norm.weight", "post_attention_layernorm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},      {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_v.weight", "self_attn.v_proj.weight"},      {"attn_q.bias", "self_attn.q_proj.bias"},
    {"attn_k.bias", "self_attn.k_proj.bias"},          {"attn_v.bias", "self_attn.v_proj.bias"},
    {"attn_output.weight", "self_attn.o_proj.weight"}, {"attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"attn_k_norm.weight", "self_attn.k_norm.weight"}, {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_up.weight", "mlp.up_proj.weight"},           {"ffn_down.weight", "mlp.down_proj.weight"},
};

constexpr const char* ropeFactorsName = "rope_freqs.weight";

/// Hugging Face's name of a GGUF tensor; empty if it has none.
std::string huggingFaceName(const std::string& name)
{
    if (name == "token_embd.weight")
        return "model.embed_tokens.weight";
    if (name == "output_norm.weight")
        return "model.norm.weight";
    if (name == "output.weight")
        return "lm_head.weight";
    constexpr std::string_view prefix = "blk.";
    if (!name.starts_with(prefix))
        return {};
    const auto dot = name.find('.', prefix.size());
    if (dot == std::string::npos || dot == prefix.size())
        return {};
    const std::string layer = name.substr(prefix.size(), dot - prefix.size());
    if (layer.find_first_not_of("0123456789") != std::string::npos)
        return {};
    for (const auto& [gguf, huggingFace] : layerNames) {
        if (name.compare(dot + 1, std::string::npos, gguf) == 0)
            return "model.layers." + layer + "." + huggingFace;
    }
    return {};
}

/// What "llama3" scaling divides each rotary frequency by (Llama 3.1 reference implementation).
std::vector<double> ropeFactors(const RopeScaling& scaling, double theta, std::int64_t headDim)
{
    const double original = static_cast<double>(scaling.originalMaxPosition);
    std::vector<double> factors;
    for (std::int64_t i = 0; i < headDim / 2; ++i) {
        const double frequency =
            std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(headDim));
        const double wavelength = 2 * std::numbers::pi / frequency;
        if (wavelength < original / scaling.highFrequencyFactor) {
            factors.push_back(1);
        } else if (wavelength > original / scaling.lowFrequencyFactor) {
            factors.push_back(scaling.factor);
        } else {
            const double smooth = (original / wavelength - scaling.lowFrequencyFactor) /
                                  (scaling.highFrequencyFactor - scaling.lowFrequencyFactor);
            factors.push_back(1 / ((1 - smooth) / scaling.factor + smooth));
        }
    }
    return factors;
}

/// GGUF keeps "llama3" scaling only as its result, a tensor of factors. The published models share all
/// numbers but the factor, which is the largest entry; that this describes the tensor is then checked entry
/// by entry.
Status readRopeFactors(const GgufFile& file, ModelConfig& config)
{
    const auto found = file.tensors().find(ropeFactorsName);
    if (found == file.tensors().end())
        return {};
    if (found->second.elements() != config.headDim / 2)
        return fail("rope_freqs.weight does not have one factor for each of the " +
                    std::to_string(config.headDim / 2) + " frequencies");
    std::vector<float> stored(static_cast<std::size_t>(config.headDim / 2));
    RANKSCOPE_CHECK(decode(found->second, stored));
    RopeScaling scaling;
    scaling.factor = *std::max_element(stored.begin(), stored.end());
    if (std::all_of(stored.begin(), stored.end(), [](float factor) { return factor == 1; }))
        return {};
    const auto expected = ropeFactors(scaling, config.ropeTheta, config.headDim);
    for (std::size_t i = 0; i < stored.size(); ++i) {
        if (!(std::abs(stored[i] - expected[i]) <= 1e-3 * std::abs(expected[i])))
            return fail("rope_freqs.weight holds a frequency scaling other than that of Llama 3.1 to 3.3, "
                        "which is not supported");
    }
    config.ropeScaling = scaling;
    return {};
}

/// Scaling is by position where a file names a factor but no type (`scale_linear` is the older key).
Status checkRopeScaling(const GgufFile& file, const std::string& prefix)
{
    const std::string* type = file.text(prefix + "rope.scaling.type");
    if (type && *type == "none")
        return {};
    if (type && *type != "linear")
        return fail("rope scaling of type '" + base::shown(*type) + "' is not supported");
    for (const char* key : {"rope.scaling.factor", "rope.scale_linear"}) {
        const auto factor = file.number(prefix + key);
        if (file.has(prefix + key) && factor != 0 && factor != 1) // zero stands for "not set"
            return fail(prefix + key + " scales the positions, which is not supported");
    }
    return {};
}

/// Keys with which a model computes something else than is computed here, unless they have the value that
/// changes nothing.
Status checkNeutral(const GgufFile& file, const std::string& prefix, const ModelConfig& config)
{
    const double usualScale = 1 / std::sqrt(static_cast<double>(config.headDim));
    const std::pair<const char*, double> scales[] = {
        {"attention.scale", usualScale}, {"attention.output_scale", 1},
        {"embedding_scale", 1},          {"logit_scale", 1},
        {"residual_scale", 1},           {"rope.scaling.attn_factor", 1}};
    const auto refuse = [&](const std::string& key) {
        return fail(prefix + key + " asks for a computation that is not supported");
    };
    for (const auto& [key, usual] : scales) {
        const auto scale = file.number(prefix + key);
        if (file.has(prefix + key) && scale != 0 && !(scale && std::abs(*scale / usual - 1) <= 1e-6))
            return refuse(key);
    }
    for (const char* key : {"attention.clamp_kqv", "attention.max_alibi_bias", "attn_logit_softcapping",
                            "final_logit_softcapping", "rope.dimension_sections"}) {
        if (file.has(prefix + key) && file.number(prefix + key) != 0)
            return refuse(key);
    }
    for (const auto& [key, usual] :
         {std::pair{"attention.causal", true}, std::pair{"use_parallel_residual", false}}) {
        if (file.has(prefix + key) && file.boolean(prefix + key) != usual)
            return refuse(key);
    }
    if (const auto window = file.integer(prefix + "attention.sliding_window");
        window && *window > 0 && *window < config.maxPosition)
        return fail("attention in a sliding window of " + std::to_string(*window) +
                    " tokens is not supported");
    return {};
}

} // namespace

Result<ModelConfig> configFromGguf(const GgufFile& file)
{
    const std::string* architecture = file.text("general.architecture");
    if (!architecture)
        return fail("general.architecture is missing");
    if (*architecture != "llama" && *architecture != "qwen2" && *architecture != "qwen3")
        return fail("the architecture '" + base::shown(*architecture) +
                    "' is not supported in GGUF files; supported are llama, qwen2 and qwen3");
    ModelConfig config;
    config.architecture = *architecture;
    const std::string prefix = *architecture + ".";
    std::optional<Error> missing;
    const auto required = [&](const std::string& key) {
        const auto value = file.integer(prefix + key);
        if (!value && !missing)
            missing = Error{prefix + key + " is missing or not a whole number"};
        return value.value_or(0);
    };
    config.layers = required("block_count");
    config.hidden = required("embedding_length");
    config.feedForward = required("feed_forward_length");
    config.heads = required("attention.head_count");
    config.maxPosition = required("context_length");
    if (missing)
        return fail(*missing);
    if (config.heads < 1)
        return fail(prefix + "attention.head_count must be at least 1");
    const auto optional = [&](const std::string& key, std::int64_t otherwise) {
        if (file.has(prefix + key) && !file.integer(prefix + key) && !missing)
            missing = Error{prefix + key + " is not a single whole number, which is not supported"};
        return file.integer(prefix + key).value_or(otherwise);
    };
    config.kvHeads = optional("attention.head_count_kv", config.heads);
    config.headDim = optional("attention.key_length", config.hidden / config.heads);
    if (optional("attention.value_length", config.headDim) != config.headDim ||
        optional("rope.dimension_count", config.headDim) != config.headDim)
        return fail("keys, values and rotated dimensions of different sizes are not supported");
    if (optional("expert_count", 0) != 0)
        return fail("a mixture-of-experts base model is not supported");
    if (missing)
        return fail(*missing);
    const auto epsilon = file.number(prefix + "attention.layer_norm_rms_epsilon");
    if (!epsilon || !(*epsilon > 0 && *epsilon < 1))
        return fail(prefix + "attention.layer_norm_rms_epsilon is missing or not between 0 and 1");
    config.normEpsilon = *epsilon;
    config.ropeTheta = file.number(prefix + "rope.freq_base").value_or(10000);
    if (!(config.ropeTheta >= 1 && config.ropeTheta <= 1e12))
        return fail(prefix + "rope.freq_base must lie between 1 and 1e12");
    RANKSCOPE_CHECK(checkRopeScaling(file, prefix));

    const auto embedding = file.tensors().find("token_embd.weight");
    if (embedding != file.tensors().end() && embedding->second.shape.size() == 2)
        config.vocabulary = embedding->second.shape[0];
    else if (const auto* tokens = file.texts("tokenizer.ggml.tokens"))
        config.vocabulary = static_cast<std::int64_t>(tokens->size());
    config.tiedEmbeddings = !file.tensors().contains("output.weight");
    config.qkvBias = config.architecture == "qwen2";
    config.qkNorm = config.architecture == "qwen3";
    config.bosToken = file.integer("tokenizer.ggml.bos_token_id").value_or(-1);
    for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
        const auto token = file.integer(key);
        if (token &&
            std::find(config.eosTokens.begin(), config.eosTokens.end(), *token) == config.eosTokens.end())
            config.eosTokens.push_back(*token);
    }
    RANKSCOPE_CHECK(config.check());
    RANKSCOPE_CHECK(checkNeutral(file, prefix, config));
    RANKSCOPE_CHECK(readRopeFactors(file, config));
    return config;
}

Result<std::unique_ptr<BaseModelFiles>> GgufModelFiles::open(const std::filesystem::path& path)
{
    RANKSCOPE_TRY(const GgufFile file, GgufFile::open(path));
    return fromFile(file, path);
}

Result<std::unique_ptr<BaseModelFiles>> GgufModelFiles::fromFile(const GgufFile& file,
                                                                 const std::filesystem::path& path)
{
    auto files = std::make_unique<GgufModelFiles>();
    files->m_path = path;
    auto config = configFromGguf(file);
    if (!config)
        return fail(config.error().within(path.string()));
    files->m_config = std::move(*config);
    for (const auto& [name, view] : file.tensors()) {
        if (name == ropeFactorsName)
            continue;
        const std::string known = huggingFaceName(name);
        // One that is not known must not pass for another that has its name.
        files->m_tensors.emplace(known.empty() ? "gguf:" + name : known, view);
    }
    if (auto status = files->checkTensors(); !status)
        return fail(status.error().within(path.string()));
    return files;
}

std::int64_t GgufModelFiles::permutedHeads(const std::string& name) const
{
    // llama.cpp's converter interleaves the two halves of each head of q and k, for llama only.
    if (m_config.architecture != "llama")
        return 0;
    return name.find(".self_attn.q_proj.") != std::string::npos   ? m_config.heads
           : name.find(".self_attn.k_proj.") != std::string::npos ? m_config.kvHeads
                                                                  : 0;
}

const TensorView* GgufModelFiles::plainView(const std::string& name) const
{
    return permutedHeads(name) == 0 ? BaseModelFiles::plainView(name) : nullptr;
}

Status GgufModelFiles::read(const std::string& name, std::span<float> out) const
{
    const TensorView* tensor = find(name);
    const std::int64_t heads = permutedHeads(name);
    if (!tensor || heads == 0)
        return BaseModelFiles::read(name, out);
    const std::int64_t rows = tensor->shape[0];
    const std::int64_t headRows = rows / heads;
    const auto columns = static_cast<std::size_t>(tensor->elements() / std::max<std::int64_t>(rows, 1));
    if (rows == 0 || headRows * heads != rows || headRows % 2 != 0)
        return fail(m_path.string() + ": the rows of " + name + " do not divide into heads");
    if (out.size() != static_cast<std::size_t>(tensor->elements()))
        return fail("tensor " + name + " has " + std::to_string(tensor->elements()) +
                    " values, but room was given for " + std::to_string(out.size()));
    TensorView row = *tensor;
    row.shape = {static_cast<std::int64_t>(columns)};
    const std::size_t rowBytes = tensor->bytes.size() / static_cast<std::size_t>(rows);
    for (std::int64_t stored = 0; stored < rows; ++stored) {
        const std::int64_t head = stored / headRows;
        const std::int64_t within = stored % headRows;
        const std::int64_t target = head * headRows + (within % 2) * (headRows / 2) + within / 2;
        row.bytes = tensor->bytes.subspan(static_cast<std::size_t>(stored) * rowBytes, rowBytes);
        RANKSCOPE_CHECK(decode(row, out.subspan(static_cast<std::size_t>(target) * columns, columns)));
    }
    return {};
}

} // namespace rankscope::checkpoint

// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/model_config.h"

#include <array>

namespace rankscope::checkpoint
{
namespace
{

using base::Json;

constexpr std::int64_t tokenLimit = std::int64_t{1} << 24; // bounds that keep every product far from overflow
constexpr std::int64_t widthLimit = std::int64_t{1} << 20;
constexpr std::int64_t layerLimit = 4096;
constexpr std::int64_t positionLimit = std::int64_t{1} << 40;

/// Optional keys may be null in Hugging Face's files, which means: not set.
Json withoutNulls(const Json& config)
{
    Json cleaned = Json::object();
    for (const auto& item : config.items()) {
        if (!item.value().is_null())
            cleaned[item.key()] = item.value();
    }
    return cleaned;
}

Status readTokens(const Json& config, ModelConfig& model)
{
    const auto isToken = [](const Json& value) {
        return value.is_number_unsigned() &&
               value.get<std::uint64_t>() < static_cast<std::uint64_t>(tokenLimit);
    };
    if (const auto bos = config.find("bos_token_id"); bos != config.end()) {
        if (!isToken(*bos))
            return fail("bos_token_id is not a token's number");
        model.bosToken = bos->get<std::int64_t>();
    }
    if (const auto eos = config.find("eos_token_id"); eos != config.end()) {
        const Json list = eos->is_array() ? *eos : Json::array({*eos});
        for (const auto& token : list) {
            if (!isToken(token))
                return fail("eos_token_id is not a token's number or a list of them");
            model.eosTokens.push_back(token.get<std::int64_t>());
        }
    }
    return {};
}

/// `rope_scaling` (null, "default" or "llama3"); newer files put theta and scaling together in
/// `rope_parameters`.
Status readRope(const Json& config, ModelConfig& model)
{
    base::ObjectReader top(config, "");
    top.number("rope_theta", model.ropeTheta, 1, 1e12);
    RANKSCOPE_CHECK(top.finishLenient());
    for (const char* key : {"rope_scaling", "rope_parameters"}) {
        const Json* found = top.object(key);
        RANKSCOPE_CHECK(top.finishLenient());
        if (!found)
            continue;
        const Json object = withoutNulls(*found);
        base::ObjectReader rope(object, key);
        std::string type = "default";
        RopeScaling scaling;
        double partial = 1;
        rope.text("type", type).text("rope_type", type);
        rope.number("rope_theta", model.ropeTheta, 1, 1e12).number("partial_rotary_factor", partial, 0, 1);
        rope.number("factor", scaling.factor, 1, 1e6);
        rope.number("low_freq_factor", scaling.lowFrequencyFactor, 0, 1e6);
        rope.number("high_freq_factor", scaling.highFrequencyFactor, 0, 1e6);
        rope.integer("original_max_position_embeddings", scaling.originalMaxPosition, 1, positionLimit);
        RANKSCOPE_CHECK(rope.finishLenient());
        if (partial != 1)
            return fail(std::string(key) + " rotates only a part of each head, which is not supported");
        if (type == "llama3") {
            for (const char* needed :
                 {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"})
                rope.require(needed);
            RANKSCOPE_CHECK(rope.finishLenient());
            if (scaling.highFrequencyFactor <= scaling.lowFrequencyFactor)
                return fail(std::string(key) + ": high_freq_factor must be larger than low_freq_factor");
            model.ropeScaling = scaling;
        } else if (type != "default") {
            return fail(std::string(key) + " is of type '" + type +
                        "', but only 'default' and 'llama3' are supported");
        }
    }
    return {};
}

Result<ModelConfig> readDecoder(const Json& config, const std::string& architecture)
{
    ModelConfig model;
    model.architecture = architecture;
    model.normEpsilon = architecture == "phi3" ? 1e-5 : 1e-6; // the architectures' own defaults
    base::ObjectReader reader(config, "");
    for (const char* key :
         {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"})
        reader.require(key);
    reader.integer("vocab_size", model.vocabulary, 1, tokenLimit)
        .integer("hidden_size", model.hidden, 1, widthLimit)
        .integer("intermediate_size", model.feedForward, 1, widthLimit)
        .integer("num_hidden_layers", model.layers, 1, layerLimit)
        .integer("num_attention_heads", model.heads, 1, widthLimit);
    RANKSCOPE_CHECK(reader.finishLenient());
    model.kvHeads = model.heads;
    model.headDim = model.hidden / model.heads;
    if (architecture == "qwen3")
        model.headDim = 128;
    model.maxPosition = 2048;
    std::string activation = "silu";
    bool attentionBias = false;
    bool mlpBias = false;
    bool slidingWindow =
        architecture == "phi3"; // Phi-3 has a window wherever one is named, Qwen only on request
    std::int64_t window = positionLimit;
    double partial = 1;
    reader.integer("num_key_value_heads", model.kvHeads, 1, widthLimit)
        .integer("head_dim", model.headDim, 1, widthLimit)
        .integer("max_position_embeddings", model.maxPosition, 1, positionLimit)
        .number("rms_norm_eps", model.normEpsilon, 0, 1)
        .boolean("tie_word_embeddings", model.tiedEmbeddings)
        .text("hidden_act", activation)
        .boolean("attention_bias", attentionBias)
        .boolean("mlp_bias", mlpBias)
        .boolean("use_sliding_window", slidingWindow)
        .integer("sliding_window", window, 1, positionLimit)
        .number("partial_rotary_factor", partial, 0, 1);
    RANKSCOPE_CHECK(reader.finishLenient());
    if (activation != "silu")
        return fail("hidden_act is '" + activation + "', but only 'silu' is supported for " + architecture);
    if (attentionBias || mlpBias)
        return fail("attention_bias and mlp_bias are not supported for " + architecture);
    if (slidingWindow && window < model.maxPosition)
        return fail("attention in a sliding window of " + std::to_string(window) +
                    " tokens is not supported");
    if (partial != 1)
        return fail("partial_rotary_factor " + std::to_string(partial) + " is not supported; it must be 1");
    model.qkvBias = architecture == "qwen2";
    model.qkNorm = architecture == "qwen3";
    model.fusedProjections = architecture == "phi3";
    if (const Json* quantised = reader.object("quantization_config")) {
        model.quantisation = "by a method that is not named";
        base::ObjectReader(*quantised, "quantization_config").text("quant_method", model.quantisation);
    }
    RANKSCOPE_CHECK(reader.finishLenient());
    RANKSCOPE_CHECK(readRope(config, model));
    RANKSCOPE_CHECK(readTokens(config, model));
    return model;
}

Result<ModelConfig> readDeberta(const Json& config)
{
    ModelConfig model;
    model.architecture = "deberta-v2";
    model.normEpsilon = 1e-7;
    model.maxPosition = 512;
    model.labels = 2;
    base::ObjectReader reader(config, "");
    for (const char* key :
         {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"})
        reader.require(key);
    std::string activation = "gelu";
    bool relative = false;
    bool biasedInput = true;
    bool shareKey = false;
    std::string normRelative = "none";
    std::int64_t buckets = -1;
    std::int64_t maxRelative = -1;
    std::int64_t types = 0;
    std::int64_t convolution = 0;
    reader.integer("vocab_size", model.vocabulary, 1, tokenLimit)
        .integer("hidden_size", model.hidden, 1, widthLimit)
        .integer("intermediate_size", model.feedForward, 1, widthLimit)
        .integer("num_hidden_layers", model.layers, 1, layerLimit)
        .integer("num_attention_heads", model.heads, 1, widthLimit)
        .integer("max_position_embeddings", model.maxPosition, 1, widthLimit)
        .number("layer_norm_eps", model.normEpsilon, 0, 1)
        .text("hidden_act", activation)
        .boolean("relative_attention", relative)
        .boolean("position_biased_input", biasedInput)
        .boolean("share_att_key", shareKey)
        .text("norm_rel_ebd", normRelative)
        .integer("position_buckets", buckets, -1, widthLimit)
        .integer("max_relative_positions", maxRelative, -1, widthLimit)
        .integer("type_vocab_size", types, 0, widthLimit)
        .integer("conv_kernel_size", convolution, 0, widthLimit);
    if (const Json* names = reader.object("id2label"))
        model.labels = static_cast<std::int64_t>(names->size());
    reader.integer("num_labels", model.labels, 1, tokenLimit);
    RANKSCOPE_CHECK(reader.finishLenient());
    if (activation != "gelu" || !relative || biasedInput || !shareKey || normRelative != "layer_norm" ||
        types != 0 || convolution != 0)
        return fail("of the DeBERTa family only the layout of DeBERTa-V3 is supported (relative_attention, "
                    "share_att_key, "
                    "norm_rel_ebd layer_norm, no position_biased_input, no type_vocab_size, no convolution)");
    model.relativePositions = 2 * (buckets > 0 ? buckets : maxRelative > 0 ? maxRelative : model.maxPosition);
    model.kvHeads = model.heads;
    model.headDim = model.hidden / model.heads;
    RANKSCOPE_CHECK(readTokens(config, model));
    return model;
}

} // namespace

Result<ModelConfig> ModelConfig::fromHuggingFace(const Json& raw)
{
    if (!raw.is_object())
        return fail("config.json must be a JSON object");
    const Json config = withoutNulls(raw);
    std::string architecture;
    base::ObjectReader reader(config, "");
    reader.require("model_type").text("model_type", architecture);
    RANKSCOPE_CHECK(reader.finishLenient());
    Result<ModelConfig> model;
    if (architecture == "llama" || architecture == "qwen2" || architecture == "qwen3" ||
        architecture == "phi3")
        model = readDecoder(config, architecture);
    else if (architecture == "deberta-v2")
        model = readDeberta(config);
    else
        return fail("the architecture '" + architecture +
                    "' is not known; supported are llama, qwen2, qwen3, phi3 and deberta-v2");
    if (!model)
        return model;
    RANKSCOPE_CHECK(model->check());
    return model;
}

Status ModelConfig::check() const
{
    struct Bound {
        const char* name;
        std::int64_t value;
        std::int64_t maximum;
    };
    const std::array bounds{Bound{"vocabulary size", vocabulary, tokenLimit},
                            Bound{"hidden size", hidden, widthLimit},
                            Bound{"feed-forward size", feedForward, widthLimit},
                            Bound{"number of layers", layers, layerLimit},
                            Bound{"number of heads", heads, widthLimit},
                            Bound{"number of key-value heads", kvHeads, widthLimit},
                            Bound{"head size", headDim, widthLimit},
                            Bound{"number of positions", maxPosition, positionLimit}};
    for (const Bound& bound : bounds) {
        if (bound.value < 1 || bound.value > bound.maximum)
            return fail(std::string("the model's ") + bound.name + " is " + std::to_string(bound.value) +
                        ", but must lie between 1 and " + std::to_string(bound.maximum));
    }
    if (heads % kvHeads != 0)
        return fail("the model's " + std::to_string(heads) + " heads cannot share " +
                    std::to_string(kvHeads) + " key-value heads evenly");
    if (heads * headDim > widthLimit)
        return fail("the model's heads together are " + std::to_string(heads * headDim) +
                    " wide, more than the supported " + std::to_string(widthLimit));
    const bool encoder = architecture == "deberta-v2";
    if (!encoder && headDim % 2 != 0)
        return fail("the model's head size " + std::to_string(headDim) +
                    " is odd, so its positions cannot be rotated in pairs");
    if (encoder && heads * headDim != hidden)
        return fail("the model's hidden size " + std::to_string(hidden) + " is not a multiple of its " +
                    std::to_string(heads) + " heads");
    for (const std::int64_t token : eosTokens) {
        if (token < 0 || token >= vocabulary)
            return fail("the end token " + std::to_string(token) + " lies outside the vocabulary of " +
                        std::to_string(vocabulary));
    }
    if (bosToken >= vocabulary)
        return fail("the begin token " + std::to_string(bosToken) + " lies outside the vocabulary of " +
                    std::to_string(vocabulary));
    return {};
}

std::vector<LinearShape> ModelConfig::linears() const
{
    std::vector<LinearShape> list;
    const std::int64_t query = heads * headDim;
    const std::int64_t keyValue = kvHeads * headDim;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        const auto add = [&](const std::string& prefix, const std::string& module, std::int64_t in,
                             std::int64_t out, bool bias) {
            list.push_back({layer, module, prefix + module, in, out, bias});
        };
        if (architecture == "deberta-v2") {
            const std::string path = "deberta.encoder.layer." + std::to_string(layer) + ".";
            for (const char* module : {"query_proj", "key_proj", "value_proj"})
                add(path + "attention.self.", module, hidden, hidden, true);
            add(path, "attention.output.dense", hidden, hidden, true);
            add(path, "intermediate.dense", hidden, feedForward, true);
            add(path, "output.dense", feedForward, hidden, true);
            continue;
        }
        const std::string path = "model.layers." + std::to_string(layer) + ".";
        const std::string attention = path + "self_attn.";
        const std::string mlp = path + "mlp.";
        if (fusedProjections) {
            add(attention, "qkv_proj", hidden, query + 2 * keyValue, qkvBias);
            add(attention, "o_proj", query, hidden, false);
            add(mlp, "gate_up_proj", hidden, 2 * feedForward, false);
        } else {
            add(attention, "q_proj", hidden, query, qkvBias);
            add(attention, "k_proj", hidden, keyValue, qkvBias);
            add(attention, "v_proj", hidden, keyValue, qkvBias);
            add(attention, "o_proj", query, hidden, false);
            add(mlp, "gate_proj", hidden, feedForward, false);
            add(mlp, "up_proj", hidden, feedForward, false);
        }
        add(mlp, "down_proj", feedForward, hidden, false);
    }
    return list;
}

std::vector<TensorShape> ModelConfig::tensors() const
{
    std::vector<TensorShape> list;
    if (architecture == "deberta-v2") {
        list.push_back({"deberta.embeddings.word_embeddings.weight", {vocabulary, hidden}});
    } else {
        list.push_back({"model.embed_tokens.weight", {vocabulary, hidden}});
        list.push_back({"model.norm.weight", {hidden}});
        if (!tiedEmbeddings)
            list.push_back({"lm_head.weight", {vocabulary, hidden}});
        for (std::int64_t layer = 0; layer < layers; ++layer) {
            const std::string path = "model.layers." + std::to_string(layer) + ".";
            list.push_back({path + "input_layernorm.weight", {hidden}});
            list.push_back({path + "post_attention_layernorm.weight", {hidden}});
            if (qkNorm) {
                list.push_back({path + "self_attn.q_norm.weight", {headDim}});
                list.push_back({path + "self_attn.k_norm.weight", {headDim}});
            }
        }
    }
    for (const LinearShape& linear : linears()) {
        list.push_back({linear.path + ".weight", {linear.out, linear.in}});
        if (linear.bias)
            list.push_back({linear.path + ".bias", {linear.out}});
    }
    return list;
}

std::int64_t ModelConfig::parameters() const
{
    std::int64_t total = vocabulary * hidden;
    for (const LinearShape& linear : linears())
        total += linear.in * linear.out + (linear.bias ? linear.out : 0);
    if (architecture == "deberta-v2") {
        total += 2 * hidden;                              // norm of the embeddings
        total += layers * 4 * hidden;                     // two norms a layer, weight and bias
        total += relativePositions * hidden + 2 * hidden; // relative positions and their norm
        total += hidden * hidden + hidden;                // pooler
        return total + labels * hidden + labels;          // classifier
    }
    if (!tiedEmbeddings)
        total += vocabulary * hidden;
    total += (2 * layers + 1) * hidden; // two norms a layer and the last
    if (qkNorm)
        total += layers * 2 * headDim;
    return total;
}

} // namespace rankscope::checkpoint

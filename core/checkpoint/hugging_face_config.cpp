// SPDX-License-Identifier: Apache-2.0
// A model's config.json from its shape: for a base that came as a GGUF and leaves as a Hugging Face folder.
#include "core/checkpoint/model_config.h"

#include <map>

namespace rankscope::checkpoint
{

base::OrderedJson ModelConfig::toHuggingFace() const
{
    static const std::map<std::string, const char*> classes{{"llama", "LlamaForCausalLM"},
                                                            {"qwen2", "Qwen2ForCausalLM"},
                                                            {"qwen3", "Qwen3ForCausalLM"},
                                                            {"phi3", "Phi3ForCausalLM"}};
    base::OrderedJson json;
    if (const auto found = classes.find(architecture); found != classes.end())
        json["architectures"] = {found->second};
    json["model_type"] = architecture;
    json["vocab_size"] = vocabulary;
    json["hidden_size"] = hidden;
    json["intermediate_size"] = feedForward;
    json["num_hidden_layers"] = layers;
    json["num_attention_heads"] = heads;
    json["num_key_value_heads"] = kvHeads;
    json["head_dim"] = headDim;
    json["max_position_embeddings"] = maxPosition;
    json["rms_norm_eps"] = normEpsilon;
    json["rope_theta"] = ropeTheta;
    json["rope_scaling"] = nullptr;
    if (ropeScaling)
        json["rope_scaling"] = {{"rope_type", "llama3"},
                                {"factor", ropeScaling->factor},
                                {"low_freq_factor", ropeScaling->lowFrequencyFactor},
                                {"high_freq_factor", ropeScaling->highFrequencyFactor},
                                {"original_max_position_embeddings", ropeScaling->originalMaxPosition}};
    json["tie_word_embeddings"] = tiedEmbeddings;
    json["hidden_act"] = "silu";
    if (bosToken >= 0)
        json["bos_token_id"] = bosToken;
    if (eosTokens.size() == 1)
        json["eos_token_id"] = eosTokens.front();
    else if (!eosTokens.empty())
        json["eos_token_id"] = eosTokens;
    return json;
}

} // namespace rankscope::checkpoint

// SPDX-License-Identifier: Apache-2.0
#include "core/text/gguf_tokenizer_json.h"

#include "core/text/bpe_tokenizer.h"

namespace rankscope::text
{
namespace
{

using base::Json;

constexpr std::int64_t control = 3;
constexpr std::int64_t userDefined = 4;

Json addedToken(const std::string& content, std::size_t id, bool special)
{
    return {{"id", id},        {"content", content},     {"single_word", false}, {"lstrip", false},
            {"rstrip", false}, {"normalized", !special}, {"special", special}};
}

/// The token that the metadata names by its id; empty if there is none.
std::string named(const checkpoint::GgufFile& file, const char* key, const std::vector<std::string>& tokens)
{
    const auto id = file.integer(key);
    return id && *id >= 0 && *id < static_cast<std::int64_t>(tokens.size())
               ? tokens[static_cast<std::size_t>(*id)]
               : std::string();
}

} // namespace

Result<TokenizerJson> tokenizerJson(const checkpoint::GgufFile& file)
{
    // The checks of our own reader: what it opens can be written.
    RANKSCOPE_CHECK(BpeTokenizer::fromGguf(file));
    const std::string& pre = *file.text("tokenizer.ggml.pre");
    const auto& tokens = *file.texts("tokenizer.ggml.tokens");
    Json vocabulary = Json::object();
    for (std::size_t id = 0; id < tokens.size(); ++id)
        vocabulary[tokens[id]] = id;
    Json added = Json::array();
    if (const auto types = file.integers("tokenizer.ggml.token_type")) {
        for (std::size_t id = 0; id < types->size(); ++id) {
            const std::int64_t type = (*types)[id];
            if ((type == control || type == userDefined) && !tokens[id].empty())
                added.push_back(addedToken(tokens[id], id, type == control));
        }
    }
    TokenizerJson result;
    result.tokenizer = {
        {"version", "1.0"},
        {"truncation", nullptr},
        {"padding", nullptr},
        {"added_tokens", std::move(added)},
        {"normalizer", nullptr},
        {"post_processor", nullptr},
        {"decoder",
         {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
        {"model",
         {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", pre.starts_with("llama")},
          {"vocab", std::move(vocabulary)},
          {"merges", *file.texts("tokenizer.ggml.merges")}}}};
    RANKSCOPE_TRY(result.tokenizer["pre_tokenizer"], PreTokenizer::jsonForGgufName(pre));
    if (pre == "qwen2")
        result.tokenizer["normalizer"] = {{"type", "NFC"}};
    const std::string beginning = named(file, "tokenizer.ggml.bos_token_id", tokens);
    const std::string end = named(file, "tokenizer.ggml.eos_token_id", tokens);
    const std::string padding = named(file, "tokenizer.ggml.padding_token_id", tokens);
    if (file.boolean("tokenizer.ggml.add_bos_token").value_or(false) && !beginning.empty()) {
        const Json begin{{"SpecialToken", {{"id", beginning}, {"type_id", 0}}}};
        const Json first{{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
        const Json second{{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
        result.tokenizer["post_processor"] = {
            {"type", "TemplateProcessing"},
            {"single", {begin, first}},
            {"pair", {begin, first, begin, second}},
            {"special_tokens",
             {{beginning,
               {{"id", beginning},
                {"ids", Json::array({*file.integer("tokenizer.ggml.bos_token_id")})},
                {"tokens", Json::array({beginning})}}}}}};
    }
    result.config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
    if (!beginning.empty())
        result.config["bos_token"] = beginning;
    if (!end.empty())
        result.config["eos_token"] = end;
    if (!padding.empty())
        result.config["pad_token"] = padding;
    if (const std::string* chat = file.text("tokenizer.chat_template"))
        result.config["chat_template"] = *chat;
    return result;
}

} // namespace rankscope::text

// SPDX-License-Identifier: Apache-2.0
// Where a BpeTokenizer comes from: tokenizer.json, GGUF metadata, and Tokenizer::open, which tells them
// apart.
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/text/bpe_tokenizer.h"

#include <algorithm>

namespace rankscope::text
{
namespace fs = std::filesystem;
namespace
{

using base::Json;

constexpr std::int64_t maxTokens = std::int64_t{1} << 24;

/// `normalizer`: none, NFC, or a sequence of these. True: NFC.
Result<bool> readNormalizer(const Json& json)
{
    if (json.is_null())
        return false;
    const std::string type =
        json.is_object() ? json.value("type", Json()).is_string() ? json["type"].get<std::string>() : "" : "";
    if (type == "NFC")
        return true;
    if (type == "Sequence" && json.contains("normalizers") && json["normalizers"].is_array()) {
        bool compose = false;
        for (const auto& part : json["normalizers"]) {
            RANKSCOPE_TRY(const bool here, readNormalizer(part));
            compose = compose || here;
        }
        return compose;
    }
    return fail("the normalizer '" + type + "' is not supported; none and NFC are");
}

Result<std::vector<std::string>> readVocabulary(const Json& model)
{
    const auto vocabulary = model.find("vocab");
    if (vocabulary == model.end() || !vocabulary->is_object())
        return fail("model.vocab must be a JSON object");
    // Ids need not be dense, but a huge one would cost memory for nothing.
    const auto limit =
        std::min<std::uint64_t>(static_cast<std::uint64_t>(maxTokens), 4 * vocabulary->size() + 1024);
    std::vector<std::string> tokens;
    for (const auto& item : vocabulary->items()) {
        if (!item.value().is_number_unsigned() || item.value().get<std::uint64_t>() >= limit)
            return fail("model.vocab: the id of '" + item.key() + "' is not a possible token number");
        const auto id = item.value().get<std::size_t>();
        if (id >= tokens.size())
            tokens.resize(id + 1);
        if (!tokens[id].empty())
            return fail("model.vocab: '" + item.key() + "' and '" + tokens[id] + "' have the same id");
        tokens[id] = item.key();
    }
    return tokens;
}

Result<AddedToken> readAddedToken(const Json& json, std::size_t vocabulary)
{
    AddedToken token;
    std::int64_t id = -1;
    base::ObjectReader reader(json, "added_tokens");
    reader.require("id").require("content");
    reader.integer("id", id, 0, static_cast<std::int64_t>(vocabulary) + 65536)
        .text("content", token.content)
        .boolean("special", token.special)
        .boolean("normalized", token.normalized)
        .boolean("lstrip", token.leftStrip)
        .boolean("rstrip", token.rightStrip)
        .boolean("single_word", token.singleWord);
    RANKSCOPE_CHECK(reader.finishLenient());
    if (token.content.empty())
        return fail("added_tokens holds an empty token");
    token.id = static_cast<TokenId>(id);
    return token;
}

/// The end token's text, from tokenizer_config.json beside the tokenizer: a text, or an object with
/// `content`.
std::string endTokenBeside(const fs::path& folder)
{
    std::error_code code;
    const fs::path path = folder / "tokenizer_config.json";
    if (!fs::exists(path, code))
        return {};
    const auto json = base::readJsonFile(path);
    if (!json || !json->is_object() || !json->contains("eos_token"))
        return {};
    const Json& token = (*json)["eos_token"];
    if (token.is_string())
        return token.get<std::string>();
    if (token.is_object() && token.contains("content") && token["content"].is_string())
        return token["content"].get<std::string>();
    return {};
}

} // namespace

Status BpeTokenizer::readMerges(const Json& model)
{
    const auto merges = model.find("merges");
    if (merges == model.end() || !merges->is_array())
        return fail("model.merges must be a list");
    std::int32_t rank = 0;
    for (const auto& merge : *merges) {
        if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
            RANKSCOPE_CHECK(addMerge(merge[0].get_ref<const std::string&>(),
                                     merge[1].get_ref<const std::string&>(), rank++));
            continue;
        }
        const std::string_view pair =
            merge.is_string() ? std::string_view(merge.get_ref<const std::string&>()) : std::string_view();
        const auto space = pair.find(' ');
        if (space == std::string_view::npos)
            return fail("model.merges: entry " + std::to_string(rank + 1) +
                        " is neither a pair nor a text with a space");
        RANKSCOPE_CHECK(addMerge(pair.substr(0, space), pair.substr(space + 1), rank++));
    }
    return {};
}

Result<std::shared_ptr<const Tokenizer>> BpeTokenizer::fromJson(const Json& json,
                                                                const std::string& endOfText)
{
    if (!json.is_object())
        return fail("it must be a JSON object");
    const auto model = json.find("model");
    if (model == json.end() || !model->is_object())
        return fail("it has no model");
    base::ObjectReader reader(*model, "model");
    std::string type = "BPE";
    reader.text("type", type);
    bool ignoreMerges = false;
    bool byteFallback = false;
    for (const auto& [key, target] :
         {std::pair{"ignore_merges", &ignoreMerges}, std::pair{"byte_fallback", &byteFallback}}) {
        if (model->contains(key) && !(*model)[key].is_null())
            reader.boolean(key, *target);
    }
    RANKSCOPE_CHECK(reader.finishLenient());
    if (type != "BPE")
        return fail("its model is of type '" + type + "', but only byte-level BPE is supported");
    for (const char* key : {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
        const auto option = model->find(key);
        if (option != model->end() && !option->is_null() && *option != "")
            return fail(std::string("its option model.") + key +
                        " is set, which byte-level BPE does not use");
    }
    if (byteFallback)
        return fail("its option model.byte_fallback is set, which byte-level BPE does not use");

    auto tokenizer = std::make_shared<BpeTokenizer>();
    RANKSCOPE_TRY(tokenizer->m_composeNfc, readNormalizer(json.value("normalizer", Json())));
    RANKSCOPE_TRY(tokenizer->m_preTokenizer, PreTokenizer::fromJson(json.value("pre_tokenizer", Json())));
    RANKSCOPE_TRY(std::vector<std::string> tokens, readVocabulary(*model));
    if (tokens.empty())
        return fail("model.vocab is empty");
    const std::size_t size = tokens.size();
    RANKSCOPE_CHECK(tokenizer->setVocabulary(std::move(tokens)));
    RANKSCOPE_CHECK(tokenizer->readMerges(*model));
    tokenizer->m_ignoreMerges = ignoreMerges;
    if (const auto added = json.find("added_tokens"); added != json.end() && !added->is_null()) {
        if (!added->is_array())
            return fail("added_tokens must be a list");
        for (const auto& item : *added) {
            RANKSCOPE_TRY(AddedToken token, readAddedToken(item, size));
            RANKSCOPE_CHECK(tokenizer->addAddedToken(std::move(token)));
        }
    }
    tokenizer->finish(endOfText);
    return tokenizer;
}

Result<std::shared_ptr<const Tokenizer>> BpeTokenizer::fromGguf(const checkpoint::GgufFile& file)
{
    const std::string* kind = file.text("tokenizer.ggml.model");
    if (!kind || *kind != "gpt2")
        return fail("tokenizer.ggml.model is '" + (kind ? base::shown(*kind) : std::string("missing")) +
                    "', but only 'gpt2' (byte-level BPE) is supported");
    const std::string* pre = file.text("tokenizer.ggml.pre");
    const auto* tokens = file.texts("tokenizer.ggml.tokens");
    const auto* merges = file.texts("tokenizer.ggml.merges");
    if (!pre || !tokens || !merges || tokens->empty())
        return fail("tokenizer.ggml.pre, tokens or merges is missing");
    if (tokens->size() > static_cast<std::size_t>(maxTokens))
        return fail("tokenizer.ggml.tokens has more tokens than are supported");
    auto tokenizer = std::make_shared<BpeTokenizer>();
    RANKSCOPE_TRY(tokenizer->m_preTokenizer, PreTokenizer::fromGgufName(*pre));
    tokenizer->m_composeNfc = *pre == "qwen2"; // GGUF does not say; the published Qwen tokenizers compose
    tokenizer->m_ignoreMerges = pre->starts_with("llama");
    RANKSCOPE_CHECK(tokenizer->setVocabulary(*tokens));
    std::int32_t rank = 0;
    for (const std::string& merge : *merges) {
        const auto space = merge.find(' ', 1); // the left part is never empty
        if (merge.empty() || space == std::string::npos)
            return fail("tokenizer.ggml.merges: entry " + std::to_string(rank + 1) +
                        " is not two texts with a space between");
        RANKSCOPE_CHECK(tokenizer->addMerge(std::string_view(merge).substr(0, space),
                                            std::string_view(merge).substr(space + 1), rank++));
    }
    if (file.has("tokenizer.ggml.token_type")) {
        const auto types = file.integers("tokenizer.ggml.token_type");
        if (!types || types->size() != tokens->size())
            return fail("tokenizer.ggml.token_type does not give one type to each token");
        constexpr std::int64_t control = 3;
        constexpr std::int64_t userDefined = 4;
        for (std::size_t id = 0; id < types->size(); ++id) {
            const std::int64_t type = (*types)[id];
            if ((type == control || type == userDefined) && !(*tokens)[id].empty()) {
                AddedToken token;
                token.id = static_cast<TokenId>(id);
                token.content = (*tokens)[id];
                token.special = type == control;
                RANKSCOPE_CHECK(tokenizer->addAddedToken(std::move(token)));
            }
        }
    }
    if (const auto end = file.integer("tokenizer.ggml.eos_token_id")) {
        if (*end < 0 || *end >= static_cast<std::int64_t>(tokens->size()))
            return fail("tokenizer.ggml.eos_token_id is not a token of the vocabulary");
        tokenizer->m_endOfText = static_cast<TokenId>(*end);
    }
    tokenizer->finish({});
    return tokenizer;
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::open(const fs::path& model)
{
    using Opened = Result<std::shared_ptr<const Tokenizer>>;
    const auto named = [](const fs::path& path, Opened tokenizer) -> Opened {
        if (!tokenizer)
            return fail("cannot use the tokenizer of " + path.string() + ": " + tokenizer.error().message);
        return tokenizer;
    };
    std::error_code code;
    if (!fs::exists(model, code))
        return fail("the model " + model.string() + " does not exist");
    if (model.extension() == ".gguf") {
        RANKSCOPE_TRY(const auto file, checkpoint::GgufFile::open(model));
        return named(model, BpeTokenizer::fromGguf(file));
    }
    fs::path json = model;
    if (fs::is_directory(model, code))
        json = model / "tokenizer.json";
    else if (model.filename() == "config.json") // a bare config of a folder
        json = model.parent_path() / "tokenizer.json";
    if (!fs::exists(json, code))
        return fail(model.string() + " has no tokenizer: " + json.filename().string() + " is missing");
    RANKSCOPE_TRY(const Json content, base::readJsonFile(json));
    return named(json, BpeTokenizer::fromJson(content, endTokenBeside(json.parent_path())));
}

} // namespace rankscope::text

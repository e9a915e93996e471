// SPDX-License-Identifier: Apache-2.0
// Byte-level byte-pair encoding.
#pragma once

#include "core/checkpoint/gguf.h"
#include "core/text/added_tokens.h"
#include "core/text/pre_tokenizer.h"
#include "core/text/tokenizer.h"

#include <array>
#include <mutex>
#include <unordered_map>

namespace rankscope::text
{

class BpeTokenizer : public Tokenizer
{
public:
    /// From a parsed tokenizer.json. `endOfText`: the text of the end token, where another file names it.
    static Result<std::shared_ptr<const Tokenizer>> fromJson(const base::Json& json,
                                                             const std::string& endOfText = {});
    /// From the `tokenizer.ggml.*` metadata of a GGUF.
    static Result<std::shared_ptr<const Tokenizer>> fromGguf(const checkpoint::GgufFile& file);

    [[nodiscard]] Encoding encode(std::string_view text, bool parseSpecial) const override;
    [[nodiscard]] std::string decode(std::span<const TokenId> ids, bool skipSpecial) const override;
    [[nodiscard]] std::size_t vocabularySize() const override { return m_tokens.size(); }
    [[nodiscard]] TokenId find(std::string_view token) const override;
    [[nodiscard]] TokenId endOfText() const override { return m_endOfText; }

private:
    struct Merge {
        std::int32_t rank = 0;
        TokenId result = -1;
    };
    struct Transparent {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };

    Status setVocabulary(std::vector<std::string> tokens);
    Status addMerge(std::string_view left, std::string_view right, std::int32_t rank);
    Status addAddedToken(AddedToken token);
    Status readMerges(const base::Json& model);
    void finish(const std::string& endOfText);

    void encodeText(std::string_view text, Encoding& out) const;
    void encodeWord(std::string_view word, Encoding& out) const;
    [[nodiscard]] std::vector<TokenId> mergeWord(std::string_view word, std::size_t& dropped) const;

    std::vector<std::string> m_tokens; ///< by id, in the byte alphabet; empty: no such id
    std::vector<std::string> m_bytes;  ///< by id: what decoding gives
    std::vector<bool> m_special;       ///< by id
    std::unordered_map<std::string, TokenId, Transparent, std::equal_to<>> m_ids;
    std::unordered_map<std::uint64_t, Merge> m_merges; ///< by the pair of ids
    std::array<TokenId, 256> m_byteIds{};              ///< -1: the vocabulary lacks the byte
    AddedTokens m_added;
    PreTokenizer m_preTokenizer;
    bool m_composeNfc = false;
    bool m_ignoreMerges = false; ///< a word that is a token needs no merges (Llama 3)
    TokenId m_endOfText = -1;

    mutable std::mutex m_cacheMutex;
    mutable std::unordered_map<std::string, std::vector<TokenId>, Transparent, std::equal_to<>> m_cache;
};

} // namespace rankscope::text

// SPDX-License-Identifier: Apache-2.0
// Byte-level BPE, as published in tokenizer.json or in a GGUF's metadata.
#pragma once

#include "core/base/result.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rankscope::text
{

using TokenId = std::int32_t;

class Tokenizer
{
public:
    virtual ~Tokenizer() = default;

    /// The tokenizer that belongs to a base model: a .gguf, a Hugging Face folder, or a tokenizer.json
    /// itself.
    static Result<std::shared_ptr<const Tokenizer>> open(const std::filesystem::path& model);

    struct Encoding {
        std::vector<TokenId> ids;
        /// Input bytes that the vocabulary cannot express and that therefore have no token. Never silently
        /// dropped: the caller reports them.
        std::size_t droppedBytes = 0;
    };
    /// Special tokens written in the text ("<|im_start|>") become their ids when `parseSpecial`, else plain
    /// text. No beginning-of-text token is added.
    [[nodiscard]] virtual Encoding encode(std::string_view text, bool parseSpecial = true) const = 0;
    /// The text of the ids. Invalid UTF-8 at the seams is kept as bytes; special tokens are left out if
    /// asked.
    [[nodiscard]] virtual std::string decode(std::span<const TokenId> ids, bool skipSpecial = true) const = 0;

    [[nodiscard]] virtual std::size_t vocabularySize() const = 0;
    /// The id of a token by its own text (a special token, say); -1 if there is none.
    [[nodiscard]] virtual TokenId find(std::string_view token) const = 0;
    [[nodiscard]] virtual TokenId endOfText() const = 0;
};

} // namespace rankscope::text

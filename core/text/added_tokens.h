// SPDX-License-Identifier: Apache-2.0
// Tokens that stand outside the merges ("<|im_start|>"): found in the text before anything else is cut.
#pragma once

#include "core/text/tokenizer.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace rankscope::text
{

struct AddedToken {
    TokenId id = -1;
    std::string content;
    bool special = false;
    bool normalized = false; ///< looked for after normalisation, not before
    bool leftStrip = false;  ///< swallows the white space before it
    bool rightStrip = false; ///< and after it
    bool singleWord = false; ///< only where no word character touches it
};

class AddedTokens
{
public:
    void add(AddedToken token);
    [[nodiscard]] const std::vector<AddedToken>& all() const { return m_tokens; }

    struct Section {
        std::string_view text;             ///< the stretch of text; with a token, what it covers
        const AddedToken* token = nullptr; ///< null: ordinary text
    };
    /// The text as stretches between tokens and the tokens themselves; of several that match at a place the
    /// longest wins. Only tokens with that `normalized` flag are looked for; special ones only if `special`.
    [[nodiscard]] std::vector<Section> split(std::string_view text, bool normalized, bool special) const;

private:
    std::vector<AddedToken> m_tokens;
    std::array<std::vector<std::size_t>, 256> m_byFirstByte; ///< longest first
};

} // namespace rankscope::text

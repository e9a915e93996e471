// SPDX-License-Identifier: Apache-2.0
// Cuts text into the pieces within which BPE merges: the regular expressions of the published tokenizers, by
// PCRE2.
#pragma once

#include "core/base/json.h"
#include "core/base/result.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rankscope::text
{

class PreTokenizer
{
public:
    /// From the `pre_tokenizer` of a tokenizer.json: Sequence, Split, Digits, ByteLevel. Errors: another
    /// kind, an option that is not supported, a pattern that does not compile, no ByteLevel at all.
    static Result<PreTokenizer> fromJson(const base::Json& json);
    /// From a GGUF's `tokenizer.ggml.pre`: "smollm", "gpt-2", "llama-bpe", "qwen2" and their published
    /// aliases.
    static Result<PreTokenizer> fromGgufName(const std::string& name);
    /// The same as a tokenizer.json's `pre_tokenizer`.
    static Result<base::Json> jsonForGgufName(const std::string& name);

    /// The pieces in order; together they are the text (less what a Split removes). Bytes that are not valid
    /// UTF-8 match no pattern and come out as they are.
    [[nodiscard]] std::vector<std::string_view> split(std::string_view text) const;
    /// A space goes before every stretch of text that does not begin with one.
    [[nodiscard]] bool prefixSpace() const { return m_prefixSpace; }

private:
    struct Pattern; ///< a compiled regular expression
    struct Step {
        std::shared_ptr<const Pattern> pattern;
        bool keepMatches = true;
        bool keepGaps = true;
    };
    Status addStep(const std::string& expression, bool keepMatches = true, bool keepGaps = true);
    Status addJson(const base::Json& json, bool& byteLevel);
    static void splitOnce(const Step& step, std::string_view text, std::vector<std::string_view>& pieces);

    std::vector<Step> m_steps;
    bool m_prefixSpace = false;
};

} // namespace rankscope::text

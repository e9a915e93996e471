// SPDX-License-Identifier: Apache-2.0
// How a conversation becomes text for a model family.
#pragma once

#include "core/base/result.h"

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rankscope::text
{

struct Message {
    std::string role; ///< "system", "user", "assistant"
    std::string content;
};

/// ChatML (SmolLM2, Qwen), Llama 3, Phi-4, or plain text for a base model without a template. Chosen by
/// what the template that comes with the model makes of a few conversations.
class ChatTemplate
{
public:
    enum class Format { ChatMl, Llama3, Phi4, Plain };

    explicit ChatTemplate(Format format = Format::Plain, std::string defaultSystem = {});
    /// The format that writes what a model's own (Jinja) template writes; empty text: Plain. If none does,
    /// the one whose special tokens it has, and departure() says so.
    static ChatTemplate recognise(std::string_view jinja);
    /// The template that comes with a model: in a GGUF's metadata, or in a Hugging Face folder's
    /// chat_template.jinja or tokenizer_config.json. A model without one speaks plain text.
    static Result<ChatTemplate> forModel(const std::filesystem::path& model);

    [[nodiscard]] Format format() const { return m_format; }
    /// The text up to where the assistant starts to speak.
    [[nodiscard]] std::string prompt(std::span<const Message> messages) const;
    /// The system message that is inserted when none is given; empty: none.
    [[nodiscard]] const std::string& defaultSystem() const { return m_defaultSystem; }
    /// Where the model's own template writes something else, or may: a sentence that says so, and what to do.
    [[nodiscard]] std::string departure() const;
    /// What closes the assistant's turn: the token at which the model stops ("<|im_end|>", without the
    /// newline that follows it between turns). Empty for plain text, which ends with the tokenizer's end
    /// token.
    [[nodiscard]] std::string endOfTurn() const;

private:
    Format m_format;
    bool m_exact = true;         ///< no more and no less than the model's own template writes
    std::string m_defaultSystem; ///< the system message the template inserts when none is given
    std::string
        m_systemPreamble; ///< what the template puts before every system message (Llama 3.1: the dates)
};

} // namespace rankscope::text

// SPDX-License-Identifier: Apache-2.0
// How a conversation becomes text for a model family.
#pragma once

#include "core/base/result.h"

#include <span>
#include <string>
#include <vector>

namespace rankscope::text {

struct Message {
    std::string role; ///< "system", "user", "assistant"
    std::string content;
};

/// ChatML (SmolLM2, Qwen), Llama 3, Phi-4, or plain text for a base model without a template. Chosen from the special
/// tokens the vocabulary has and the template text that comes with the model.
class ChatTemplate
{
public:
    enum class Format { ChatMl, Llama3, Phi4, Plain };

    explicit ChatTemplate(Format format = Format::Plain, std::string defaultSystem = {});
    /// Recognises the format from a model's own (Jinja) template text; empty text: Plain.
    static ChatTemplate recognise(std::string_view jinja);

    [[nodiscard]] Format format() const { return m_format; }
    /// The text up to where the assistant starts to speak.
    [[nodiscard]] std::string prompt(std::span<const Message> messages) const;
    /// What closes the assistant's turn ("<|im_end|>\n" without the newline where the model stops at the token).
    [[nodiscard]] std::string endOfTurn() const;

private:
    Format m_format;
    std::string m_defaultSystem; ///< the system message the template inserts when none is given
};

} // namespace rankscope::text

// SPDX-License-Identifier: Apache-2.0
#include "core/text/chat_template.h"

#include "core/base/files.h"
#include "core/base/json.h"
#include "core/checkpoint/gguf.h"

#include <optional>

namespace rankscope::text
{
namespace fs = std::filesystem;
namespace
{

/// As in Llama 3.1's and 3.2's templates when no date is given, so that the same row is the same text on
/// every day.
constexpr const char* llama31Preamble = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

/// Jinja's `trim`.
std::string trimmed(const std::string& text)
{
    constexpr const char* space = " \t\n\r\v\f";
    const auto begin = text.find_first_not_of(space);
    if (begin == std::string::npos)
        return {};
    return text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

/// The text of a Jinja literal that closes at `end` or at the literal's quote; nullopt where the quote comes
/// first, which means that the text is put together from parts.
std::optional<std::string> literalUpTo(std::string_view jinja, std::string_view end)
{
    std::string text;
    for (std::size_t i = 0; i < jinja.size(); ++i) {
        if (jinja.substr(i).starts_with(end))
            return text;
        if (jinja[i] == '\'' || jinja[i] == '"')
            return std::nullopt;
        if (jinja[i] == '\\' && i + 1 < jinja.size()) {
            ++i;
            text += jinja[i] == 'n' ? '\n' : jinja[i] == 't' ? '\t' : jinja[i];
        } else {
            text += jinja[i];
        }
    }
    return std::nullopt;
}

/// The default system message of a ChatML template stands there as one literal:
/// "<|im_start|>system\n...<|im_end|>".
std::string chatMlDefaultSystem(std::string_view jinja)
{
    constexpr std::string_view opening = "<|im_start|>system";
    std::size_t next = jinja.find(opening);
    while (next != std::string_view::npos) {
        const std::size_t at = next + opening.size();
        next = jinja.find(opening, at);
        // Looking no further than the next opening keeps the time in proportion to the text.
        std::string_view rest = jinja.substr(at, next == std::string_view::npos ? next : next - at);
        if (rest.starts_with("\\n"))
            rest.remove_prefix(2);
        else if (rest.starts_with("\n"))
            rest.remove_prefix(1);
        else
            continue;
        if (const auto text = literalUpTo(rest, "<|im_end|>"); text && text->find("{{") == std::string::npos)
            return *text;
    }
    return {};
}

} // namespace

ChatTemplate::ChatTemplate(Format format, std::string defaultSystem)
    : m_format(format),
      m_defaultSystem(std::move(defaultSystem))
{
}

ChatTemplate ChatTemplate::recognise(std::string_view jinja)
{
    const auto has = [&](std::string_view text) { return jinja.find(text) != std::string_view::npos; };
    if (has("<|start_header_id|>")) {
        ChatTemplate result(Format::Llama3);
        if (has("Cutting Knowledge Date"))
            result.m_systemPreamble = llama31Preamble;
        return result;
    }
    if (has("<|im_start|>") && has("<|im_sep|>"))
        return ChatTemplate(Format::Phi4);
    if (has("<|im_start|>"))
        return ChatTemplate(Format::ChatMl, chatMlDefaultSystem(jinja));
    return ChatTemplate(Format::Plain);
}

Result<ChatTemplate> ChatTemplate::forModel(const fs::path& model)
{
    std::error_code code;
    if (model.extension() == ".gguf") {
        RANKSCOPE_TRY(const auto file, checkpoint::GgufFile::open(model));
        const std::string* jinja = file.text("tokenizer.chat_template");
        return recognise(jinja ? std::string_view(*jinja) : std::string_view());
    }
    const fs::path folder = fs::is_directory(model, code) ? model : model.parent_path();
    if (const fs::path jinja = folder / "chat_template.jinja"; fs::exists(jinja, code)) {
        RANKSCOPE_TRY(const std::string text, base::readFile(jinja, 1 << 24));
        return recognise(text);
    }
    const fs::path config = folder / "tokenizer_config.json";
    if (!fs::exists(config, code))
        return ChatTemplate();
    RANKSCOPE_TRY(const base::Json json, base::readJsonFile(config));
    if (!json.is_object() || !json.contains("chat_template"))
        return ChatTemplate();
    const base::Json& jinja = json["chat_template"];
    if (jinja.is_string())
        return recognise(jinja.get_ref<const std::string&>());
    if (jinja.is_array()) { // several named ones: the default is meant for conversations
        for (const auto& named : jinja) {
            if (named.is_object() && named.value("name", base::Json()) == "default" &&
                named.contains("template") && named["template"].is_string())
                return recognise(named["template"].get_ref<const std::string&>());
        }
    }
    return ChatTemplate();
}

std::string ChatTemplate::prompt(std::span<const Message> messages) const
{
    std::string text;
    const bool systemGiven = !messages.empty() && messages.front().role == "system";
    switch (m_format) {
    case Format::ChatMl:
        if (!systemGiven && !m_defaultSystem.empty())
            text += "<|im_start|>system\n" + m_defaultSystem + "<|im_end|>\n";
        for (const Message& message : messages)
            text += "<|im_start|>" + message.role + "\n" + message.content + "<|im_end|>\n";
        return text + "<|im_start|>assistant\n";
    case Format::Llama3: {
        const auto turn = [](const std::string& role, const std::string& content) {
            return "<|start_header_id|>" + role + "<|end_header_id|>\n\n" + content + "<|eot_id|>";
        };
        text = "<|begin_of_text|>";
        const std::string system = m_systemPreamble + m_defaultSystem;
        if (!systemGiven && !system.empty())
            text += turn("system", system);
        for (const Message& message : messages) {
            const bool first = systemGiven && &message == &messages.front();
            text += turn(message.role, (first ? m_systemPreamble : std::string()) + trimmed(message.content));
        }
        return text + "<|start_header_id|>assistant<|end_header_id|>\n\n";
    }
    case Format::Phi4:
        if (!systemGiven && !m_defaultSystem.empty())
            text += "<|im_start|>system<|im_sep|>" + m_defaultSystem + "<|im_end|>";
        for (const Message& message : messages)
            text += "<|im_start|>" + message.role + "<|im_sep|>" + message.content + "<|im_end|>";
        return text + "<|im_start|>assistant<|im_sep|>";
    case Format::Plain:
        break;
    }
    for (const Message& message : messages)
        text += message.content + "\n";
    return text;
}

std::string ChatTemplate::endOfTurn() const
{
    switch (m_format) {
    case Format::ChatMl:
    case Format::Phi4:
        return "<|im_end|>";
    case Format::Llama3:
        return "<|eot_id|>";
    case Format::Plain:
        break;
    }
    return {};
}

} // namespace rankscope::text

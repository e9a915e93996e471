// SPDX-License-Identifier: Apache-2.0
#include "core/text/chat_template.h"

#include "core/base/files.h"
#include "core/base/json.h"
#include "core/checkpoint/gguf.h"
#include "core/text/jinja.h"

#include <algorithm>
#include <optional>

namespace rankscope::text
{
namespace fs = std::filesystem;
namespace
{

/// Jinja's `trim`.
std::string trimmed(const std::string& text)
{
    constexpr const char* space = " \t\n\r\v\f";
    const auto begin = text.find_first_not_of(space);
    if (begin == std::string::npos)
        return {};
    return text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

using Format = ChatTemplate::Format;

/// Conversations in which templates differ: with and without a system message, with an answer in between, and
/// with white space around what is said.
const std::vector<std::vector<Message>> probes{
    {{"user", " Two plus two?\n"}},
    {{"user", "Two plus two?"}, {"assistant", " Four. "}, {"user", "And\n\nthree?"}},
    {{"system", " Be brief. "}, {"user", "Two plus two?"}},
    {{"system", "Be brief."}, {"user", "Two?"}, {"assistant", "Yes."}, {"user", "Three? "}},
};

/// What the model's own template makes of the conversation; nullopt where that is not known.
std::optional<std::string> written(std::string_view jinja, const std::vector<Message>& messages)
{
    base::Json list = base::Json::array();
    for (const Message& message : messages)
        list.push_back({{"role", message.role}, {"content", message.content}});
    return renderJinja(
        jinja,
        {{"messages", std::move(list)}, {"add_generation_prompt", true}, {"bos_token", "<|begin_of_text|>"}});
}

/// What stands in the place of the system message where none is given, if the rest is of this format.
std::optional<std::string> systemIn(const std::string& prompt, Format format)
{
    const std::string place = "\x1F";
    const std::string frame = ChatTemplate(format, place).prompt(probes.front());
    const auto at = frame.find(place);
    const std::string_view before = std::string_view(frame).substr(0, at);
    const std::string_view after = std::string_view(frame).substr(at + place.size());
    if (prompt.size() < before.size() + after.size() || !prompt.starts_with(before) ||
        !prompt.ends_with(after))
        return std::nullopt;
    return prompt.substr(before.size(), prompt.size() - before.size() - after.size());
}

} // namespace

ChatTemplate::ChatTemplate(Format format, std::string defaultSystem)
    : m_format(format),
      m_defaultSystem(std::move(defaultSystem))
{
}

ChatTemplate ChatTemplate::recognise(std::string_view jinja)
{
    if (trimmed(std::string(jinja)).empty())
        return ChatTemplate();
    if (const auto prompt = written(jinja, probes.front())) {
        for (const Format format : {Format::ChatMl, Format::Llama3, Format::Phi4}) {
            std::vector<ChatTemplate> candidates{ChatTemplate(format)};
            if (const auto system = systemIn(*prompt, format)) {
                candidates.emplace_back(format, *system);
                candidates.emplace_back(format).m_systemPreamble = *system;
            }
            for (const ChatTemplate& candidate : candidates) {
                if (std::ranges::all_of(probes, [&](const auto& conversation) {
                        return written(jinja, conversation) == candidate.prompt(conversation);
                    }))
                    return candidate;
            }
        }
    }
    const auto has = [&](std::string_view text) { return jinja.find(text) != std::string_view::npos; };
    ChatTemplate nearest(has("<|start_header_id|>") ? Format::Llama3
                         : !has("<|im_start|>")     ? Format::Plain
                         : has("<|im_sep|>")        ? Format::Phi4
                                                    : Format::ChatMl);
    nearest.m_exact = false;
    return nearest;
}

std::string ChatTemplate::departure() const
{
    if (m_exact)
        return {};
    const char* form = m_format == Format::ChatMl   ? "ChatML"
                       : m_format == Format::Llama3 ? "Llama 3's form"
                       : m_format == Format::Phi4   ? "Phi-4's form"
                                                    : "plain text, a message a line";
    return std::string("the model's own chat template writes conversations in a way that is not known here; "
                       "they are written as ") +
           form +
           ": use the trained adapter with such text, or start from a model folder whose "
           "chat_template.jinja is that of ChatML, Llama 3 or Phi-4";
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

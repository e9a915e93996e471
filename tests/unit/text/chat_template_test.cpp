// SPDX-License-Identifier: Apache-2.0
// Chat templates against Jinja's rendering (tests/data/chat/make_vectors.py).
#include "core/base/json.h"
#include "core/base/paths.h"
#include "core/text/chat_template.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>

using namespace rankscope;
using text::ChatTemplate;

TEST(ChatTemplate, RendersAsJinjaDoes)
{
    const char* source = std::getenv("RANKSCOPE_SOURCE");
    ASSERT_TRUE(source) << "run this test with ctest";
    const auto vectors = base::readJsonFile(std::filesystem::path(source) / "tests/data/chat/vectors.json");
    ASSERT_TRUE(vectors) << vectors.error().message;
    ASSERT_EQ(vectors->size(), 8U);
    for (const auto& vector : *vectors) {
        const auto jinja = vector["template"].get<std::string>();
        const auto own = ChatTemplate::forModel(base::defaultModel());
        ASSERT_TRUE(own) << own.error().message;
        const ChatTemplate chat = jinja.empty() ? *own : ChatTemplate::recognise(jinja);
        for (const auto& example : vector["cases"]) {
            std::vector<text::Message> messages;
            for (const auto& message : example["messages"])
                messages.push_back(
                    {message["role"].get<std::string>(), message["content"].get<std::string>()});
            EXPECT_EQ(chat.prompt(messages), example["text"].get<std::string>()) << vector["name"];
            EXPECT_EQ(chat.departure(), "") << vector["name"];
        }
    }
}

TEST(ChatTemplate, FindsTheDefaultSystemMessageOfSmolLm2)
{
    const auto chat = ChatTemplate::forModel(base::defaultModel());
    ASSERT_TRUE(chat) << chat.error().message;
    EXPECT_EQ(chat->format(), ChatTemplate::Format::ChatMl);
    EXPECT_EQ(chat->defaultSystem(), "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
    EXPECT_EQ(chat->endOfTurn(), "<|im_end|>");
}

TEST(ChatTemplate, SpeaksPlainTextWithoutATemplate)
{
    const ChatTemplate chat = ChatTemplate::recognise("");
    EXPECT_EQ(chat.format(), ChatTemplate::Format::Plain);
    EXPECT_EQ(chat.prompt(std::vector<text::Message>{{"user", "2 + 2 ="}}), "2 + 2 =\n");
    EXPECT_EQ(chat.endOfTurn(), "");
}

/// Taken for one of the formats, they would be trained in another one without a word.
TEST(ChatTemplate, SaysWhereTheModelsOwnTemplateWritesSomethingElse)
{
    using Format = ChatTemplate::Format;
    const std::string turns = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + "
                              "'<|im_end|>\\n' }}{% endfor %}";
    const std::string start = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    ASSERT_EQ(ChatTemplate::recognise(turns + start).departure(), "");
    for (const auto& [format, jinja] : {
             std::pair{Format::ChatMl, turns + "{{ '<|im_start|>assistant\\n<think>\\n' }}"},
             {Format::ChatMl, "{{ bos_token }}" + turns + start},
             {Format::ChatMl, turns},
             {Format::ChatMl,
              "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content | trim + "
              "'<|im_end|>\\n' }}{% endfor %}" +
                  start},
             {Format::ChatMl,
              "<|im_start|>system\nBe brief.<|im_end|>\n" + turns + start},         // and the given one
             {Format::ChatMl, "{% macro turn(m) %}{% endmacro %}" + turns + start}, // who knows
             {Format::Llama3, std::string("{{ bos_token }}<|start_header_id|>user<|end_header_id|>")},
             {Format::Plain, std::string("{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ "
                                         "m['content'] }} [/INST]{% endif %}{% endfor %}")},
             {Format::Plain,
              std::string("{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}</s>\n"
                          "{% endfor %}<|assistant|>\n")},
             {Format::Plain, std::string("{% for m in messages %}<｜User｜>{{ m.content }}{% endfor %}")},
         }) {
        const auto chat = ChatTemplate::recognise(jinja);
        EXPECT_EQ(chat.format(), format) << jinja;
        EXPECT_NE(chat.departure().find("chat_template.jinja"), std::string::npos) << jinja;
    }
    EXPECT_EQ(ChatTemplate::recognise(" \n").departure(), "");
}

TEST(ChatTemplate, EndsTurnsWithTheFamilysToken)
{
    EXPECT_EQ(ChatTemplate(ChatTemplate::Format::Llama3).endOfTurn(), "<|eot_id|>");
    EXPECT_EQ(ChatTemplate(ChatTemplate::Format::Phi4).endOfTurn(), "<|im_end|>");
}

TEST(ChatTemplate, ReadsTheTemplateOfAHuggingFaceFolder)
{
    const auto folder = std::filesystem::path(testing::TempDir()) / "rankscope-chat-folder";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    const auto formatNow = [&] {
        const auto chat = ChatTemplate::forModel(folder);
        return chat ? chat->format() : ChatTemplate::Format::Plain;
    };
    EXPECT_EQ(formatNow(), ChatTemplate::Format::Plain);
    std::ofstream(folder / "tokenizer_config.json")
        << R"({"chat_template": "{{ '<|im_start|>' }}<|im_sep|>"})";
    EXPECT_EQ(formatNow(), ChatTemplate::Format::Phi4);
    std::ofstream(folder / "tokenizer_config.json")
        << R"({"chat_template": [{"name": "tool_use", "template": "<|im_start|>"},
                                 {"name": "default", "template": "<|start_header_id|>"}]})";
    EXPECT_EQ(formatNow(), ChatTemplate::Format::Llama3);
    std::ofstream(folder / "chat_template.jinja") << "<|im_start|>";
    EXPECT_EQ(formatNow(), ChatTemplate::Format::ChatMl);
    std::filesystem::remove_all(folder);
}

// SPDX-License-Identifier: Apache-2.0
// Chat templates that are damaged, or not written by anybody who knows Jinja: some format is always there.
#include "core/text/chat_template.h"

#include "tests/fuzz/damage.h"
#include "tests/unit/record/temporary_folder.h"

using namespace rankscope;
using namespace rankscope::test;
using text::ChatTemplate;

namespace
{

/// What the user says is in the prompt, whatever became of the template.
void tryTemplate(const ChatTemplate& chat, const std::string& jinja)
{
    const std::vector<text::Message> messages{{"user", "Two plus two?"}};
    const std::string prompt = chat.prompt(messages);
    EXPECT_NE(prompt.find("Two plus two?"), std::string::npos);
    EXPECT_LE(chat.defaultSystem().size(), jinja.size());
    EXPECT_EQ(chat.endOfTurn().empty(), chat.format() == ChatTemplate::Format::Plain);
    EXPECT_FALSE(chat.prompt({}).size() > 1000 + jinja.size());
}

void tryText(const std::string& jinja)
{
    tryTemplate(ChatTemplate::recognise(jinja), jinja);
}

std::vector<std::string> publishedTemplates()
{
    const auto vectors = base::parseJson(contentOf("tests/data/chat/vectors.json"));
    EXPECT_TRUE(vectors);
    std::vector<std::string> templates;
    for (const auto& vector : vectors.value_or(base::Json::array()))
        templates.push_back(vector["template"].get<std::string>());
    // That of SmolLM2 comes with the model; this is its shape.
    templates.emplace_back(
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\\nYou are a helpful assistant<|im_end|>\\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
        "'\\n'}}{% endfor %}");
    return templates;
}

} // namespace

TEST(DamagedTemplates, Texts)
{
    const ModestMemory modest;
    for (const std::string& jinja : publishedTemplates()) {
        truncate(jinja, 3, tryText);
        if (!jinja.empty())
            damage(jinja, jinja.size(), 2000, tryText);
    }
}

TEST(DamagedTemplates, TimeAndMemoryAreBounded)
{
    const ModestMemory modest;
    const std::string doubled = "{% set x = 'xx' %}" + [] {
        std::string text;
        for (int i = 0; i < 60; ++i)
            text += "{% set x = x ~ x %}";
        return text;
    }();
    std::string nested = "{% set x = [1] %}";
    for (int i = 0; i < 60; ++i)
        nested += "{% set x = [x, x] %}";
    std::string loops;
    for (int i = 0; i < 20; ++i)
        loops +=
            "{% for m" + std::to_string(i) + " in messages + messages %}{% for n in 'abcdefgh'.split('') %}";
    std::string turns = "{% for m in messages %}";
    for (int i = 0; i < 90; ++i)
        turns = "{% for m in messages %}" + turns + "x{% endfor %}";
    for (const std::string& jinja :
         {std::string(8'000'000, '{'), std::string(200'000, '('), "{{ " + std::string(200'000, '('),
          "{{ " + std::string(200'000, '-') + "1 }}", "{{ " + std::string(200'000, '[') + " }}", doubled,
          nested, loops, turns + "{% endfor %}", doubled + "{{ x | replace('x', x) }}"})
        EXPECT_NE(ChatTemplate::recognise(jinja).departure(), "");
}

TEST(DamagedTemplates, Folders)
{
    const ModestMemory modest;
    const TemporaryFolder folder;
    const auto attempt = [&](const std::string& bytes) {
        put(folder / "tokenizer_config.json", bytes);
        const auto chat = ChatTemplate::forModel(folder.path());
        if (!chat)
            return expectSentence(chat.error());
        tryTemplate(*chat, bytes);
    };
    const base::Json config = {
        {"chat_template",
         {{{"name", "tool_use"}, {"template", "<|im_start|>"}},
          {{"name", "default"}, {"template", "<|im_start|>system\nBe brief.<|im_end|><|im_sep|>"}}}},
        {"eos_token", "</s>"}};
    const std::string bytes = config.dump(1);
    truncate(bytes, 1, attempt);
    damage(bytes, bytes.size(), 3000, attempt);
    damageValues(config, 3000, [&](const base::Json& changed) { attempt(changed.dump()); });
    // A template of its own goes first, even where it is nothing.
    std::filesystem::create_directory(folder / "chat_template.jinja");
    attempt(bytes);
}

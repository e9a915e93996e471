// SPDX-License-Identifier: Apache-2.0
// Encoding and decoding are inverse for any bytes, and a text's tokens do not depend on what was encoded
// before.
#include "core/base/paths.h"
#include "core/text/tokenizer.h"

#include <cstdlib>
#include <iostream>
#include <rapidcheck.h>

using namespace rankscope;

namespace
{

/// Bytes, valid UTF-8 or not, mixed with what the patterns look for.
std::string anyText()
{
    const std::vector<std::string> parts{
        " ",          "  ", "\n", "\r\n",    "\t", "a", "Z",      "'s",           "'LL",
        "1",          "23", "é",  "e\u0301", "日", "😀", "٣",      "<|im_start|>", "<|im_end|>",
        "<|eot_id|>", "<|", "|>", ".",       "!?", "_", "\u3000", "\u00a0"};
    const auto pieces = *rc::gen::container<std::vector<std::string>>(rc::gen::oneOf(
        rc::gen::elementOf(parts), rc::gen::map(rc::gen::arbitrary<std::uint8_t>(), [](std::uint8_t byte) {
            return std::string(1, static_cast<char>(byte));
        })));
    std::string text;
    for (const auto& piece : pieces)
        text += piece;
    return text;
}

} // namespace

int main()
{
    const char* source = std::getenv("RANKSCOPE_SOURCE");
    const auto complete = text::Tokenizer::open(std::filesystem::path(source ? source : ".") /
                                                "tests/data/tokenizer/llama3.json");
    const auto smollm = text::Tokenizer::open(base::defaultModel());
    const auto again = text::Tokenizer::open(base::defaultModel());
    if (!complete || !smollm || !again) {
        std::cerr << (complete ? smollm.error().message : complete.error().message) << "\n";
        return 1;
    }
    bool held = rc::check("a vocabulary with all bytes loses nothing", [&] {
        const std::string text = anyText();
        for (const bool special : {true, false}) {
            const auto encoding = (*complete)->encode(text, special);
            RC_ASSERT(encoding.droppedBytes == 0U);
            RC_ASSERT((*complete)->decode(encoding.ids, false) == text);
        }
    });
    held &= rc::check("what SmolLM2's vocabulary lacks is counted", [&] {
        const std::string text = anyText();
        const auto encoding = (*smollm)->encode(text);
        RC_ASSERT((*smollm)->decode(encoding.ids, false).size() + encoding.droppedBytes == text.size());
        for (const auto id : encoding.ids)
            RC_ASSERT(id >= 0 && id < 49152);
    });
    held &= rc::check("earlier texts leave no trace", [&] {
        const std::string first = anyText();
        const std::string second = anyText();
        const auto ids = (*smollm)->encode(second).ids;
        (*smollm)->encode(first);
        RC_ASSERT((*smollm)->encode(second).ids == ids);
        RC_ASSERT((*again)->encode(second).ids == ids);
    });
    return held ? 0 : 1;
}

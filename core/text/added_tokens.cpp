// SPDX-License-Identifier: Apache-2.0
#include "core/text/added_tokens.h"

#include <algorithm>
#include <utf8proc.h>

namespace rankscope::text
{
namespace
{

struct Character {
    utf8proc_int32_t point = -1; ///< -1: none, or not valid UTF-8
    std::size_t bytes = 0;
};

Character characterAt(std::string_view text, std::size_t at)
{
    Character character;
    if (at >= text.size())
        return character;
    const auto count = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                        static_cast<utf8proc_ssize_t>(text.size() - at), &character.point);
    character.bytes = count > 0 ? static_cast<std::size_t>(count) : 0;
    return character;
}

Character characterBefore(std::string_view text, std::size_t at)
{
    for (std::size_t back = 1; back <= 4 && back <= at; ++back) {
        if ((static_cast<unsigned char>(text[at - back]) & 0xC0U) == 0x80U)
            continue;
        const Character character = characterAt(text, at - back);
        return character.bytes == back ? character : Character{};
    }
    return {};
}

bool isSpace(const Character& character)
{
    const auto c = character.point;
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

bool isWord(const Character& character)
{
    if (character.point < 0)
        return false;
    switch (utf8proc_category(character.point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return false;
    }
}

} // namespace

void AddedTokens::add(AddedToken token)
{
    if (token.content.empty())
        return;
    auto& bucket = m_byFirstByte[static_cast<unsigned char>(token.content.front())];
    const auto place = std::find_if(bucket.begin(), bucket.end(), [&](std::size_t index) {
        return m_tokens[index].content.size() < token.content.size();
    });
    bucket.insert(place, m_tokens.size());
    m_tokens.push_back(std::move(token));
}

std::vector<AddedTokens::Section> AddedTokens::split(std::string_view text, bool normalized,
                                                     bool special) const
{
    std::vector<Section> sections;
    std::size_t start = 0; // of the ordinary text not yet given out
    for (std::size_t at = 0; at < text.size();) {
        const AddedToken* found = nullptr;
        for (const std::size_t index : m_byFirstByte[static_cast<unsigned char>(text[at])]) {
            const AddedToken& token = m_tokens[index];
            if (token.normalized == normalized && (special || !token.special) &&
                text.substr(at).starts_with(token.content)) {
                found = &token;
                break;
            }
        }
        if (!found) {
            ++at;
            continue;
        }
        std::size_t begin = at;
        std::size_t end = at + found->content.size();
        if (found->singleWord && (isWord(characterBefore(text, begin)) || isWord(characterAt(text, end)))) {
            at = end;
            continue;
        }
        while (found->leftStrip && begin > start && isSpace(characterBefore(text, begin)))
            begin -= characterBefore(text, begin).bytes;
        while (found->rightStrip && isSpace(characterAt(text, end)))
            end += characterAt(text, end).bytes;
        if (begin > start)
            sections.push_back({text.substr(start, begin - start), nullptr});
        sections.push_back({text.substr(begin, end - begin), found});
        at = start = end;
    }
    if (start < text.size())
        sections.push_back({text.substr(start), nullptr});
    return sections;
}

} // namespace rankscope::text

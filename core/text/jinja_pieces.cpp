// SPDX-License-Identifier: Apache-2.0
#include "core/text/jinja_pieces.h"

#include <algorithm>
#include <array>

namespace rankscope::text
{
namespace
{

constexpr std::size_t longestTemplate = std::size_t{1} << 18;
constexpr std::string_view blanks = " \t\n\r\v\f";

bool isNameCharacter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// The literal whose quote stands at `at`, which is moved behind it.
std::string takeString(std::string_view jinja, std::size_t& at)
{
    const char quote = jinja[at++];
    std::string text;
    for (; at < jinja.size() && jinja[at] != quote; ++at) {
        if (jinja[at] != '\\' || at + 1 == jinja.size()) {
            text += jinja[at];
            continue;
        }
        const char escaped = jinja[++at];
        if (escaped == 'n' || escaped == 't' || escaped == 'r')
            text += escaped == 'n' ? '\n' : escaped == 't' ? '\t' : '\r';
        else if (escaped == '\\' || escaped == '\'' || escaped == '"')
            text += escaped;
        else
            throw JinjaUnknown("an escape");
    }
    if (at == jinja.size())
        throw JinjaUnknown("a literal without an end");
    ++at;
    return text;
}

/// The tokens up to the tag's closing sign ("%}" or "}}", with or without a dash), behind which `at` is
/// moved; `dash` says whether it has one.
std::vector<JinjaToken> takeTokens(std::string_view jinja, std::size_t& at, std::string_view close,
                                   bool& dash)
{
    static constexpr std::array<std::string_view, 5> doubles{"==", "!=", "<=", ">=", "//"};
    using Kind = JinjaToken::Kind;
    std::vector<JinjaToken> tokens;
    while (at < jinja.size()) {
        const std::string_view rest = jinja.substr(at);
        const char c = rest.front();
        const bool closesWithDash = c == '-' && rest.substr(1).starts_with(close);
        if (closesWithDash || rest.starts_with(close)) {
            dash = closesWithDash;
            at += close.size() + (closesWithDash ? 1 : 0);
            tokens.emplace_back();
            return tokens;
        }
        if (blanks.find(c) != std::string_view::npos) {
            ++at;
        } else if (c == '\'' || c == '"') {
            tokens.push_back({Kind::String, takeString(jinja, at)});
        } else if (isNameCharacter(c)) {
            const auto end = std::ranges::find_if_not(rest, isNameCharacter) - rest.begin();
            const bool number = c >= '0' && c <= '9';
            tokens.push_back({number ? Kind::Number : Kind::Name, std::string(rest.substr(0, end))});
            at += static_cast<std::size_t>(end);
        } else {
            const bool two = std::ranges::find(doubles, rest.substr(0, 2)) != doubles.end();
            tokens.push_back({Kind::Sign, std::string(rest.substr(0, two ? 2 : 1))});
            at += two ? 2 : 1;
        }
    }
    throw JinjaUnknown("a tag without an end");
}

} // namespace

std::vector<JinjaPiece> cutJinja(std::string_view jinja)
{
    if (jinja.size() > longestTemplate)
        throw JinjaUnknown("a text longer than any honest template");
    if (jinja.ends_with('\n'))
        jinja.remove_suffix(1);
    std::vector<JinjaPiece> pieces;
    std::size_t at = 0;
    bool stripNext = false; // the last tag ends with a dash
    bool trimNext = false;  // ... or is one behind which a line break is not written
    while (true) {
        std::size_t tag = at;
        constexpr std::string_view openings = "{%#";
        while (tag < jinja.size() && !(jinja[tag] == '{' && tag + 1 < jinja.size() &&
                                       openings.find(jinja[tag + 1]) != std::string_view::npos))
            ++tag;
        std::string_view text = jinja.substr(at, tag - at);
        if (stripNext)
            text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
        else if (trimNext && text.starts_with('\n'))
            text.remove_prefix(1);
        const bool atStart = at == 0 || text.size() < tag - at; // of a line, if the text has none of its own
        const bool end = tag == jinja.size();
        const char kind = end ? ' ' : jinja[tag + 1];
        const char sign = tag + 2 < jinja.size() ? jinja[tag + 2] : ' ';
        if (!end && sign == '-') {
            text = text.substr(0, text.find_last_not_of(blanks) + 1);
        } else if (!end && kind != '{' && sign != '+') {
            const auto blank = text.find_last_not_of(" \t") + 1;
            if (blank == 0 ? atStart : text[blank - 1] == '\n')
                text = text.substr(0, blank);
        }
        if (!text.empty())
            pieces.push_back({JinjaPiece::Kind::Text, std::string(text), {}});
        if (end)
            return pieces;
        at = tag + (sign == '-' || sign == '+' ? 3 : 2);
        trimNext = kind != '{';
        if (kind == '#') {
            const auto close = jinja.find("#}", at);
            if (close == std::string_view::npos)
                throw JinjaUnknown("a comment without an end");
            stripNext = close > at && jinja[close - 1] == '-';
            at = close + 2;
            continue;
        }
        JinjaPiece piece;
        piece.kind = kind == '{' ? JinjaPiece::Kind::Output : JinjaPiece::Kind::Statement;
        piece.tokens = takeTokens(jinja, at, kind == '{' ? "}}" : "%}", stripNext);
        pieces.push_back(std::move(piece));
    }
}

} // namespace rankscope::text

// SPDX-License-Identifier: Apache-2.0
#include "core/text/jinja_expression.h"

#include <algorithm>
#include <cctype>

namespace rankscope::text
{
namespace
{

using base::Json;
using Kind = JinjaToken::Kind;

constexpr const char* stripCharacters = " \t\n\r\v\f";
constexpr int maxDepth = 100;
constexpr std::size_t longestText = std::size_t{1} << 16;

[[noreturn]] void unknown(const std::string& what)
{
    throw JinjaUnknown(what);
}

const std::string& textOf(const Json& value)
{
    if (!value.is_string())
        unknown("a text is expected");
    return value.get_ref<const std::string&>();
}

std::int64_t numberOf(const Json& value)
{
    constexpr std::int64_t limit = 1'000'000'000'000; // sums stay far from overflow
    if (!value.is_number_integer() || value > limit || value < -limit)
        unknown("a whole number is expected");
    return value.get<std::int64_t>();
}

/// A template that doubles a text again and again must not fill the memory.
const std::string& bounded(const std::string& text)
{
    if (text.size() > longestText)
        unknown("too long a text");
    return text;
}

/// Nor one that puts a list into a list, or in a namespace.
const Json& flat(const Json& value)
{
    if (value.is_structured() && !value.empty())
        unknown("a list within another");
    return value;
}

std::string stripped(const std::string& text, bool left, bool right,
                     const std::string& what = stripCharacters)
{
    const auto begin = left ? text.find_first_not_of(what) : 0;
    if (begin == std::string::npos)
        return {};
    const auto end = right ? text.find_last_not_of(what) : text.size() - 1;
    return end == std::string::npos || text.empty() ? std::string() : text.substr(begin, end - begin + 1);
}

std::string withCase(std::string text, int (*change)(int))
{
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < 0x80)
            c = static_cast<char>(change(c));
        else
            unknown("the case of letters other than ASCII's");
    }
    return text;
}

Json split(const std::string& text, const std::string& at)
{
    Json parts = Json::array();
    std::size_t begin = 0;
    for (auto end = text.find(at); end != std::string::npos; end = text.find(at, begin)) {
        parts.push_back(text.substr(begin, end - begin));
        begin = end + at.size();
    }
    parts.push_back(text.substr(begin));
    return parts;
}

std::string replaced(const std::string& text, const std::string& from, const std::string& to)
{
    std::string result;
    for (const auto& part : split(text, from)) {
        result += part.get<std::string>() + to;
        bounded(result);
    }
    result.resize(result.size() - to.size());
    return result;
}

Json length(const Json& of)
{
    if (of.is_string()) {
        const auto& text = textOf(of);
        return std::ranges::count_if(text,
                                     [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
    }
    if (!of.is_structured())
        unknown("the length of neither text nor list");
    return static_cast<std::int64_t>(of.size());
}

Json items(const Json& of)
{
    if (!of.is_object())
        unknown("the items of what is no dictionary");
    Json list = Json::array();
    for (const auto& item : of.items())
        list.push_back({item.key(), item.value()});
    return list;
}

Json filtered(const std::string& filter, const Json& value, const std::vector<Json>& given)
{
    const bool plain = given.empty();
    if ((filter == "default" || filter == "d") && given.size() == 1)
        return value.is_discarded() ? given[0] : value;
    if (filter == "trim" && plain)
        return stripped(textOf(value), true, true);
    if ((filter == "length" || filter == "count") && plain)
        return length(value);
    if (filter == "string" && plain)
        return jinjaText(value);
    if (filter == "tojson" && plain && !value.is_discarded() && !value.is_structured())
        return value.dump();
    if (filter == "lower" && plain)
        return withCase(textOf(value), std::tolower);
    if (filter == "upper" && plain)
        return withCase(textOf(value), std::toupper);
    if ((filter == "first" || filter == "last") && plain && value.is_array() && !value.empty())
        return filter == "first" ? value.front() : value.back();
    if (filter == "list" && plain && value.is_array())
        return value;
    if (filter == "items" && plain)
        return items(value);
    if (filter == "replace" && given.size() == 2 && !textOf(given[0]).empty())
        return replaced(textOf(value), textOf(given[0]), textOf(given[1]));
    if (filter == "join" && given.size() <= 1 && value.is_array()) {
        std::string text;
        for (std::size_t i = 0; i < value.size(); ++i) {
            text += (i > 0 && !plain ? textOf(given[0]) : "") + jinjaText(value[i]);
            bounded(text);
        }
        return text;
    }
    unknown("the filter " + filter);
}

Json called(const std::string& method, const Json& of, const std::vector<Json>& given)
{
    if (of.is_object()) {
        if (method == "items" && given.empty())
            return items(of);
        if (method == "get" && (given.size() == 1 || given.size() == 2)) {
            const auto found = of.find(textOf(given[0]));
            return found != of.end() ? *found : given.size() == 2 ? given[1] : Json();
        }
        unknown("the method " + method);
    }
    const std::string& text = textOf(of);
    if (given.empty() || given.size() == 1) {
        const std::string characters = given.empty() ? stripCharacters : textOf(given[0]);
        if (method == "strip" || method == "lstrip" || method == "rstrip")
            return stripped(text, method != "rstrip", method != "lstrip", characters);
    }
    if (given.size() == 1 && !textOf(given[0]).empty()) {
        if (method == "split")
            return split(text, textOf(given[0]));
        if (method == "startswith")
            return text.starts_with(textOf(given[0]));
        if (method == "endswith")
            return text.ends_with(textOf(given[0]));
    }
    if (given.empty() && method == "lower")
        return withCase(text, std::tolower);
    if (given.empty() && method == "upper")
        return withCase(text, std::toupper);
    if (method == "replace" && given.size() == 2 && !textOf(given[0]).empty())
        return replaced(text, textOf(given[0]), textOf(given[1]));
    unknown("the method " + method);
}

bool tested(const std::string& test, const Json& value)
{
    if (test == "defined" || test == "undefined")
        return value.is_discarded() == (test == "undefined");
    if (test == "none")
        return value.is_null();
    if (test == "string")
        return value.is_string();
    if (test == "mapping")
        return value.is_object();
    if (test == "iterable" || test == "sequence")
        return value.is_string() || value.is_structured();
    if (test == "number")
        return value.is_number();
    if (test == "boolean")
        return value.is_boolean();
    if (test == "true" || test == "false")
        return value.is_boolean() && value.get<bool>() == (test == "true");
    unknown("the test " + test);
}

bool contains(const Json& container, const Json& value)
{
    if (container.is_string())
        return textOf(container).find(textOf(value)) != std::string::npos;
    if (container.is_object())
        return container.contains(textOf(value));
    if (container.is_array())
        return std::ranges::find(container, value) != container.end();
    unknown("'in' what holds nothing");
}

/// Where a slice begins or ends: from the end if negative, and never outside.
std::int64_t placeOf(const Json& given, std::int64_t otherwise, std::int64_t size)
{
    if (given.is_null())
        return otherwise;
    const std::int64_t place = numberOf(given);
    return std::clamp<std::int64_t>(place < 0 ? place + size : place, 0, size);
}

Json slice(const Json& of, const Json& from, const Json& to, const Json& step)
{
    if (!of.is_array())
        unknown("a slice of what is no list");
    const auto size = static_cast<std::int64_t>(of.size());
    Json list = Json::array();
    if (step == -1 && from.is_null() && to.is_null()) {
        for (std::int64_t i = size; i-- > 0;)
            list.push_back(of[static_cast<std::size_t>(i)]);
        return list;
    }
    if (!step.is_null() && step != 1)
        unknown("a slice in steps");
    for (std::int64_t i = placeOf(from, 0, size); i < placeOf(to, size, size); ++i)
        list.push_back(of[static_cast<std::size_t>(i)]);
    return list;
}

} // namespace

bool isTrue(const Json& value)
{
    if (value.is_string())
        return !textOf(value).empty();
    if (value.is_structured())
        return !value.empty();
    if (value.is_boolean())
        return value.get<bool>();
    return value.is_number() && value != 0;
}

std::string jinjaText(const Json& value)
{
    if (value.is_string())
        return textOf(value);
    if (value.is_discarded())
        return {};
    if (value.is_boolean())
        return value.get<bool>() ? "True" : "False";
    if (value.is_null())
        return "None";
    if (value.is_number_integer())
        return value.dump();
    unknown("a number or list as text");
}

bool JinjaExpression::stands(std::string_view text) const
{
    const JinjaToken& next = m_tokens.front();
    return (next.kind == Kind::Sign || next.kind == Kind::Name) && next.text == text;
}

bool JinjaExpression::take(std::string_view text)
{
    const bool stood = stands(text);
    if (stood)
        m_tokens = m_tokens.subspan(1);
    return stood;
}

void JinjaExpression::expect(std::string_view text)
{
    if (!take(text))
        unknown("something else than " + std::string(text));
}

std::string JinjaExpression::name()
{
    if (m_tokens.front().kind != Kind::Name)
        unknown("something else than a name");
    std::string text = m_tokens.front().text;
    m_tokens = m_tokens.subspan(1);
    return text;
}

Json JinjaExpression::whole()
{
    if (++m_depth > maxDepth)
        unknown("too deep an expression");
    Json value = either();
    if (take("if")) {
        const bool holds = isTrue(either());
        const Json otherwise = take("else") ? unless(holds, &JinjaExpression::whole) : jinjaUndefined;
        if (!holds)
            value = otherwise;
    }
    --m_depth;
    return value;
}

Json JinjaExpression::unless(bool decided, Json (JinjaExpression::*part)())
{
    m_idle += decided ? 1 : 0;
    Json value = (this->*part)();
    m_idle -= decided ? 1 : 0;
    return value;
}

template <class Operation>
Json JinjaExpression::result(const Operation& operation) const
{
    return m_idle > 0 ? jinjaUndefined : Json(operation());
}

Json JinjaExpression::either()
{
    Json value = both();
    while (take("or")) {
        const bool decided = isTrue(value);
        Json other = unless(decided, &JinjaExpression::both);
        if (!decided)
            value = std::move(other);
    }
    return value;
}

Json JinjaExpression::both()
{
    Json value = negated();
    while (take("and")) {
        const bool decided = !isTrue(value);
        Json other = unless(decided, &JinjaExpression::negated);
        if (!decided)
            value = std::move(other);
    }
    return value;
}

Json JinjaExpression::negated()
{
    bool negate = false;
    bool any = false;
    for (; take("not"); any = true)
        negate = !negate;
    Json value = compared();
    return any ? Json(isTrue(value) != negate) : value;
}

Json JinjaExpression::compared()
{
    Json left = sum();
    while (true) {
        const bool outside = stands("not") && m_tokens.size() > 1 && m_tokens[1].text == "in";
        const std::string sign = outside ? "not in" : m_tokens.front().text;
        if (!outside && !(stands("==") || stands("!=") || stands("<") || stands(">") || stands("<=") ||
                          stands(">=") || stands("in")))
            return left;
        m_tokens = m_tokens.subspan(outside ? 2 : 1);
        const Json right = sum();
        left = result([&] {
            if (sign == "==" || sign == "!=")
                return (left == right) == (sign == "==");
            if (sign == "in" || outside)
                return contains(right, left) != outside;
            const std::int64_t difference = numberOf(left) - numberOf(right);
            return (sign[0] == '<' ? difference < 0 : difference > 0) ||
                   (sign.size() == 2 && difference == 0);
        });
    }
}

Json JinjaExpression::sum()
{
    Json left = joined();
    while (stands("+") || stands("-")) {
        const bool plus = take("+") || !take("-");
        const Json right = joined();
        left = result([&]() -> Json {
            if (plus && left.is_string() && right.is_string())
                return bounded(textOf(left) + textOf(right));
            return plus ? numberOf(left) + numberOf(right) : numberOf(left) - numberOf(right);
        });
    }
    return left;
}

Json JinjaExpression::joined()
{
    Json left = product();
    while (take("~")) {
        const Json right = product();
        left = result([&] { return bounded(jinjaText(left) + jinjaText(right)); });
    }
    return left;
}

Json JinjaExpression::product()
{
    Json left = chained();
    while (take("%")) {
        const Json right = chained();
        left = result([&] {
            if (numberOf(left) < 0 || numberOf(right) <= 0)
                unknown("a remainder of negative numbers");
            return numberOf(left) % numberOf(right);
        });
    }
    return left;
}

Json JinjaExpression::chained()
{
    if (take("-")) {
        if (m_tokens.front().kind != Kind::Number)
            unknown("a minus before what is no number");
        return -numberOf(primary());
    }
    const bool named = m_tokens.front().kind == Kind::Name;
    const std::string function = named ? m_tokens.front().text : std::string();
    Json value = primary();
    if (named && take("(")) {
        const Arguments given = arguments();
        value = result([&] {
            if (function != "namespace" || !given.values.empty())
                unknown("the function " + function); // raise_exception among them
            return given.named;
        });
    }
    while (true) {
        if (take(".")) {
            const std::string member = name();
            if (take("(")) {
                const Arguments given = arguments();
                value = result([&] { return called(member, value, given.values); });
            } else {
                value = value.is_object() && value.contains(member) ? Json(value[member]) : jinjaUndefined;
            }
        } else if (take("[")) {
            value = element(value);
        } else if (take("|")) {
            const std::string filter = name();
            const Arguments given = take("(") ? arguments() : Arguments();
            value = result([&] { return filtered(filter, value, given.values); });
        } else if (take("is")) {
            const bool negate = take("not");
            const std::string test = name();
            value = result([&] { return tested(test, value) != negate; });
        } else {
            return value;
        }
    }
}

Json JinjaExpression::element(const Json& of)
{
    const Json from = stands(":") ? Json() : whole();
    if (take(":")) {
        const Json to = stands(":") || stands("]") ? Json() : whole();
        const Json step = take(":") && !stands("]") ? whole() : Json();
        expect("]");
        return result([&] { return slice(of, from, to, step); });
    }
    expect("]");
    if (of.is_array() && from.is_number_integer()) {
        const auto size = static_cast<std::int64_t>(of.size());
        const std::int64_t place = from < 0 ? from.get<std::int64_t>() + size : from.get<std::int64_t>();
        return place >= 0 && place < size ? Json(of[static_cast<std::size_t>(place)]) : jinjaUndefined;
    }
    if (of.is_object() && from.is_string() && of.contains(textOf(from)))
        return of[textOf(from)];
    return jinjaUndefined;
}

JinjaExpression::Arguments JinjaExpression::arguments()
{
    Arguments given;
    while (!take(")")) {
        if (m_tokens.size() > 1 && m_tokens.front().kind == Kind::Name && m_tokens[1].text == "=" &&
            m_tokens[1].kind == Kind::Sign) {
            const std::string key = name();
            expect("=");
            given.named[key] = flat(whole());
        } else {
            given.values.push_back(whole());
        }
        if (!stands(")"))
            expect(",");
    }
    return given;
}

Json JinjaExpression::primary()
{
    const JinjaToken token = m_tokens.front();
    if (token.kind == Kind::End)
        unknown("an expression without an end");
    m_tokens = m_tokens.subspan(1);
    if (token.kind == Kind::String)
        return token.text;
    if (token.kind == Kind::Number) {
        if (token.text.size() > 9 || token.text.find_first_not_of("0123456789") != std::string::npos)
            unknown("the number " + token.text);
        return std::stoll(token.text);
    }
    if (token.kind == Kind::Name) {
        if (token.text == "true" || token.text == "True")
            return true;
        if (token.text == "false" || token.text == "False")
            return false;
        if (token.text == "none" || token.text == "None")
            return nullptr;
        return m_lookup(token.text);
    }
    if (token.text == "(") {
        Json value = whole();
        if (stands(","))
            unknown("a tuple");
        expect(")");
        return value;
    }
    if (token.text == "[") {
        Json list = Json::array();
        while (!take("]")) {
            list.push_back(flat(whole()));
            if (!stands("]"))
                expect(",");
        }
        return list;
    }
    unknown("the sign " + token.text);
}

} // namespace rankscope::text

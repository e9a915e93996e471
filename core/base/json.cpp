// SPDX-License-Identifier: Apache-2.0
#include "core/base/json.h"

#include "core/base/files.h"
#include "core/base/text.h"

#include <algorithm>
#include <cmath>

namespace rankscope::base
{
namespace
{

std::string placeOf(std::string_view text, std::size_t offset)
{
    offset = std::min(offset, text.size());
    const std::string_view before = text.substr(0, offset);
    const auto start = before.rfind('\n');
    const std::size_t column = offset - (start == std::string_view::npos ? 0 : start + 1) + 1;
    // One line may be a piece of a file whose line the caller knows.
    if (text.find('\n') == std::string_view::npos)
        return "column " + std::to_string(column);
    return "line " + std::to_string(1 + std::ranges::count(before, '\n')) + ", column " +
           std::to_string(column);
}

/// The number of keys, of which each has its colon. Deeply nested input would exhaust the stack in recursive
/// users of the value, so it is refused before parsing.
Result<std::size_t> scanKeys(std::string_view text, int maxDepth)
{
    int depth = 0;
    std::size_t keys = 0;
    Status status;
    scanOutsideStrings(text, [&](std::size_t place, char c) {
        if (c == '}' || c == ']')
            --depth;
        else if ((c == '{' || c == '[') && ++depth > maxDepth)
            status = fail("JSON is nested deeper than " + std::to_string(maxDepth) + " levels at " +
                          placeOf(text, place));
        else if (c == ':')
            ++keys;
        return status.has_value();
    });
    if (!status)
        return fail(status.error());
    return keys;
}

template <typename T>
std::size_t countKeys(const T& value)
{
    std::size_t keys = value.is_object() ? value.size() : 0;
    if (value.is_structured()) {
        for (const auto& item : value)
            keys += countKeys(item);
    }
    return keys;
}

/// The first key that its object has already.
struct Duplicate : nlohmann::detail::json_sax_acceptor<Json> {
    bool start_object(std::size_t)
    {
        open.emplace_back();
        return true;
    }
    bool key(std::string& name)
    {
        duplicate = name;
        return open.back().insert(name).second;
    }
    bool end_object()
    {
        open.pop_back();
        return true;
    }
    std::vector<std::set<std::string>> open;
    std::string duplicate;
};

/// Where parsing stops: the parser's error for a number that is too large does not say it.
struct Stop : nlohmann::detail::json_sax_acceptor<Json> {
    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&)
    {
        offset = position > 0 ? position - 1 : 0;
        return false;
    }
    std::size_t offset = 0;
};

template <typename T>
Result<T> parse(std::string_view text, int maxDepth)
{
    RANKSCOPE_TRY(const std::size_t keys, scanKeys(text, maxDepth));
    // The parser takes a zero byte for the end and would accept whatever follows.
    if (const auto zero = text.find('\0'); zero != std::string_view::npos)
        return fail("not valid JSON at " + placeOf(text, zero) + ": a zero byte");
    try {
        T value = T::parse(text.begin(), text.end());
        if (countKeys(value) == keys)
            return value;
        // One of two values is gone, and readers differ in which.
        Duplicate search;
        Json::sax_parse(text.begin(), text.end(), &search);
        return fail("the key '" + shown(search.duplicate) + "' stands twice in one JSON object");
    } catch (const nlohmann::json::parse_error& error) {
        // "[...] parse error at line 1, column 6: the fault; last read: 'a token, however long'"
        const std::string what = error.what();
        const auto fault = std::min(what.find(": "), what.size());
        return fail("not valid JSON at " + placeOf(text, error.byte > 0 ? error.byte - 1 : 0) +
                    what.substr(fault, what.find("; last read: ") - fault));
    } catch (const nlohmann::json::out_of_range&) {
        Stop stop;
        Json::sax_parse(text.begin(), text.end(), &stop);
        return fail("not valid JSON at " + placeOf(text, stop.offset) + ": the number is too large");
    } catch (const std::exception& error) {
        return fail(std::string("not valid JSON: ") + error.what());
    }
}

std::string describe(double value)
{
    return Json(value).dump();
}

} // namespace

Result<Json> parseJson(std::string_view text, int maxDepth)
{
    return parse<Json>(text, maxDepth);
}

Result<OrderedJson> parseOrderedJson(std::string_view text, int maxDepth)
{
    return parse<OrderedJson>(text, maxDepth);
}

Result<Json> readJsonFile(const std::filesystem::path& path, std::uintmax_t limit)
{
    RANKSCOPE_TRY(const std::string text, readFile(path, limit));
    auto json = parseJson(text);
    if (!json)
        return fail(json.error().within(path.string()));
    return json;
}

ObjectReader::ObjectReader(const Json& object, std::string path) : m_object(object), m_path(std::move(path))
{
    if (!object.is_object())
        report((m_path.empty() ? std::string("the file") : m_path) + " must be a JSON object");
}

std::string ObjectReader::pathOf(const char* key) const
{
    return m_path.empty() ? std::string(key) : m_path + "." + key;
}

void ObjectReader::report(const std::string& message)
{
    if (!m_error)
        m_error = Error{message};
}

const Json* ObjectReader::find(const char* key)
{
    m_known.insert(key);
    if (!m_object.is_object())
        return nullptr;
    const auto found = m_object.find(key);
    return found == m_object.end() ? nullptr : &*found;
}

ObjectReader& ObjectReader::text(const char* key, std::string& value)
{
    if (const Json* found = find(key)) {
        if (found->is_string())
            value = found->get<std::string>();
        else
            report(pathOf(key) + " must be a text");
    }
    return *this;
}

ObjectReader& ObjectReader::number(const char* key, double& value, double minimum, double maximum)
{
    if (const Json* found = find(key)) {
        if (!found->is_number())
            report(pathOf(key) + " must be a number");
        else if (const double number = found->get<double>(); !(number >= minimum && number <= maximum))
            report(pathOf(key) + " is " + describe(number) + ", but must lie between " + describe(minimum) +
                   " and " + describe(maximum));
        else
            value = number;
    }
    return *this;
}

ObjectReader& ObjectReader::integer(const char* key, std::int64_t& value, std::int64_t minimum,
                                    std::int64_t maximum)
{
    if (const Json* found = find(key)) {
        const bool inRange = found->is_number_unsigned()
                                 ? found->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX)
                                 : found->is_number_integer();
        if (!found->is_number_integer())
            report(pathOf(key) + " must be a whole number");
        else if (!inRange || found->get<std::int64_t>() < minimum || found->get<std::int64_t>() > maximum)
            report(pathOf(key) + " is " + found->dump() + ", but must lie between " +
                   std::to_string(minimum) + " and " + std::to_string(maximum));
        else
            value = found->get<std::int64_t>();
    }
    return *this;
}

ObjectReader& ObjectReader::boolean(const char* key, bool& value)
{
    if (const Json* found = find(key)) {
        if (found->is_boolean())
            value = found->get<bool>();
        else
            report(pathOf(key) + " must be true or false");
    }
    return *this;
}

ObjectReader& ObjectReader::texts(const char* key, std::vector<std::string>& value)
{
    if (const Json* found = find(key)) {
        if (!found->is_array()) {
            report(pathOf(key) + " must be a list of texts");
            return *this;
        }
        std::vector<std::string> items;
        for (const auto& item : *found) {
            if (!item.is_string()) {
                report(pathOf(key) + " must be a list of texts");
                return *this;
            }
            items.push_back(item.get<std::string>());
        }
        value = std::move(items);
    }
    return *this;
}

ObjectReader& ObjectReader::choice(const char* key, std::string& value,
                                   const std::vector<std::string>& allowed)
{
    std::string chosen = value;
    text(key, chosen);
    for (const auto& name : allowed) {
        if (name == chosen) {
            value = chosen;
            return *this;
        }
    }
    std::string list;
    for (const auto& name : allowed)
        list += (list.empty() ? "" : ", ") + name;
    report(pathOf(key) + " is '" + chosen + "', but must be one of: " + list);
    return *this;
}

const Json* ObjectReader::object(const char* key)
{
    const Json* found = find(key);
    if (found && !found->is_object()) {
        report(pathOf(key) + " must be a JSON object");
        return nullptr;
    }
    return found;
}

const Json* ObjectReader::any(const char* key)
{
    return find(key);
}

ObjectReader& ObjectReader::require(const char* key)
{
    if (!find(key))
        report(pathOf(key) + " is missing");
    return *this;
}

Status ObjectReader::finishLenient() const
{
    if (m_error)
        return fail(*m_error);
    return {};
}

Status ObjectReader::finish() const
{
    if (m_error)
        return fail(*m_error);
    for (const auto& item : m_object.items()) {
        if (!m_known.contains(item.key())) {
            std::string list;
            for (const auto& name : m_known)
                list += (list.empty() ? "" : ", ") + name;
            return fail(pathOf(item.key().c_str()) + " is not a known field; known here: " + list);
        }
    }
    return {};
}

} // namespace rankscope::base

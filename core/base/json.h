// SPDX-License-Identifier: Apache-2.0
// JSON from outside: parsed with a depth limit, read strictly, with errors that name the place.
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace rankscope::base
{

using Json = nlohmann::json;
/// Keeps the order in which the keys were written: for files that people read.
using OrderedJson = nlohmann::ordered_json;

/// Calls visit(position, character) for the characters of JSON text that stand outside strings, the quote
/// that opens one among them, until it returns false.
template <class Visit>
void scanOutsideStrings(std::string_view text, const Visit& visit)
{
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (quoted) {
            if (text[i] == '\\')
                ++i;
            else
                quoted = text[i] != '"';
            continue;
        }
        if (!visit(i, text[i]))
            return;
        quoted = text[i] == '"';
    }
}

/// Parses text; errors name line and column (of a text of one line the column alone). Nesting deeper than
/// `maxDepth` is refused, and so is an object that has a key twice.
Result<Json> parseJson(std::string_view text, int maxDepth = 64);
Result<OrderedJson> parseOrderedJson(std::string_view text, int maxDepth = 64);
/// Reads and parses a file; errors name the file.
Result<Json> readJsonFile(const std::filesystem::path& path, std::uintmax_t limit = std::uintmax_t{1} << 28);

/// Reads one JSON object field by field and collects the first error, so that a reader is a list of fields.
/// A wrong type, a value out of bounds or an unknown key is an error that names the path ("training.steps").
class ObjectReader
{
public:
    /// A bound for numbers that have none.
    static constexpr double anyNumber = std::numeric_limits<double>::max();

    /// `path` is the object's own name in messages; empty for the top.
    ObjectReader(const Json& object, std::string path);

    ObjectReader& text(const char* key, std::string& value);
    ObjectReader& number(const char* key, double& value, double minimum, double maximum);
    ObjectReader& integer(const char* key, std::int64_t& value, std::int64_t minimum, std::int64_t maximum);
    ObjectReader& boolean(const char* key, bool& value);
    ObjectReader& texts(const char* key, std::vector<std::string>& value);
    ObjectReader& choice(const char* key, std::string& value, const std::vector<std::string>& allowed);
    /// A nested object, or nullptr if the key is absent.
    const Json* object(const char* key);
    /// Any value, taken as it is, or nullptr if the key is absent.
    const Json* any(const char* key);
    /// The key must be present.
    ObjectReader& require(const char* key);

    /// The first error met, or an error for the first key that nobody asked for.
    [[nodiscard]] Status finish() const;
    /// As finish(), but keys nobody asked for are allowed.
    [[nodiscard]] Status finishLenient() const;
    [[nodiscard]] std::string pathOf(const char* key) const;

private:
    const Json* find(const char* key);
    void report(const std::string& message);

    const Json& m_object;
    std::string m_path;
    std::set<std::string> m_known;
    std::optional<Error> m_error;
};

} // namespace rankscope::base

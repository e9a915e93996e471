// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/base/json.h"
#include "core/text/jinja_pieces.h"

#include <functional>
#include <span>

namespace rankscope::text
{

/// What stands for a name that nobody has set: Jinja's `undefined`.
inline const base::Json jinjaUndefined = base::Json(base::Json::value_t::discarded); // braces: a list

[[nodiscard]] bool isTrue(const base::Json& value);
/// As it is written into the text.
[[nodiscard]] std::string jinjaText(const base::Json& value);

/// Evaluates an expression while it reads it; what a condition leaves out is read, but nothing is done.
class JinjaExpression
{
public:
    using Lookup = std::function<base::Json(const std::string&)>;

    JinjaExpression(std::span<const JinjaToken> tokens, Lookup lookup)
        : m_tokens(tokens),
          m_lookup(std::move(lookup))
    {
    }

    /// The next token, if it is this sign or word, is taken.
    bool take(std::string_view text);
    void expect(std::string_view text);
    [[nodiscard]] bool atEnd() const { return m_tokens.front().kind == JinjaToken::Kind::End; }
    std::string name();

    base::Json whole(); ///< with "a if b else c"
    base::Json either();

private:
    struct Arguments {
        std::vector<base::Json> values;
        base::Json named = base::Json::object();
    };

    [[nodiscard]] bool stands(std::string_view text) const;
    base::Json unless(bool decided, base::Json (JinjaExpression::*part)());
    template <class Operation>
    base::Json result(const Operation& operation) const;
    base::Json both();
    base::Json negated();
    base::Json compared();
    base::Json sum();
    base::Json joined();
    base::Json product();
    base::Json chained();
    base::Json primary();
    base::Json element(const base::Json& of);
    Arguments arguments();

    std::span<const JinjaToken> m_tokens;
    Lookup m_lookup;
    int m_depth = 0;
    int m_idle = 0; ///< in how many parts that do not count
};

} // namespace rankscope::text

// SPDX-License-Identifier: Apache-2.0
// Errors as values. Every fallible function at a boundary returns Result<T>; exceptions of libraries are
// turned into an Error where they are met.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace rankscope
{

/// What failed, on what, and what to do about it, as one sentence that a user can act on.
struct Error {
    std::string message;

    /// The same error seen from further out: "context: message".
    [[nodiscard]] Error within(std::string_view context) const
    {
        return Error{std::string(context) + ": " + message};
    }
};

template <typename T>
using Result = tl::expected<T, Error>;

/// Result of an operation that has no value to give.
using Status = tl::expected<void, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(std::string message)
{
    return tl::unexpected<Error>(Error{std::move(message)});
}

[[nodiscard]] inline tl::unexpected<Error> fail(Error error)
{
    return tl::unexpected<Error>(std::move(error));
}

} // namespace rankscope

#define RANKSCOPE_CONCAT_INNER(a, b) a##b
#define RANKSCOPE_CONCAT(a, b) RANKSCOPE_CONCAT_INNER(a, b)

/// RANKSCOPE_TRY(auto x, f()): x is f()'s value, or the enclosing function returns f()'s error.
#define RANKSCOPE_TRY(declaration, expression)                                                               \
    RANKSCOPE_TRY_IMPL(declaration, expression, RANKSCOPE_CONCAT(result_, __LINE__))
#define RANKSCOPE_TRY_IMPL(declaration, expression, name)                                                    \
    auto name = (expression);                                                                                \
    if (!name)                                                                                               \
        return ::rankscope::fail(std::move(name).error());                                                   \
    declaration = std::move(*name)

/// RANKSCOPE_CHECK(f()): returns f()'s error from the enclosing function if it failed.
#define RANKSCOPE_CHECK(expression)                                                                          \
    do {                                                                                                     \
        if (auto status_ = (expression); !status_)                                                           \
            return ::rankscope::fail(std::move(status_).error());                                            \
    } while (false)

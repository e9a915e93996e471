// SPDX-License-Identifier: Apache-2.0
// A family's settings after its manifest has checked and completed them: every name is there and of its type.
#pragma once

#include "core/base/json.h"

#include <cstdint>
#include <string>
#include <vector>

namespace rankscope::adapter
{

class Settings
{
public:
    explicit Settings(base::Json complete) : m_values(std::move(complete)) {}

    [[nodiscard]] std::int64_t integer(const char* name) const
    {
        return m_values.at(name).get<std::int64_t>();
    }
    [[nodiscard]] double number(const char* name) const { return m_values.at(name).get<double>(); }
    [[nodiscard]] bool boolean(const char* name) const { return m_values.at(name).get<bool>(); }
    [[nodiscard]] std::string text(const char* name) const { return m_values.at(name).get<std::string>(); }
    [[nodiscard]] std::vector<std::string> texts(const char* name) const
    {
        return m_values.at(name).get<std::vector<std::string>>();
    }
    [[nodiscard]] std::vector<std::int64_t> integers(const char* name) const
    {
        return m_values.at(name).get<std::vector<std::int64_t>>();
    }
    [[nodiscard]] const base::Json& json() const { return m_values; }

private:
    base::Json m_values;
};

} // namespace rankscope::adapter

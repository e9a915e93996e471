// SPDX-License-Identifier: Apache-2.0
#include "core/record/measure_name.h"

namespace rankscope::record
{
namespace
{

bool isPlainWord(const std::string& word)
{
    static constexpr auto allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    return !word.empty() && word.size() <= 100 && word.front() != '.' &&
           word.find_first_not_of(allowed) == std::string::npos;
}

} // namespace

Status checkMeasureName(const std::string& name)
{
    const std::size_t slash = name.find('/');
    if (slash == std::string::npos || !isPlainWord(name.substr(0, slash)) ||
        !isPlainWord(name.substr(slash + 1)))
        return fail("'" + name.substr(0, 100) +
                    "' is not the name of a measure: it must be group/name, of letters, digits, _, - and .");
    return {};
}

} // namespace rankscope::record

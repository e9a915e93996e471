// SPDX-License-Identifier: Apache-2.0
// Small files and how they are damaged: every truncation and many random changes, the same in every run.
#pragma once

#include "core/base/files.h"
#include "core/base/json.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <string>
#include <sys/resource.h>

namespace rankscope::test
{

using Attempt = std::function<void(const std::string&)>;

/// A place in the source tree.
inline std::filesystem::path sourcePath(const std::string& path)
{
    const char* source = std::getenv("RANKSCOPE_SOURCE");
    return std::filesystem::path(source ? source : ".") / path;
}

inline std::string contentOf(const std::string& file)
{
    const auto content = base::readFile(sourcePath(file));
    EXPECT_TRUE(content) << content.error().message;
    return content.value_or("");
}

inline void put(const std::filesystem::path& path, const std::string& bytes)
{
    // Some file systems write the disk at once when a file is cut to nothing and written anew.
    std::error_code code;
    std::filesystem::remove(path, code);
    std::ofstream(path, std::ios::binary) << bytes;
}

/// Something to read that can be passed on as JSON or in a journal, and no copy of the file.
inline void expectSentence(const Error& error)
{
    EXPECT_GT(error.message.size(), 10U);
    EXPECT_NO_THROW((void)base::Json(error.message).dump()) << "not UTF-8";
    EXPECT_LT(error.message.size(), 2000U) << error.message.substr(0, 200);
}

/// Expects that this process takes no more memory, while this object lives, than small files can be worth.
class ModestMemory
{
public:
    ModestMemory() : m_before(peak()) {}
    ~ModestMemory()
    {
#if defined(__SANITIZE_ADDRESS__)
        constexpr long allowed = 1024; // AddressSanitizer keeps what was freed
#else
        constexpr long allowed = 256;
#endif
        EXPECT_LT((peak() - m_before) / 1024, allowed) << "MiB for a small file";
    }
    ModestMemory(const ModestMemory&) = delete;
    ModestMemory& operator=(const ModestMemory&) = delete;

private:
    static long peak()
    {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        return usage.ru_maxrss; // KiB
    }
    long m_before;
};

inline void truncate(const std::string& bytes, std::size_t step, const Attempt& attempt)
{
    for (std::size_t size = 0; size < bytes.size(); size += step)
        attempt(bytes.substr(0, size));
}

/// Numbers below a limit, from a fixed seed.
class Dice
{
public:
    std::size_t below(std::size_t limit) { return static_cast<std::size_t>(m_random() % limit); }

private:
    std::mt19937_64 m_random{20261122};
};

/// One to four changes in the first `within` bytes: a bit, a byte, or eight bytes with the largest and
/// smallest numbers.
inline void damage(const std::string& bytes, std::size_t within, int rounds, const Attempt& attempt)
{
    Dice dice;
    for (int round = 0; round < rounds; ++round) {
        std::string changed = bytes;
        for (std::size_t change = 0; change <= dice.below(4); ++change) {
            const std::size_t at = dice.below(std::min(within, changed.size()));
            switch (dice.below(4)) {
            case 0:
                changed[at] = static_cast<char>(changed[at] ^ (1 << dice.below(8)));
                break;
            case 1:
                changed[at] = static_cast<char>(dice.below(256));
                break;
            case 2: {
                const std::uint64_t extremes[] = {
                    0, 1, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, ~std::uint64_t{0}};
                std::memcpy(changed.data() + at, &extremes[dice.below(6)],
                            std::min<std::size_t>(8, changed.size() - at));
                break;
            }
            default:
                changed[at] = "0123456789\"{}[],:-"[dice.below(18)];
            }
        }
        attempt(changed);
    }
}

/// What may stand where a reader of JSON expects something else.
inline base::Json oddValue(Dice& dice)
{
    using base::Json;
    const Json values[] = {nullptr,
                           true,
                           0,
                           1,
                           -1,
                           0.5,
                           2.0,
                           1e300,
                           -1e300,
                           5e-324,
                           std::numeric_limits<std::int64_t>::max(),
                           std::numeric_limits<std::int64_t>::min(),
                           std::numeric_limits<std::uint64_t>::max(),
                           "",
                           "x",
                           std::string("\0/../\n", 6),
                           std::string(300, 'x'),
                           Json::array(),
                           Json::object(),
                           Json::array({1, "x", nullptr}),
                           Json::array({Json::array()}),
                           {{"x", 1}},
                           {{"if", {{"rank", {1}}}}, {"value", 1}}};
    return values[dice.below(std::size(values))];
}

/// One to three values anywhere in a JSON value replaced, moved under another key, or removed: what changed
/// bytes hardly ever reach.
inline void damageValues(const base::Json& json, int rounds,
                         const std::function<void(const base::Json&)>& attempt)
{
    Dice dice;
    for (int round = 0; round < rounds; ++round) {
        base::Json changed = json;
        for (std::size_t change = 0; change <= dice.below(3); ++change) {
            base::Json* node = &changed;
            base::Json* parent = nullptr;
            std::string key;
            while (node->is_structured() && !node->empty() && (node == &changed || dice.below(4) > 0)) {
                auto child = node->begin();
                std::advance(child, static_cast<std::ptrdiff_t>(dice.below(node->size())));
                parent = node;
                key = node->is_object() ? child.key() : std::string();
                node = &*child;
            }
            if (!parent || !parent->is_object() || dice.below(2) == 0) {
                *node = oddValue(dice);
            } else {
                const base::Json value = *node;
                parent->erase(key);
                if (dice.below(2) == 0)
                    (*parent)[dice.below(2) == 0 ? key + "x" : std::string()] = value;
            }
        }
        attempt(changed);
    }
}

} // namespace rankscope::test

// SPDX-License-Identifier: Apache-2.0
#include "core/base/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace rankscope::base
{
namespace
{

/// A file that holds one number; nullopt where it is missing or says "max".
std::optional<std::uint64_t> number(const char* path)
{
    std::ifstream file(path);
    std::uint64_t value = 0;
    if (file >> value)
        return value;
    return std::nullopt;
}

std::uint64_t availableOnMachine()
{
    std::ifstream file("/proc/meminfo");
    std::string name;
    while (file >> name) {
        std::uint64_t kibibytes = 0;
        if (name == "MemAvailable:" && file >> kibibytes)
            return kibibytes * 1024;
        file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    return 0;
}

} // namespace

std::uint64_t availableMemory()
{
    const std::uint64_t machine = availableOnMachine();
    // Control groups, version 2, as a process sees its own.
    const auto limit = number("/sys/fs/cgroup/memory.max");
    const auto used = number("/sys/fs/cgroup/memory.current");
    if (!limit || !used)
        return machine;
    return std::min(machine, *limit > *used ? *limit - *used : 0);
}

} // namespace rankscope::base

// SPDX-License-Identifier: Apache-2.0
#include "core/base/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace rankscope::base
{
namespace
{

TEST(Memory, AvailableIsSomeOfWhatTheMachineHas)
{
    const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    EXPECT_GT(availableMemory(), 0U);
    EXPECT_LE(availableMemory(), pages * page);
}

} // namespace
} // namespace rankscope::base

// SPDX-License-Identifier: Apache-2.0
// A plugin that cannot start.
#include "core/adapter/family.h"

#include <stdexcept>

extern "C" const RankscopeFamilyEntry* rankscope_family()
{
    static const RankscopeFamilyEntry entry{
        rankscope::protocol::pluginApiVersion,
        []() -> rankscope::adapter::Family* { throw std::runtime_error("no licence for this machine"); },
        [](rankscope::adapter::Family*) {}};
    return &entry;
}

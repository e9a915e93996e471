// SPDX-License-Identifier: Apache-2.0
// A plugin whose entry has no function that makes the family.
#include "core/adapter/family.h"

extern "C" const RankscopeFamilyEntry* rankscope_family()
{
    static const RankscopeFamilyEntry entry{rankscope::protocol::pluginApiVersion, nullptr,
                                            [](rankscope::adapter::Family*) {}};
    return &entry;
}

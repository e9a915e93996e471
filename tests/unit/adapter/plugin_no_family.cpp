// SPDX-License-Identifier: Apache-2.0
// A plugin that makes no family.
#include "core/adapter/family.h"

extern "C" const RankscopeFamilyEntry* rankscope_family()
{
    static const RankscopeFamilyEntry entry{rankscope::protocol::pluginApiVersion,
                                            []() -> rankscope::adapter::Family* { return nullptr; },
                                            [](rankscope::adapter::Family*) {}};
    return &entry;
}

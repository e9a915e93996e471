// SPDX-License-Identifier: Apache-2.0
// A plugin whose library was compiled against a later interface than its family.json says.
#include "core/adapter/family.h"

extern "C" const RankscopeFamilyEntry* rankscope_family()
{
    static const RankscopeFamilyEntry entry{rankscope::protocol::pluginApiVersion + 1, nullptr, nullptr};
    return &entry;
}

// SPDX-License-Identifier: Apache-2.0
// A plugin that throws what is no exception of the standard library.
#include "core/adapter/family.h"

extern "C" const RankscopeFamilyEntry* rankscope_family()
{
    static const RankscopeFamilyEntry entry{rankscope::protocol::pluginApiVersion,
                                            []() -> rankscope::adapter::Family* { throw 42; },
                                            [](rankscope::adapter::Family*) {}};
    return &entry;
}

// SPDX-License-Identifier: Apache-2.0
// A shared library that is no plugin.
extern "C" int rankscope_something_else()
{
    return 1;
}

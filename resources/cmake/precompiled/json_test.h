// SPDX-License-Identifier: Apache-2.0
// What nearly every test above LibTorch and Qt reads, compiled once. Files still include what they use.
#pragma once

#include "resources/cmake/precompiled/json.h"

#include <gtest/gtest.h>

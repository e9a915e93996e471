// SPDX-License-Identifier: Apache-2.0
// What nearly every file below LibTorch and Qt reads, compiled once. Files still include what they use.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

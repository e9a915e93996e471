// SPDX-License-Identifier: Apache-2.0
// Rows of published tables and what our formulas give for them, from shapes alone.
#pragma once

#include "core/base/json.h"

#include <ostream>
#include <string>
#include <vector>

namespace rankscope::plans
{

using base::Json;

/// Parameters that a family trains on a model of tests/data/configs, defaults completed by its manifest.
double trainable(const std::string& family, const std::string& base, const Json& settings);
/// Those of them that one token uses.
double activated(const std::string& family, const std::string& base, const Json& settings);
/// All parameters of that model.
double baseParameters(const std::string& base);
/// A number as printed: with `digits` decimals.
std::string printed(double value, int digits);
/// {"rank": rank, "targets": targets} and what `more` adds.
Json on(const std::vector<std::string>& targets, int rank, const Json& more = Json::object());

inline const std::vector<std::string> mlp{"gate_proj", "up_proj", "down_proj"};
inline const std::vector<std::string> allLinear{"all-linear"};
/// CoMoL's five modules and MoG's.
inline const std::vector<std::string> attentionAndDown{"q_proj", "k_proj", "v_proj", "o_proj", "down_proj"};
inline const std::vector<std::string> queryKeyValueUpDown{"q_proj", "k_proj", "v_proj", "up_proj",
                                                          "down_proj"};

/// A count in millions.
struct Total {
    const char* table;
    const char* family;
    const char* base;
    Json settings;
    int digits;       ///< decimals of `ours`
    const char* ours; ///< millions, by our formula
    double printed;   ///< millions, in the paper; 0: it cannot be reproduced, or is not printed
    double precision; ///< half a unit of the last printed digit; one unit where the paper truncates

    friend std::ostream& operator<<(std::ostream& out, const Total& row)
    {
        return out << row.table << ' ' << row.family << ' ' << row.base << ' ' << row.settings.dump();
    }
};
void check(const Total& row);

/// 100 * trainable / (base + trainable).
struct Share {
    const char* table;
    const char* family;
    const char* base;
    Json settings;
    const char* ours;    ///< three decimals, by our formula
    const char* printed; ///< in the paper; "": it cannot be reproduced

    friend std::ostream& operator<<(std::ostream& out, const Share& row)
    {
        return out << row.table << ' ' << row.family << ' ' << row.base << ' ' << row.settings.dump();
    }
};
void check(const Share& row);

} // namespace rankscope::plans

// SPDX-License-Identifier: GPL-3.0-or-later
// Measures and maps as the rows of a table.
#pragma once

#include "core/record/run_record.h"
#include "views/export/csv_table.h"
#include "views/plot/heat_map.h"

#include <cstddef>
#include <vector>

namespace rankscope::views
{

/// A row for each recorded step: the step, then the mean of what was measured at each group of positions.
void addStepRows(CsvTable& table, const record::Measure& measure,
                 const std::vector<std::vector<std::size_t>>& groups);
/// A map as it is shown: a row for each of its rows, a column for each of its columns.
CsvTable tableOf(const HeatMap& map);

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/export/measure_table.h"

#include "views/plot/format.h"
#include "views/plot/measure_access.h"

namespace rankscope::views
{

void addStepRows(CsvTable& table, const record::Measure& measure,
                 const std::vector<std::vector<std::size_t>>& groups)
{
    for (std::size_t row = 0; row < measure.steps().size(); ++row) {
        const auto values = measure.row(row);
        QStringList line{QString::number(measure.steps()[row])};
        for (const auto& group : groups) {
            std::vector<float> chosen;
            for (const std::size_t position : group)
                chosen.push_back(values[position]);
            line << exactNumber(measuredMean(chosen));
        }
        table.rows.push_back(line);
    }
}

CsvTable tableOf(const HeatMap& map)
{
    CsvTable table;
    table.measure = map.measure;
    table.header << map.rowTitle;
    for (const QString& label : map.columnLabels)
        table.header << columnName(placeOn(map.columnTitle, label), map.unit);
    for (int row = 0; row < map.rows(); ++row) {
        QStringList line{map.rowLabels[row]};
        for (int column = 0; column < map.columns(); ++column)
            line << exactNumber(map.value(row, column));
        table.rows.push_back(line);
    }
    return table;
}

} // namespace rankscope::views

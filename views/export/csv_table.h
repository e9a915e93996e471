// SPDX-License-Identifier: GPL-3.0-or-later
// The numbers behind a figure.
#pragma once

#include <QString>
#include <QStringList>

#include <vector>

namespace rankscope::views
{

/// Header of a column: "layer 3 [nats]"; the name alone for a pure number.
QString columnName(const QString& name, const QString& unit);

struct CsvTable {
    QString measure; ///< "rank/entropy": what the numbers are, by its name in the record
    QStringList header;
    std::vector<QStringList> rows;

    /// RFC 4180: comma-separated, quoted where needed, one header line.
    [[nodiscard]] QString toCsv() const;
    /// Tab-separated, for pasting into a spreadsheet.
    [[nodiscard]] QString toTabs() const;
};

} // namespace rankscope::views

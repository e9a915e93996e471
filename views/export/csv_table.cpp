// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/export/csv_table.h"

namespace rankscope::views
{

namespace
{

QString quoted(const QString& field)
{
    if (!field.contains(QLatin1Char(',')) && !field.contains(QLatin1Char('"')) &&
        !field.contains(QLatin1Char('\n')))
        return field;
    return QLatin1Char('"') + QString(field).replace(QLatin1Char('"'), QLatin1String("\"\"")) +
           QLatin1Char('"');
}

} // namespace

QString columnName(const QString& name, const QString& unit)
{
    return unit.isEmpty() ? name : QStringLiteral("%1 [%2]").arg(name, unit);
}

QString CsvTable::toCsv() const
{
    QString text;
    const auto line = [&text](const QStringList& fields) {
        for (int i = 0; i < fields.size(); ++i)
            text += (i == 0 ? QString() : QStringLiteral(",")) + quoted(fields[i]);
        text += QLatin1Char('\n');
    };
    line(header);
    for (const QStringList& row : rows)
        line(row);
    return text;
}

QString CsvTable::toTabs() const
{
    QString text = header.join(QLatin1Char('\t')) + QLatin1Char('\n');
    for (const QStringList& row : rows)
        text += row.join(QLatin1Char('\t')) + QLatin1Char('\n');
    return text;
}

} // namespace rankscope::views

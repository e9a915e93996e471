// SPDX-License-Identifier: GPL-3.0-or-later
// One panel of a view, ready to be drawn at any size, with its numbers.
#pragma once

#include "views/export/csv_table.h"
#include "views/plot/plot_style.h"

#include <QRectF>
#include <QString>

#include <functional>

class QPainter;

namespace rankscope::views
{

struct Figure {
    QString key; ///< "curves": unique in its view; part of file names
    QString title;
    double aspect = 0.62; ///< height / width on paper
    std::function<void(QPainter&, const QRectF&, const PlotStyle&)> paint;
    std::function<CsvTable()> table;
};

} // namespace rankscope::views

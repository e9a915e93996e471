// SPDX-License-Identifier: GPL-3.0-or-later
// How a plot is drawn: on the screen in the palette's colours, or on paper in points. One unit is one logical
// pixel on the screen and one point on paper; fonts have their size in these units.
#pragma once

#include <QColor>
#include <QFont>
#include <QPalette>
#include <QStringList>

class QFontMetricsF;

namespace rankscope::views
{

struct PlotStyle {
    QFont font;
    QColor background;
    QColor text;
    QColor muted; ///< secondary text, axes
    QColor grid;
    QColor accent;
    double line = 1.6;
    double thinLine = 1.0;
    bool dark = false;
    bool paper = false;

    static PlotStyle screen(const QPalette& palette, const QFont& font);
    static PlotStyle onPaper(double fontPoints, bool transparent);

    [[nodiscard]] QFont scaled(double factor, bool bold = false) const;
};

/// The lines of a note in a space that wide, broken between its parts: "measured at step 18, 4 of 30 layers".
QStringList noteLines(const QString& note, const QFontMetricsF& metrics, double width);

/// True where the palette is a dark one.
bool isDark(const QPalette& palette);

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/plot_style.h"

#include <QFontInfo>
#include <QFontMetricsF>

#include <algorithm>
#include <cmath>

namespace rankscope::views
{

QStringList noteLines(const QString& note, const QFontMetricsF& metrics, double width)
{
    QStringList lines;
    for (const QString& part : note.split(QStringLiteral(", "), Qt::SkipEmptyParts)) {
        const QString joined = lines.isEmpty() ? part : lines.last() + QStringLiteral(", ") + part;
        if (!lines.isEmpty() && metrics.horizontalAdvance(joined) <= width)
            lines.last() = joined;
        else
            lines << part;
    }
    return lines;
}

bool isDark(const QPalette& palette)
{
    return palette.color(QPalette::Window).lightness() < palette.color(QPalette::WindowText).lightness();
}

PlotStyle PlotStyle::screen(const QPalette& palette, const QFont& font)
{
    PlotStyle style;
    style.font = font;
    style.font.setPixelSize(std::max(9, static_cast<int>(std::lround(QFontInfo(font).pixelSize() * 0.88))));
    style.dark = isDark(palette);
    style.background = palette.color(QPalette::Base);
    style.text = palette.color(QPalette::Text);
    style.muted = style.dark ? QColor(0xa4, 0xab, 0xb5) : QColor(0x5a, 0x61, 0x6b);
    style.grid = style.dark ? QColor(0x3d, 0x43, 0x4c) : QColor(0xe3, 0xe6, 0xea);
    style.accent = palette.color(QPalette::Highlight);
    return style;
}

PlotStyle PlotStyle::onPaper(double fontPoints, bool transparent)
{
    PlotStyle style;
    style.font = QFont(QStringLiteral("DejaVu Sans"));
    style.font.setStyleHint(QFont::SansSerif);
    style.font.setPixelSize(std::max(1, static_cast<int>(std::lround(fontPoints))));
    style.background = transparent ? QColor(Qt::transparent) : QColor(Qt::white);
    style.text = Qt::black;
    style.muted = QColor(0x40, 0x40, 0x40);
    style.grid = QColor(0xdd, 0xdd, 0xdd);
    style.accent = QColor(0xd5, 0x5e, 0x00);
    style.line = 1.0;
    style.thinLine = 0.5;
    style.paper = true;
    return style;
}

QFont PlotStyle::scaled(double factor, bool bold) const
{
    QFont result = font;
    result.setPixelSize(std::max(1, static_cast<int>(std::lround(font.pixelSize() * factor))));
    result.setBold(bold);
    return result;
}

} // namespace rankscope::views

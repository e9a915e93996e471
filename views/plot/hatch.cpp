// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/hatch.h"

#include <QLineF>
#include <QList>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace rankscope::views
{

namespace
{
constexpr double spacing = 5; ///< along the axes
constexpr double width = 0.6;
} // namespace

void paintHatch(QPainter& painter, const QRectF& area, const QColor& colour)
{
    // Each diagonal is x + y = sum, cut at the area's edges: a clip for each cell would swell a PDF.
    QList<QLineF> lines;
    const double last = area.right() + area.bottom();
    for (double sum = std::ceil((area.left() + area.top()) / spacing) * spacing; sum < last; sum += spacing) {
        const double left = std::max(area.left(), sum - area.bottom());
        const double right = std::min(area.right(), sum - area.top());
        lines.append({left, sum - left, right, sum - right});
    }
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setPen(QPen(colour, width, Qt::SolidLine, Qt::FlatCap));
    painter.drawLines(lines);
    painter.restore();
}

} // namespace rankscope::views

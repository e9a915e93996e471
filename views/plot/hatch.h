// SPDX-License-Identifier: GPL-3.0-or-later
// Missing values are hatched: lines with a spacing in the painter's own unit. A pattern brush has its spacing
// in device pixels and becomes a solid grey on paper.
#pragma once

#include <QColor>
#include <QRectF>

class QPainter;

namespace rankscope::views
{

/// Diagonals over the area, in line with those of every other area.
void paintHatch(QPainter& painter, const QRectF& area, const QColor& colour);

} // namespace rankscope::views

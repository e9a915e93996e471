// SPDX-License-Identifier: GPL-3.0-or-later
// Colour maps: the same quantity has the same map in every view.
#pragma once

#include <QColor>

namespace rankscope::views
{

enum class ColourMap {
    Cividis,  ///< sequential, readable with every colour vision (Nunez, Anderton and Renslow 2018)
    Viridis,  ///< sequential (van der Walt and Smith 2015)
    Diverging ///< blue, white, red; white at zero
};

/// The colour at t in [0, 1].
QColor colourAt(ColourMap map, double t);

/// A colour for a layer: a ramp by depth, kept away from the background's own lightness.
QColor depthColour(double depth, bool dark);

/// Okabe and Ito's eight, for categories; index 7 and above is grey.
QColor categoryColour(int index, bool dark);
inline constexpr int categoryCount = 7;

} // namespace rankscope::views

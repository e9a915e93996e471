// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/colour_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace rankscope::views
{

namespace
{

constexpr std::array<QRgb, 10> cividis = {0xff00224e, 0xff123570, 0xff3b496c, 0xff575d6d, 0xff707173,
                                          0xff8a8678, 0xffa59c74, 0xffc3b369, 0xffe1cc55, 0xfffee838};
constexpr std::array<QRgb, 10> viridis = {0xff440154, 0xff482878, 0xff3e4a89, 0xff31688e, 0xff26828e,
                                          0xff1f9e89, 0xff35b779, 0xff6ece58, 0xffb5de2b, 0xfffde725};
constexpr std::array<QRgb, 7> diverging = {0xff2166ac, 0xff67a9cf, 0xffd1e5f0, 0xfff7f7f7,
                                           0xfffddbc7, 0xffef8a62, 0xffb2182b};

QColor interpolate(std::span<const QRgb> stops, double t)
{
    if (!std::isfinite(t))
        t = 0;
    const double place = std::clamp(t, 0.0, 1.0) * static_cast<double>(stops.size() - 1);
    const auto low = std::min(static_cast<std::size_t>(place), stops.size() - 2);
    const double f = place - static_cast<double>(low);
    const QRgb a = stops[low];
    const QRgb b = stops[low + 1];
    const auto mix = [f](int x, int y) { return static_cast<int>(std::lround(x + (y - x) * f)); };
    return {mix(qRed(a), qRed(b)), mix(qGreen(a), qGreen(b)), mix(qBlue(a), qBlue(b))};
}

} // namespace

QColor colourAt(ColourMap map, double t)
{
    switch (map) {
    case ColourMap::Cividis:
        return interpolate(cividis, t);
    case ColourMap::Viridis:
        return interpolate(viridis, t);
    case ColourMap::Diverging:
        return interpolate(diverging, t);
    }
    return {};
}

QColor depthColour(double depth, bool dark)
{
    return interpolate(viridis, dark ? 0.25 + 0.75 * depth : 0.82 * depth);
}

QColor categoryColour(int index, bool dark)
{
    static constexpr std::array<QRgb, categoryCount> light = {0xff0072b2, 0xffe69f00, 0xff009e73, 0xffd55e00,
                                                              0xffcc79a7, 0xff56b4e9, 0xffb8a900};
    static constexpr std::array<QRgb, categoryCount> onDark = {0xff56b4e9, 0xffe69f00, 0xff2bc49a, 0xffe8743b,
                                                               0xffe29bc6, 0xff8fa8ff, 0xfff0e442};
    if (index < 0 || index >= categoryCount)
        return dark ? QColor(0x9a, 0xa0, 0xa8) : QColor(0x70, 0x76, 0x7e);
    return QColor((dark ? onDark : light)[static_cast<std::size_t>(index)]);
}

} // namespace rankscope::views

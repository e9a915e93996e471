// SPDX-License-Identifier: GPL-3.0-or-later
// Ticks at round numbers.
#pragma once

#include <QString>

#include <vector>

namespace rankscope::views
{

struct Ticks {
    double minimum = 0; ///< the data's minimum, rounded out to a tick
    double maximum = 1;
    double interval = 0.2;
    int decimals = 1; ///< digits after the point that tell neighbouring ticks apart
    [[nodiscard]] std::vector<double> values() const;
    [[nodiscard]] QString label(double value) const;
};

/// About `wanted` ticks over [low, high], 1, 2 or 5 times a power of ten apart.
Ticks niceTicks(double low, double high, int wanted);

/// Ticks of a logarithmic axis; its ends are ticks.
struct LogTicks {
    std::vector<double> values;
    [[nodiscard]] double minimum() const { return values.front(); }
    [[nodiscard]] double maximum() const { return values.back(); }
    [[nodiscard]] static QString label(double value) { return QString::number(value, 'g', 3); }
};

/// Over [low, high], both positive, rounded out to 1, 2 or 5 times a power of ten: these or, where they would
/// be far more than `wanted`, powers of ten between the ends.
LogTicks niceLogTicks(double low, double high, int wanted);

/// The power of ten to divide an axis by, so that its labels stay short; 0 for 0.01 to 99,999.
int axisExponent(double largest);

/// "10⁻⁴"
QString powerOfTen(int exponent);

} // namespace rankscope::views

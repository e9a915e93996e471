// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/ticks.h"

#include <algorithm>
#include <cmath>

namespace rankscope::views
{

Ticks niceTicks(double low, double high, int wanted)
{
    if (!std::isfinite(low) || !std::isfinite(high)) {
        low = 0;
        high = 1;
    }
    if (high < low)
        std::swap(low, high);
    if (high - low < 1e-12 * std::max({std::abs(low), std::abs(high), 1e-300})) {
        const double pad = low == 0 ? 1 : std::abs(low) * 0.1;
        low -= pad;
        high += pad;
    }
    const double raw = (high - low) / std::max(1, wanted);
    const double power = std::pow(10.0, std::floor(std::log10(raw)));
    const double share = raw / power;
    const double nice = share <= 1.0001 ? 1 : share <= 2.0001 ? 2 : share <= 5.0001 ? 5 : 10;
    Ticks ticks;
    ticks.interval = nice * power;
    ticks.minimum = std::floor(low / ticks.interval + 1e-9) * ticks.interval;
    ticks.maximum = std::ceil(high / ticks.interval - 1e-9) * ticks.interval;
    ticks.decimals = std::clamp(static_cast<int>(-std::floor(std::log10(ticks.interval) + 1e-9)), 0, 9);
    return ticks;
}

std::vector<double> Ticks::values() const
{
    std::vector<double> result;
    const auto count = static_cast<long>(std::lround((maximum - minimum) / interval));
    for (long i = 0; i <= std::min(count, 1000L); ++i) {
        const double value = minimum + static_cast<double>(i) * interval;
        result.push_back(std::abs(value) < interval * 1e-9 ? 0.0 : value);
    }
    return result;
}

QString Ticks::label(double value) const
{
    return QString::number(value, 'f', decimals);
}

LogTicks niceLogTicks(double low, double high, int wanted)
{
    // Tick n is 1, 2 or 5 (n modulo 3) times a power of ten.
    const auto tick = [](int n) {
        static constexpr double leading[] = {1, 2, 5};
        const int third = (n % 3 + 3) % 3;
        return leading[third] * std::pow(10.0, (n - third) / 3);
    };
    constexpr double tolerance = 1e-9;
    int first = 3 * static_cast<int>(std::floor(std::log10(low)) + 1);
    while (tick(first) > low * (1 + tolerance))
        --first;
    int last = first;
    while (tick(last) < high * (1 - tolerance))
        ++last;
    if (first == last)
        ++last;
    LogTicks ticks;
    const int decades = (last - first) / 3;
    const int stride = std::max(1, (decades + wanted - 1) / std::max(1, wanted)); // of decades
    const bool all = last - first <= 2 * wanted;
    for (int n = first; n <= last; ++n)
        if (n == first || n == last || all || (n % 3 == 0 && n / 3 % stride == 0))
            ticks.values.push_back(tick(n));
    return ticks;
}

int axisExponent(double largest)
{
    largest = std::abs(largest);
    if (!std::isfinite(largest) || largest == 0 || (largest >= 0.01 && largest < 1e5))
        return 0;
    return static_cast<int>(std::floor(std::log10(largest)));
}

QString powerOfTen(int exponent)
{
    static const QString digits = QStringLiteral("⁰¹²³⁴⁵⁶⁷⁸⁹");
    QString text = QStringLiteral("10");
    if (exponent < 0)
        text += QChar(0x207b);
    for (const QChar digit : QString::number(std::abs(exponent)))
        text += digits.at(digit.digitValue());
    return text;
}

} // namespace rankscope::views

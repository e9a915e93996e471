// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/curve_plot.h"

#include "views/plot/coverage.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rankscope::views
{

void CurveBand::append(double step, const std::vector<double>& newest)
{
    std::vector<double> values;
    values.reserve(newest.size());
    std::copy_if(newest.begin(), newest.end(), std::back_inserter(values),
                 [](double value) { return std::isfinite(value); });
    if (values.size() < fewestCurves)
        return;
    std::sort(values.begin(), values.end());
    const auto quantile = [&values](double q) {
        const double place = q * static_cast<double>(values.size() - 1);
        const auto below = static_cast<std::size_t>(place);
        const std::size_t above = std::min(below + 1, values.size() - 1);
        return values[below] + (values[above] - values[below]) * (place - static_cast<double>(below));
    };
    low.append(step, quantile(0.1));
    median.append(step, quantile(0.5));
    high.append(step, quantile(0.9));
    known.append(step, static_cast<double>(values.size()));
}

std::optional<CurveBand> CurveBand::closeUp(const std::vector<Curve>& curves, double from, double to)
{
    struct Value {
        double step;
        std::size_t curve;
        double value;
    };
    std::vector<Value> values;
    for (std::size_t c = 0; c < curves.size(); ++c) {
        const auto close = curves[c].closeUp ? curves[c].closeUp(from, to) : std::nullopt;
        if (!close)
            return std::nullopt;
        for (const QPointF& point :
             close->points(close->firstX(), close->lastX(), std::numeric_limits<int>::max()))
            values.push_back({point.x(), c, point.y()});
    }
    std::stable_sort(values.begin(), values.end(),
                     [](const Value& a, const Value& b) { return a.step < b.step; });
    CurveBand band;
    std::vector<double> newest(curves.size(), std::numeric_limits<double>::quiet_NaN());
    for (std::size_t i = 0; i < values.size(); ++i) {
        newest[values[i].curve] = values[i].value;
        if (i + 1 == values.size() || values[i + 1].step > values[i].step)
            band.append(values[i].step, newest);
    }
    return band;
}

bool CurvePlot::empty() const
{
    return std::ranges::all_of(curves, [](const Curve& curve) { return curve.data.empty(); });
}

QString CurvePlot::fullNote() const
{
    QStringList parts;
    if (!note.isEmpty())
        parts << note;
    const auto all = std::ranges::count_if(curves, [](const Curve& curve) { return !curve.raw; });
    const auto measured =
        std::ranges::count_if(curves, [](const Curve& curve) { return !curve.raw && !curve.data.empty(); });
    if (!curveNoun.isEmpty() && measured > 0 && measured < all)
        parts << QStringLiteral("%1 of %2 %3 measured").arg(measured).arg(all).arg(pluralOf(curveNoun));
    if (bandShown() && band.standing)
        parts << QStringLiteral("each %1's newest value")
                     .arg(curveNoun.isEmpty() ? QStringLiteral("curve") : curveNoun);
    return parts.join(QStringLiteral(", "));
}

} // namespace rankscope::views

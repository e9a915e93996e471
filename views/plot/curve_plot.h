// SPDX-License-Identifier: GPL-3.0-or-later
// What a chart of curves shows, without saying how: made and appended to by a view's model.
#pragma once

#include "views/plot/min_max_series.h"

#include <QString>

#include <functional>
#include <optional>
#include <set>
#include <vector>

namespace rankscope::views
{

struct Curve {
    QString label;     ///< in the legend
    QString name;      ///< at the cursor: the model's own name
    int key = -1;      ///< its place on the axis that the curves go over, or -1
    QString place;     ///< and that place's label, which a click on the curve selects
    int category = -1; ///< colour by category, or
    double depth = -1; ///< colour by depth, 0 the first layer, 1 the last
    bool raw = false;  ///< drawn faintly behind: the values before smoothing
    MinMaxSeries data;
    /// The points between two steps as recorded, for a close look at a run too long to keep every point;
    /// nothing where there are too many of them to be told apart.
    std::function<std::optional<MinMaxSeries>(double from, double to)> closeUp;
};

/// Median and the 10th and 90th percentile over many curves.
struct CurveBand {
    /// Of fewer curves a tenth is none.
    static constexpr std::size_t fewestCurves = 10;

    MinMaxSeries low, median, high;
    MinMaxSeries known;    ///< over how many curves
    bool standing = false; ///< some values are from earlier steps: the curves take turns

    /// The next step, with the newest value of each curve (NaN: none yet).
    void append(double step, const std::vector<double>& newest);
    /// The same band from the close-ups of the curves; nothing where one has none.
    static std::optional<CurveBand> closeUp(const std::vector<Curve>& curves, double from, double to);
};

enum class CurveLegend { None, Categories, Depth };

struct CurvePlot {
    static QString overStepsTitle() { return QStringLiteral("optimizer step"); }

    QString title;
    QString note; ///< under the title: when the values were measured
    QString xTitle = overStepsTitle();
    /// What else a place on the x axis means, said along the top; nothing: no such axis.
    std::function<QString(double x)> topLabel;
    QString topTitle;
    QString yTitle;        ///< with the unit, after yFactor: "memory (GB)"
    QString unit;          ///< of the values at the cursor
    double unitFactor = 1; ///< recorded value times this has that unit
    double yFactor = 1;    ///< recorded value times this is drawn
    bool logarithmic = false;
    bool fromZero = false;
    /// Recorded values that the y axis reaches over; nothing: those that are drawn.
    std::optional<std::pair<double, double>> scale;
    std::vector<Curve> curves;
    QString curveNoun; ///< "layer": what the curves are, or the axis that they go over
    CurveBand band;
    bool showBand = false;    ///< the band, once there is one, instead of the curves that are not emphasised
    std::set<int> emphasised; ///< keys drawn thick; the others are faded while there is one
    CurveLegend legend = CurveLegend::None;
    QString depthLow, depthHigh; ///< ends of the depth legend
    QString emptyText;           ///< what would be shown, while there is nothing

    [[nodiscard]] bool empty() const;
    [[nodiscard]] bool overSteps() const { return xTitle == overStepsTitle(); }
    [[nodiscard]] bool bandShown() const { return showBand && !band.median.empty(); }
    [[nodiscard]] bool isDrawn(const Curve& curve) const
    {
        return !bandShown() || emphasised.contains(curve.key);
    }
    /// The note, and of how many curves there are values where that is not all.
    [[nodiscard]] QString fullNote() const;
};

} // namespace rankscope::views

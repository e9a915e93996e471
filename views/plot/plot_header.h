// SPDX-License-Identifier: GPL-3.0-or-later
// What stands above a chart's plot area.
#pragma once

#include "views/plot/curve_plot.h"
#include "views/plot/plot_style.h"

#include <QFontMetricsF>
#include <QGraphicsItem>
#include <QList>
#include <QPen>

#include <functional>
#include <utility>
#include <vector>

class QPainter;

namespace rankscope::views
{

/// Title at the left, legend at the right or, where that is too long, below it; under the title the plot's
/// note and the name of an axis that is too short for it.
class PlotHeader : public QGraphicsItem
{
public:
    using QGraphicsItem::QGraphicsItem;

    void set(const CurvePlot& plot, const PlotStyle& style);
    /// What a click on the legend selects, or -1.
    [[nodiscard]] int keyAt(const QPointF& place) const;
    void setWidth(double width);
    [[nodiscard]] double height() const;
    /// Where the second axis, which has its place right above the plot, says something. (A second axis of
    /// Qt's makes a chart of this size elide the labels of both.)
    void setTicks(std::pair<double, double> range, double interval);
    /// Said after the title, or under it, where the axis is too short for it.
    void setAxisText(const QString& text);
    [[nodiscard]] QRectF boundingRect() const override { return {0, 0, m_width, height()}; }

    void paint(QPainter* painter, const QStyleOptionGraphicsItem* option, QWidget* widget) override;

private:
    static constexpr double left = 6;
    static constexpr double sample = 1.4; ///< length of an entry's line in heights of the font: two dashes
    struct LegendEntry {
        QString label;
        QPen pen;
        int key = -1;
    };

    /// Baseline of the legend's first line: beside the title or below title and notes.
    [[nodiscard]] QPointF legendStart() const;
    /// Where each entry begins, on its line's baseline.
    [[nodiscard]] std::vector<QPointF> entryStarts() const;

    [[nodiscard]] QStringList notes() const;
    [[nodiscard]] bool hasLegend() const { return m_depth || !m_entries.isEmpty(); }
    [[nodiscard]] QString bandText() const { return QStringLiteral("median, 10-90 %"); }
    [[nodiscard]] double rampWidth() const { return QFontMetricsF(m_style.font).height() * 3.5; }
    [[nodiscard]] double legendWidth() const;
    [[nodiscard]] double entryWidth(const QString& label) const;
    [[nodiscard]] int legendLines() const;
    [[nodiscard]] bool legendBesideTitle() const;
    void paintTopAxis(QPainter& painter, const QFontMetricsF& small) const;
    void paintDepth(QPainter& painter, double x, double y, const QFontMetricsF& small) const;

    PlotStyle m_style;
    QString m_title;
    QString m_note;
    QString m_axisText;
    QList<LegendEntry> m_entries;
    bool m_depth = false;
    bool m_band = false;
    QString m_low, m_high;
    std::function<QString(double)> m_topLabel;
    QString m_topTitle;
    std::pair<double, double> m_range{0, 1};
    double m_interval = 0;
    double m_width = 100;
};

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
// Grouped bars: before and after, by task.
#pragma once

#include "views/plot/cursor_reading.h"
#include "views/plot/plot_style.h"

#include <QRectF>
#include <QString>
#include <QStringList>
#include <QWidget>

#include <optional>
#include <set>
#include <vector>

class QPainter;

namespace rankscope::views
{

struct BarSeries {
    QString label;
    std::vector<float> values; ///< one for each group; NaN is left out and said so
    bool reference = false;    ///< what the others are compared with: grey, alone too
};

struct BarPlot {
    QString title;
    QString valueTitle;
    QString unit;
    QString groupNoun; ///< "task": what the groups are
    QStringList groups;
    std::vector<BarSeries> series;
    double maximum = 0; ///< of the axis; 0: from the data
    std::set<int> selectedGroups;
    QString emptyText;

    [[nodiscard]] bool hasValues() const;
};

void paintBarPlot(QPainter& painter, const QRectF& area, const BarPlot& plot, const PlotStyle& style);
/// Group at a place, or -1.
int barGroupAt(const QPointF& place, const QRectF& area, const BarPlot& plot, const PlotStyle& style);

class BarWidget : public QWidget
{
    Q_OBJECT

public:
    explicit BarWidget(QWidget* parent = nullptr);
    void setPlot(const BarPlot& plot);
    [[nodiscard]] const BarPlot& plot() const { return m_plot; }
    /// Group at a place in the widget, or -1.
    [[nodiscard]] int groupAt(const QPointF& place) const;
    /// Of the bar there.
    [[nodiscard]] std::optional<float> valueAt(const QPointF& place) const;
    [[nodiscard]] QSize sizeHint() const override { return {320, 220}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {160, 110}; }

Q_SIGNALS:
    void groupChosen(int group, Qt::KeyboardModifiers modifiers);
    void hovered(const QString& lines);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void leaveEvent(QEvent* event) override;

private:
    [[nodiscard]] PlotStyle style() const { return PlotStyle::screen(palette(), font()); }
    [[nodiscard]] QString readingOf(int group) const;

    BarPlot m_plot;
    CursorReading* m_reading;
    int m_cursor = 0; ///< of the keyboard
};

} // namespace rankscope::views

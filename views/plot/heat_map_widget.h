// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/plot/cursor_reading.h"
#include "views/plot/heat_map.h"

#include <QWidget>

#include <functional>
#include <utility>

namespace rankscope::views
{

class HeatMapWidget : public QWidget
{
    Q_OBJECT

public:
    explicit HeatMapWidget(QWidget* parent = nullptr);

    void setMap(const HeatMap& map);
    [[nodiscard]] const HeatMap& map() const { return m_map; }
    /// What the cursor reads in a cell.
    void setReader(std::function<QString(int row, int column)> read) { m_read = std::move(read); }
    /// Centre of a cell in the widget.
    [[nodiscard]] QPoint cellCentre(int row, int column) const;
    /// Row and column at a place in the widget; -1 outside the cells or where nothing is shown.
    [[nodiscard]] std::pair<int, int> cellAt(const QPointF& place) const;

    /// The keyboard's cell: where its menu opens.
    [[nodiscard]] QVariant inputMethodQuery(Qt::InputMethodQuery query) const override;
    [[nodiscard]] QSize sizeHint() const override { return {360, 300}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {160, 110}; }

Q_SIGNALS:
    /// A click, a drag over cells or Enter: rows r0..r1 and columns c0..c1.
    void cellsChosen(int row0, int row1, int column0, int column1, Qt::KeyboardModifiers modifiers);
    void hovered(const QString& lines);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void leaveEvent(QEvent* event) override;

private:
    [[nodiscard]] HeatMapGeometry geometryNow() const;
    void showReading(std::pair<int, int> cell, const QPoint& globalPlace);

    HeatMap m_map;
    std::function<QString(int row, int column)> m_read;
    CursorReading* m_reading;
    std::pair<int, int> m_hover{-1, -1};
    std::pair<int, int> m_pressed{-1, -1};
    std::pair<int, int> m_cursor{0, 0}; ///< of the keyboard
};

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/heat_map_widget.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>

#include <algorithm>

namespace rankscope::views
{

HeatMapWidget::HeatMapWidget(QWidget* parent) : QWidget(parent), m_reading(new CursorReading(this))
{
    connect(m_reading, &CursorReading::changed, this, &HeatMapWidget::hovered);
    setMouseTracking(true);
    setFocusPolicy(Qt::StrongFocus);
    setContextMenuPolicy(Qt::CustomContextMenu);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
}

void HeatMapWidget::setMap(const HeatMap& map)
{
    m_map = map;
    setAccessibleName(map.title);
    m_reading->renew();
    update();
}

void HeatMapWidget::showReading(std::pair<int, int> cell, const QPoint& globalPlace)
{
    const auto read = [this, cell] {
        const auto [row, column] = cell;
        return m_read && row >= 0 && row < m_map.rows() && column < m_map.columns() ? m_read(row, column)
                                                                                    : QString();
    };
    m_reading->show(read, globalPlace);
}

HeatMapGeometry HeatMapWidget::geometryNow() const
{
    return layOut(rect(), m_map, PlotStyle::screen(palette(), font()));
}

QPoint HeatMapWidget::cellCentre(int row, int column) const
{
    return geometryNow().cell(row, column).center().toPoint();
}

QVariant HeatMapWidget::inputMethodQuery(Qt::InputMethodQuery query) const
{
    if (query == Qt::ImCursorRectangle && m_map.hasValues())
        return geometryNow().cell(m_cursor.first, m_cursor.second).toRect();
    return QWidget::inputMethodQuery(query);
}

std::pair<int, int> HeatMapWidget::cellAt(const QPointF& place) const
{
    return m_map.hasValues() ? geometryNow().cellAt(place, m_map) : std::pair{-1, -1};
}

void HeatMapWidget::paintEvent(QPaintEvent* /*event*/)
{
    QPainter painter(this);
    const PlotStyle style = PlotStyle::screen(palette(), font());
    paintHeatMap(painter, rect(), m_map, style);
    if (!m_map.hasValues())
        return;
    const HeatMapGeometry geometry = geometryNow();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setBrush(Qt::NoBrush);
    const auto frame = [&](std::pair<int, int> cell, const QColor& colour) {
        painter.setPen(QPen(colour, 2));
        painter.drawRect(geometry.cell(cell.first, cell.second).adjusted(0.5, 0.5, -0.5, -0.5));
    };
    if (m_pressed.first >= 0 && m_hover.first >= 0 && m_pressed != m_hover) {
        painter.setPen(QPen(style.accent, 2));
        painter.drawRect(geometry.cell(m_pressed.first, m_pressed.second)
                             .united(geometry.cell(m_hover.first, m_hover.second)));
    } else if (m_hover.first >= 0) {
        frame(m_hover, style.text);
    }
    if (hasFocus() && m_cursor.first < m_map.rows() && m_cursor.second < m_map.columns())
        frame(m_cursor, style.accent);
}

void HeatMapWidget::mouseMoveEvent(QMouseEvent* event)
{
    const auto cell = cellAt(event->position());
    m_hover = cell;
    update();
    showReading(cell, event->globalPosition().toPoint());
}

void HeatMapWidget::mousePressEvent(QMouseEvent* event)
{
    if (event->button() != Qt::LeftButton)
        return;
    m_pressed = cellAt(event->position());
    m_hover = m_pressed;
    update();
}

void HeatMapWidget::mouseReleaseEvent(QMouseEvent* event)
{
    if (event->button() != Qt::LeftButton || m_pressed.first < 0)
        return;
    const auto first = m_pressed;
    m_pressed = {-1, -1};
    auto last = cellAt(event->position());
    if (last.first < 0)
        last = first;
    m_cursor = last;
    update();
    Q_EMIT cellsChosen(std::min(first.first, last.first), std::max(first.first, last.first),
                       std::min(first.second, last.second), std::max(first.second, last.second),
                       event->modifiers());
}

void HeatMapWidget::keyPressEvent(QKeyEvent* event)
{
    // Shift with arrows: the bare arrows step through the run.
    const bool shift = event->modifiers().testFlag(Qt::ShiftModifier);
    auto next = m_cursor;
    if (shift && event->key() == Qt::Key_Up)
        --next.first;
    else if (shift && event->key() == Qt::Key_Down)
        ++next.first;
    else if (shift && event->key() == Qt::Key_Left)
        --next.second;
    else if (shift && event->key() == Qt::Key_Right)
        ++next.second;
    else if (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter) {
        if (m_map.hasValues())
            Q_EMIT cellsChosen(m_cursor.first, m_cursor.first, m_cursor.second, m_cursor.second,
                               event->modifiers());
        return;
    } else {
        QWidget::keyPressEvent(event);
        return;
    }
    m_cursor = {std::clamp(next.first, 0, std::max(0, m_map.rows() - 1)),
                std::clamp(next.second, 0, std::max(0, m_map.columns() - 1))};
    update();
    showReading(m_cursor, mapToGlobal(cellCentre(m_cursor.first, m_cursor.second)));
}

void HeatMapWidget::leaveEvent(QEvent* event)
{
    m_hover = {-1, -1};
    update();
    m_reading->clear();
    QWidget::leaveEvent(event);
}

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/cursor_reading.h"

#include <QEvent>
#include <QToolTip>

#include <utility>

namespace rankscope::views
{

CursorReading::CursorReading(QWidget* widget) : QObject(widget), m_widget(widget)
{
    widget->installEventFilter(this);
}

void CursorReading::show(Reader read, const std::optional<QPoint>& globalPlace)
{
    m_read = std::move(read);
    m_place = globalPlace;
    const QString lines = m_read();
    Q_EMIT changed(lines);
    showTip(lines);
}

void CursorReading::renew()
{
    if (!m_read)
        return;
    const QString lines = m_read();
    Q_EMIT changed(lines);
    if (QToolTip::isVisible())
        showTip(lines);
}

void CursorReading::clear()
{
    m_read = nullptr;
    Q_EMIT changed({});
}

void CursorReading::showTip(const QString& lines) const
{
    if (!m_place)
        return;
    if (lines.isEmpty())
        QToolTip::hideText();
    else
        QToolTip::showText(*m_place + QPoint(12, 8), lines, m_widget);
}

bool CursorReading::eventFilter(QObject* watched, QEvent* event)
{
    // The keyboard's cursor is elsewhere now: another widget says what is under it.
    if (event->type() == QEvent::FocusOut && !m_widget->underMouse())
        m_read = nullptr;
    return QObject::eventFilter(watched, event);
}

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
// The values at the cursor of a widget: said where they are asked for, and again when what is drawn changes.
#pragma once

#include <QObject>
#include <QPoint>
#include <QString>
#include <QWidget>

#include <functional>
#include <optional>

namespace rankscope::views
{

class CursorReading : public QObject
{
    Q_OBJECT

public:
    /// What is under the cursor now, as lines; nothing where there is none.
    using Reader = std::function<QString()>;

    explicit CursorReading(QWidget* widget);

    /// The cursor is somewhere else: says what `read` finds there, beside the place where there is one.
    void show(Reader read, const std::optional<QPoint>& globalPlace);
    /// The data or the step is another one. Never brings back a tool tip that has gone.
    void renew();
    /// The cursor has left.
    void clear();

Q_SIGNALS:
    void changed(const QString& lines);

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void showTip(const QString& lines) const;

    QWidget* m_widget;
    Reader m_read;
    std::optional<QPoint> m_place;
};

} // namespace rankscope::views

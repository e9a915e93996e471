// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/job_editor/wheel_guard.h"

#include <QEvent>
#include <QWidget>

namespace rankscope::workbench
{

namespace
{

class WheelGuard : public QObject
{
public:
    using QObject::QObject;

protected:
    bool eventFilter(QObject* watched, QEvent* event) override
    {
        if (event->type() != QEvent::Wheel || qobject_cast<QWidget*>(watched)->hasFocus())
            return false;
        event->ignore(); // the parent gets it, and in the end the scroll area
        return true;
    }
};

} // namespace

void guardWheel(QWidget* field)
{
    field->setFocusPolicy(Qt::StrongFocus);
    field->installEventFilter(new WheelGuard(field));
}

} // namespace rankscope::workbench

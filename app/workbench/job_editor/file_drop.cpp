// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/job_editor/file_drop.h"

#include <QDropEvent>
#include <QLineEdit>
#include <QMimeData>
#include <QUrl>

namespace rankscope::workbench
{

namespace
{

class FileDrop : public QObject
{
public:
    using QObject::QObject;

protected:
    bool eventFilter(QObject* watched, QEvent* event) override
    {
        if (event->type() != QEvent::DragEnter && event->type() != QEvent::DragMove &&
            event->type() != QEvent::Drop)
            return false;
        auto* drop = static_cast<QDropEvent*>(event); // the others are of its kind
        const QList<QUrl> urls = drop->mimeData()->urls();
        if (urls.isEmpty() || !urls.first().isLocalFile())
            return false;
        drop->acceptProposedAction();
        if (event->type() == QEvent::Drop)
            qobject_cast<QLineEdit*>(watched)->setText(urls.first().toLocalFile());
        return true;
    }
};

} // namespace

void takeDroppedFile(QLineEdit* line)
{
    line->installEventFilter(new FileDrop(line));
}

} // namespace rankscope::workbench

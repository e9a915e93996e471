// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/save_dialog.h"

#include <QFileDialog>
#include <QRegularExpression>

namespace rankscope::workbench
{

QString askWhereToSave(QWidget* parent, const QString& title, const QString& proposal, const QString& filters)
{
    QFileDialog dialog(parent, title, {}, filters);
    dialog.setAcceptMode(QFileDialog::AcceptSave);
    dialog.selectFile(proposal);
    const auto useEnding = [&dialog](const QString& filter) {
        static const QRegularExpression ending(QStringLiteral("\\*\\.(\\w+)"));
        dialog.setDefaultSuffix(ending.match(filter).captured(1));
    };
    useEnding(dialog.selectedNameFilter());
    QObject::connect(&dialog, &QFileDialog::filterSelected, &dialog, useEnding);
    return dialog.exec() == QDialog::Accepted ? dialog.selectedFiles().constFirst() : QString();
}

} // namespace rankscope::workbench

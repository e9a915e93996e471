// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

class QWidget;

namespace rankscope::workbench
{

/// Asks for the file to write: whole, with the ending of the chosen filter where none was typed, so that the
/// question whether to write over a file is about the one that will be written. Empty: cancelled.
QString askWhereToSave(QWidget* parent, const QString& title, const QString& proposal,
                       const QString& filters);

} // namespace rankscope::workbench

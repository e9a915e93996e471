// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QIcon>
#include <QString>

namespace rankscope::workbench
{

/// An icon of the project's own set in the palette's text colour; legible in both palettes.
QIcon icon(const QString& name);
QIcon programIcon();

} // namespace rankscope::workbench

// SPDX-License-Identifier: GPL-3.0-or-later
// The look: Fusion with a light and a dark palette of our own and one accent colour.
#pragma once

#include <QPalette>
#include <QString>

class QLabel;
class QWidget;

namespace rankscope::workbench
{

enum class StyleChoice { System, Light, Dark };

/// Remembers whether the system is dark; call once, before any palette is set.
void rememberSystemStyle();
void applyStyle(StyleChoice choice);
[[nodiscard]] QString styleName(StyleChoice choice); ///< "system", "light", "dark"
[[nodiscard]] StyleChoice styleFromName(const QString& name);
/// For lists: the chosen item is tinted rather than filled, so that its icon can be read on it too.
[[nodiscard]] QPalette tintedSelection();
/// The heading of a part of a panel.
QLabel* sectionHeading(const QString& title, QWidget* parent);

} // namespace rankscope::workbench

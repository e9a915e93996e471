// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

class QWidget;

namespace rankscope::workbench
{

/// Scrolling a page must not change what stands under the pointer: the wheel belongs to a field only once the
/// user has clicked it or come to it by keyboard, and to the page else.
void guardWheel(QWidget* field);

} // namespace rankscope::workbench

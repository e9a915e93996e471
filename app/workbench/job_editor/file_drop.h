// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

class QLineEdit;

namespace rankscope::workbench
{

/// A file or folder dropped on the line becomes its text, as a path; by itself a line takes the URL and puts
/// it into what stands there.
void takeDroppedFile(QLineEdit* line);

} // namespace rankscope::workbench

// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <QSize>
#include <QString>
#include <QStringList>

#include <optional>

namespace rankscope::workbench
{

struct CommandLine {
    QStringList runs;
    QString newJob;
    QString launchJob;
    QString runsFolder;
    QString socket;
    QString figure;     ///< a figure to show again, from the description saved in it
    QString figures;    ///< folder for every view's figures, without a window
    QString screenshot; ///< PNG of the window
    QString view;
    QString style;
    std::optional<QSize> size;
    std::optional<qint64> step;
    bool version = false;
    bool help = false;
    QString helpText;

    /// An error is one sentence for standard error.
    static Result<CommandLine> parse(const QStringList& arguments);
};

} // namespace rankscope::workbench

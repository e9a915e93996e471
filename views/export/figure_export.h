// SPDX-License-Identifier: GPL-3.0-or-later
// Figures for papers: PNG, SVG and PDF at a journal's width, CSV of the numbers. SVG and PDF keep text as
// text. The figure's description travels in the file and can be read back from it.
#pragma once

#include "core/base/result.h"
#include "views/export/figure.h"

#include <QImage>
#include <QJsonObject>
#include <QString>

#include <vector>

namespace rankscope::views
{

struct FigurePreset {
    QString key;   ///< "single-column"
    QString title; ///< "Single column, 3.25 in"
    double widthInches = 3.25;
    double fontPoints = 7;
};

/// Single column (3.25 in), text width (5.5 in and 6.75 in) and slide (10 in).
const std::vector<FigurePreset>& figurePresets();
/// The preset of that key; the first if there is none.
const FigurePreset& figurePreset(const QString& key);

struct ExportOptions {
    QString preset = QStringLiteral("single-column");
    bool transparent = false;
    int pixelsPerInch = 300; ///< of PNG
};

/// Writes by the file's ending: .png, .svg, .pdf or .csv.
Status exportFigure(const Figure& figure, const QJsonObject& description, const QString& file,
                    const ExportOptions& options);
/// The figure as an image, for the clipboard.
QImage figureImage(const Figure& figure, const ExportOptions& options);
/// The description saved in a PNG, SVG or PDF, or in the comment that a CSV starts with.
Result<QJsonObject> readFigureDescription(const QString& file);

} // namespace rankscope::views

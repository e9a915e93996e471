// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers and names as users read them.
#pragma once

#include <QString>

#include <cstdint>

namespace rankscope::views
{

/// At the cursor: the exact value with its unit, bytes also in GB or MB; "not measured" for NaN.
QString formatValue(double value, const QString& unit = {});
/// "1.23 M", "135 k".
QString formatCount(double count);
/// "3.1 GB", "812 MB".
QString formatBytes(double bytes);
/// "1:12", "2:03:40", "3 d 4 h"; empty when unknown (negative or not finite).
QString formatDuration(double seconds);
/// The name as the model has it: "model.layers.7.mlp.down_proj".
QString modelName(int layer, const QString& module);
/// A label on an axis by itself: "layer 3", but "q_proj".
QString placeOn(const QString& axis, const QString& label);
/// An exact number for tables: the shortest text that reads back as the same float.
QString exactNumber(float value);

} // namespace rankscope::views

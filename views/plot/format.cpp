// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/format.h"

#include <QSet>

#include <array>
#include <charconv>
#include <cmath>

namespace rankscope::views
{

QString formatBytes(double bytes)
{
    if (!std::isfinite(bytes))
        return QStringLiteral("not measured");
    if (bytes >= 1e9)
        return QStringLiteral("%1 GB").arg(bytes / 1e9, 0, 'f', bytes < 1e10 ? 2 : 1);
    if (bytes >= 1e6)
        return QStringLiteral("%1 MB").arg(bytes / 1e6, 0, 'f', 0);
    return QStringLiteral("%1 kB").arg(bytes / 1e3, 0, 'f', 0);
}

QString formatValue(double value, const QString& unit)
{
    if (!std::isfinite(value))
        return QStringLiteral("not measured");
    if (unit == QLatin1String("B"))
        return QStringLiteral("%1 B (%2)").arg(value, 0, 'f', 0).arg(formatBytes(value));
    const QString number = exactNumber(static_cast<float>(value));
    return unit.isEmpty() ? number : number + QLatin1Char(' ') + unit;
}

QString formatCount(double count)
{
    if (!std::isfinite(count))
        return QStringLiteral("unknown");
    if (std::abs(count) >= 1e9)
        return QStringLiteral("%1 B").arg(count / 1e9, 0, 'f', 2);
    if (std::abs(count) >= 1e6)
        return QStringLiteral("%1 M").arg(count / 1e6, 0, 'f', 2);
    if (std::abs(count) >= 1e4)
        return QStringLiteral("%1 k").arg(count / 1e3, 0, 'f', 1);
    return QString::number(count, 'f', 0);
}

QString formatDuration(double seconds)
{
    if (!std::isfinite(seconds) || seconds < 0)
        return {};
    const auto total = static_cast<long long>(std::llround(seconds));
    const auto two = [](long long n) { return QStringLiteral("%1").arg(n, 2, 10, QLatin1Char('0')); };
    if (total >= 86400)
        return QStringLiteral("%1 d %2 h").arg(total / 86400).arg(total % 86400 / 3600);
    if (total >= 3600)
        return QStringLiteral("%1:%2:%3").arg(total / 3600).arg(two(total % 3600 / 60), two(total % 60));
    return QStringLiteral("%1:%2").arg(total / 60).arg(two(total % 60));
}

QString modelName(int layer, const QString& module)
{
    static const QSet<QString> attention = {QStringLiteral("q_proj"), QStringLiteral("k_proj"),
                                            QStringLiteral("v_proj"), QStringLiteral("o_proj"),
                                            QStringLiteral("qkv_proj")};
    static const QSet<QString> mlp = {QStringLiteral("gate_proj"), QStringLiteral("up_proj"),
                                      QStringLiteral("down_proj"), QStringLiteral("gate_up_proj")};
    const QString prefix = QStringLiteral("model.layers.%1").arg(layer);
    if (module.isEmpty())
        return prefix;
    if (attention.contains(module))
        return prefix + QStringLiteral(".self_attn.") + module;
    if (mlp.contains(module))
        return prefix + QStringLiteral(".mlp.") + module;
    return prefix + QLatin1Char('.') + module;
}

QString placeOn(const QString& axis, const QString& label)
{
    bool isNumber = false;
    label.toInt(&isNumber);
    return isNumber ? axis + QLatin1Char(' ') + label : label;
}

QString exactNumber(float value)
{
    if (std::isnan(value))
        return {};
    std::array<char, 64> text{};
    const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
    return QString::fromLatin1(text.data(), static_cast<int>(result.ptr - text.data()));
}

} // namespace rankscope::views

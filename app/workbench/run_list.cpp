// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/run_list.h"

#include "views/plot/format.h"
#include "views/plot/plot_style.h"

#include <QApplication>
#include <QPainter>
#include <QPainterPath>

#include <algorithm>
#include <cmath>

namespace rankscope::workbench
{

int RunListModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

QVariant RunListModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid() || index.row() >= rowCount())
        return {};
    const RunRow& row = m_rows[static_cast<std::size_t>(index.row())];
    switch (role) {
    case Qt::DisplayRole:
        return row.name;
    case Qt::AccessibleTextRole:
        return QStringLiteral("%1, %2").arg(row.name, stateText(row));
    case Qt::ToolTipRole: {
        QString text = row.name + QLatin1Char('\n') + row.path + QLatin1Char('\n') + stateText(row);
        if (row.totalSteps > 0)
            text += tr(": step %1 of %2").arg(row.step).arg(row.totalSteps);
        if (!row.phase.isEmpty() && row.state == QLatin1String("running"))
            text += QStringLiteral(", ") + row.phase;
        if (!row.reason.isEmpty())
            text += QLatin1Char('\n') + row.reason;
        return text;
    }
    case RowRole:
        return QVariant::fromValue(row);
    case PathRole:
        return row.path;
    default:
        return {};
    }
}

void RunListModel::setRows(const std::vector<RunRow>& rows)
{
    const bool sameRuns = rows.size() == m_rows.size() &&
                          std::equal(rows.begin(), rows.end(), m_rows.begin(),
                                     [](const RunRow& a, const RunRow& b) { return a.path == b.path; });
    if (!sameRuns) {
        beginResetModel();
        m_rows = rows;
        endResetModel();
        return;
    }
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (!(rows[i] == m_rows[i])) {
            m_rows[i] = rows[i];
            Q_EMIT dataChanged(index(static_cast<int>(i)), index(static_cast<int>(i)));
        }
}

const RunRow* RunListModel::row(const QString& path) const
{
    const auto found =
        std::find_if(m_rows.begin(), m_rows.end(), [&path](const RunRow& row) { return row.path == path; });
    return found == m_rows.end() ? nullptr : &*found;
}

QString stateText(const RunRow& row)
{
    if (row.state == QLatin1String("running")) {
        if (row.totalSteps > 0 && row.step > 0)
            return QStringLiteral("%1 %").arg(100 * row.step / row.totalSteps);
        return row.phase.isEmpty() ? row.state : row.phase;
    }
    return row.state.isEmpty() ? QStringLiteral("snapshot") : row.state;
}

QSize RunDelegate::sizeHint(const QStyleOptionViewItem& option, const QModelIndex& /*index*/) const
{
    return {160, option.fontMetrics.height() * 2 + 18};
}

void RunDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
    const auto row = index.data(RunListModel::RowRole).value<RunRow>();
    const bool dark = views::isDark(option.palette);
    painter->save();
    painter->setRenderHint(QPainter::Antialiasing);
    const QRect area = option.rect;
    QColor fill = QApplication::palette().color(QPalette::Highlight);
    fill.setAlphaF(row.current ? 0.16F : option.state.testFlag(QStyle::State_MouseOver) ? 0.07F : 0.0F);
    painter->fillRect(area, fill);
    if (row.current)
        painter->fillRect(QRect(area.topLeft(), QSize(3, area.height())),
                          QApplication::palette().color(QPalette::Highlight));
    if (option.state.testFlag(QStyle::State_HasFocus)) {
        painter->setPen(QApplication::palette().color(QPalette::Highlight));
        painter->drawRect(area.adjusted(0, 0, -1, -1));
    }
    const QRect inner = area.adjusted(12, 6, -10, -6);
    const QColor text = option.palette.color(QPalette::Text);
    const QColor muted = dark ? QColor(0xa4, 0xab, 0xb5) : QColor(0x5a, 0x61, 0x6b);
    const bool active = row.state == QLatin1String("running") || row.state == QLatin1String("stopping");
    const bool bad = row.state == QLatin1String("failed") || row.state == QLatin1String("lost");

    // The state has a shape and a word as well as a colour.
    const QString state = stateText(row);
    QFont small = option.font;
    small.setPointSizeF(option.font.pointSizeF() * 0.9);
    const QFontMetrics smallMetrics(small);
    const int stateWidth = smallMetrics.horizontalAdvance(state) + 14;
    const int lineHeight = option.fontMetrics.height();
    const QRect first(inner.left(), inner.top(), inner.width(), lineHeight);
    painter->setPen(text);
    QFont nameFont = option.font;
    nameFont.setBold(row.current);
    painter->setFont(nameFont);
    painter->drawText(
        first.adjusted(0, 0, -stateWidth - 4, 0), Qt::AlignLeft | Qt::AlignVCenter,
        QFontMetrics(nameFont).elidedText(row.name, Qt::ElideRight, first.width() - stateWidth - 4));
    painter->setFont(small);
    const QColor stateColour = bad      ? (dark ? QColor(0xff, 0x8a, 0x7a) : QColor(0xb3, 0x26, 0x1e))
                               : active ? QApplication::palette().color(QPalette::Highlight)
                                        : muted;
    painter->setPen(stateColour);
    painter->drawText(first, Qt::AlignRight | Qt::AlignVCenter, state);
    const QPointF dot(first.right() - stateWidth + 6, first.center().y() + 0.5);
    painter->setBrush(active ? QBrush(stateColour) : QBrush());
    painter->setPen(QPen(stateColour, 1.4));
    if (bad) {
        painter->drawLine(dot + QPointF(-3, -3), dot + QPointF(3, 3));
        painter->drawLine(dot + QPointF(-3, 3), dot + QPointF(3, -3));
    } else if (row.state == QLatin1String("queued")) {
        painter->drawRect(QRectF(dot.x() - 3, dot.y() - 3, 6, 6));
    } else if (row.state == QLatin1String("done")) {
        painter->drawPolyline(
            QPolygonF{dot + QPointF(-3.5, 0), dot + QPointF(-1, 2.8), dot + QPointF(3.5, -3)});
    } else {
        painter->drawEllipse(dot, 3, 3);
    }

    const QRect second(inner.left(), first.bottom() + 5, inner.width(), lineHeight);
    const QString right = row.state == QLatin1String("running") && row.remainingSeconds >= 0
                              ? views::formatDuration(row.remainingSeconds)
                          : row.totalSteps > 0 ? QStringLiteral("%1 / %2").arg(row.step).arg(row.totalSteps)
                                               : QString();
    painter->setPen(muted);
    painter->drawText(second, Qt::AlignRight | Qt::AlignVCenter, right);
    const int rightWidth = smallMetrics.horizontalAdvance(right) + 10;
    const QRectF spark(second.left(), second.top() + 2, std::max(20, second.width() - rightWidth),
                       second.height() - 4);
    if (row.sparkline.size() > 1) {
        const auto [low, high] = std::minmax_element(row.sparkline.begin(), row.sparkline.end());
        const double span = *high > *low ? *high - *low : 1;
        const double full = active && row.totalSteps > 0
                                ? static_cast<double>(row.step) / static_cast<double>(row.totalSteps)
                                : 1;
        QPainterPath path;
        for (std::size_t i = 0; i < row.sparkline.size(); ++i) {
            const QPointF point(spark.left() + spark.width() * full * static_cast<double>(i) /
                                                   static_cast<double>(row.sparkline.size() - 1),
                                spark.bottom() - (row.sparkline[i] - *low) / span * spark.height());
            i == 0 ? path.moveTo(point) : path.lineTo(point);
        }
        painter->setBrush(Qt::NoBrush);
        painter->setPen(QPen(active ? stateColour : muted, 1.2));
        painter->drawPath(path);
    } else {
        painter->drawText(second.adjusted(0, 0, -rightWidth, 0), Qt::AlignLeft | Qt::AlignVCenter,
                          smallMetrics.elidedText(row.family.isEmpty() ? row.reason : row.family,
                                                  Qt::ElideRight, second.width() - rightWidth));
    }
    if (active && row.totalSteps > 0) {
        const double share = static_cast<double>(row.step) / static_cast<double>(row.totalSteps);
        const QRectF bar(inner.left(), area.bottom() - 3, inner.width(), 2);
        painter->fillRect(bar, option.palette.color(QPalette::Mid));
        painter->fillRect(QRectF(bar.topLeft(), QSizeF(bar.width() * share, 2)), stateColour);
    }
    painter->restore();
}

} // namespace rankscope::workbench

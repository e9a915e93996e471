// SPDX-License-Identifier: GPL-3.0-or-later
// The runs of the left panel: those that are open and those that the supervisor knows, each once.
#pragma once

#include <QAbstractListModel>
#include <QString>
#include <QStyledItemDelegate>

#include <cstdint>
#include <vector>

namespace rankscope::workbench
{

struct RunRow {
    QString path; ///< of the run directory or snapshot
    QString id;   ///< the supervisor's name for it; empty if it does not know it
    QString name;
    QString family;
    QString state; ///< queued, running, stopping, stopped, done, failed, lost; unknown without a supervisor
    QString reason;
    QString phase;
    std::int64_t step = 0;
    std::int64_t totalSteps = 0;
    double loss = 0;
    double remainingSeconds = -1;
    bool open = false;
    bool current = false;
    std::vector<float> sparkline; ///< loss, decimated

    bool operator==(const RunRow&) const = default;
};

class RunListModel : public QAbstractListModel
{
    Q_OBJECT

public:
    enum Role { RowRole = Qt::UserRole + 1, PathRole };
    using QAbstractListModel::QAbstractListModel;

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;

    /// Takes the new rows; only what changed is repainted.
    void setRows(const std::vector<RunRow>& rows);
    [[nodiscard]] const std::vector<RunRow>& rows() const { return m_rows; }
    [[nodiscard]] const RunRow* row(const QString& path) const;

private:
    std::vector<RunRow> m_rows;
};

/// Two lines: name and state; sparkline of the loss, progress and time left.
class RunDelegate : public QStyledItemDelegate
{
    Q_OBJECT

public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option,
               const QModelIndex& index) const override;
    [[nodiscard]] QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;
};

/// "62 %", "queued", "done": the state as the list shows it.
QString stateText(const RunRow& row);

} // namespace rankscope::workbench

Q_DECLARE_METATYPE(rankscope::workbench::RunRow)

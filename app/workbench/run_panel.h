// SPDX-License-Identifier: GPL-3.0-or-later
// The left panel: runs with a filter, adapters and snapshots opened from disk, machines.
#pragma once

#include "app/workbench/run_list.h"

#include <QWidget>

class QLabel;
class QLineEdit;
class QListView;
class QListWidget;
class QSortFilterProxyModel;

namespace rankscope::workbench
{

class RunPanel : public QWidget
{
    Q_OBJECT

public:
    explicit RunPanel(RunListModel* runs, QWidget* parent = nullptr);

    struct Adapter {
        QString name, path;
    };
    void setAdapters(const std::vector<Adapter>& adapters, const QString& current);
    /// What the supervisor of this machine is doing.
    void setMachineState(const QString& text, bool running);
    void focusFilter();
    void refreshIcons();
    [[nodiscard]] QListView* list() const { return m_list; }

Q_SIGNALS:
    void runActivated(const QString& path);
    void closeRequested(const QString& path);
    void stopRequested(const QString& path);
    void endRequested(const QString& path);
    void resumeRequested(const QString& path);
    void saveRequested(const QString& path);
    void copyJobRequested(const QString& path);

private:
    void menuAt(const QPoint& place);
    void fitLists();

    RunListModel* m_runs;
    QSortFilterProxyModel* m_filtered;
    QLineEdit* m_filter;
    QListView* m_list;
    QLabel* m_noRuns;
    QListWidget* m_adapters;
    QLabel* m_noAdapters;
    QListWidget* m_machines;
    QString m_machineText;
};

} // namespace rankscope::workbench

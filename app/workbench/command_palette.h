// SPDX-License-Identifier: GPL-3.0-or-later
// Every action and every run by typing a part of its name.
#pragma once

#include "app/workbench/run_list.h"

#include <QFrame>
#include <QList>

#include <vector>

class QAction;
class QLineEdit;
class QListWidget;

namespace rankscope::workbench
{

class CommandPalette : public QFrame
{
    Q_OBJECT

public:
    explicit CommandPalette(QWidget* window);
    /// Shows itself at the top of the window.
    void open(const QList<QAction*>& actions, const std::vector<RunRow>& runs);
    [[nodiscard]] QLineEdit* field() const { return m_field; }
    [[nodiscard]] QListWidget* list() const { return m_list; }

Q_SIGNALS:
    void runChosen(const QString& path);

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void match(const QString& text);
    void runCurrent();

    QLineEdit* m_field;
    QListWidget* m_list;
    QList<QAction*> m_actions;
    std::vector<RunRow> m_runs;
};

} // namespace rankscope::workbench

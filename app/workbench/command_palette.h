// SPDX-License-Identifier: GPL-3.0-or-later
// Every action by typing a part of its name.
#pragma once

#include <QFrame>
#include <QList>

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
    void open(const QList<QAction*>& actions);
    [[nodiscard]] QLineEdit* field() const { return m_field; }

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void match(const QString& text);
    void runCurrent();

    QLineEdit* m_field;
    QListWidget* m_list;
    QList<QAction*> m_actions;
};

} // namespace rankscope::workbench

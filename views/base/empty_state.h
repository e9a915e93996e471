// SPDX-License-Identifier: GPL-3.0-or-later
// What a view shows while it has nothing to show: what would be here, and the action that fills it.
#pragma once

#include <QWidget>

class QLabel;
class QPushButton;

namespace rankscope::views
{

class EmptyState : public QWidget
{
    Q_OBJECT

public:
    explicit EmptyState(QWidget* parent = nullptr);
    void setText(const QString& title, const QString& text);
    /// Whether the two actions are offered: they are not where the run is open but lacks the measure.
    void setActionsShown(bool shown);

Q_SIGNALS:
    void newRunRequested();
    void openRequested();

private:
    QLabel* m_title;
    QLabel* m_text;
    QPushButton* m_newRun;
    QPushButton* m_open;
};

} // namespace rankscope::views

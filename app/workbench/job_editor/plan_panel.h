// SPDX-License-Identifier: GPL-3.0-or-later
// What the run would cost, at the right of the New run page.
#pragma once

#include <QWidget>

class QLabel;
class QPushButton;

namespace rankscope::workbench
{

class PlanPanel : public QWidget
{
    Q_OBJECT

public:
    explicit PlanPanel(QWidget* parent = nullptr);

    void showWaiting();
    /// The JSON object of `rankscope-engine plan --json`.
    void showPlan(const QString& json);
    void showProblem(const QString& message);
    [[nodiscard]] QPushButton* launchButton() const { return m_launch; }

private:
    QLabel* m_parameters;
    QLabel* m_percent;
    QLabel* m_memory;
    QLabel* m_details;
    QLabel* m_problem;
    QPushButton* m_launch;
};

} // namespace rankscope::workbench

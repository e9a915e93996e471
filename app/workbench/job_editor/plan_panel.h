// SPDX-License-Identifier: GPL-3.0-or-later
// What the run would cost, at the right of the New run page.
#pragma once

#include "app/workbench/job_editor/time_estimate.h"

#include <QWidget>

#include <optional>

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
    /// How long the planned training takes; nothing: no run tells.
    void showTime(const std::optional<TimeEstimate>& time);
    /// The settings do not hold: what stands here is of others, and looks so.
    void showInvalid(const QString& message);
    [[nodiscard]] bool isStale() const { return m_stale; }
    [[nodiscard]] QLabel* problemLabel() const { return m_problem; }
    [[nodiscard]] QLabel* percentLabel() const { return m_percent; }
    [[nodiscard]] QLabel* detailsLabel() const { return m_details; }
    [[nodiscard]] QLabel* timeLabel() const { return m_time; }
    [[nodiscard]] QLabel* timeSourceLabel() const { return m_timeSource; }
    [[nodiscard]] QPushButton* launchButton() const { return m_launch; }

private:
    void setStale(bool stale);

    QWidget* m_numbers;
    QLabel* m_parameters;
    QLabel* m_percent;
    QLabel* m_memory;
    QLabel* m_details;
    QLabel* m_time;
    QLabel* m_timeSource;
    QLabel* m_problem;
    QPushButton* m_launch;
    bool m_stale = false;
};

/// "5.4 %": three significant digits.
QString formatPercent(double percent);

} // namespace rankscope::workbench

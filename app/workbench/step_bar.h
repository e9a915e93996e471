// SPDX-License-Identifier: GPL-3.0-or-later
// The step slider of the window: every view shows this moment.
#pragma once

#include "views/selection/selection.h"

#include <QTimer>
#include <QWidget>

class QLabel;
class QSlider;
class QToolButton;

namespace rankscope::workbench
{

class StepBar : public QWidget
{
    Q_OBJECT

public:
    explicit StepBar(views::Selection* selection, QWidget* parent = nullptr);

    /// The newest recorded step and the steps the run asks for (0: unknown).
    void setExtent(std::int64_t newest, std::int64_t total);
    void togglePlay();
    /// One step forward (1) or back (-1).
    void stepBy(int direction);

    [[nodiscard]] QSlider* slider() const { return m_slider; }
    [[nodiscard]] QToolButton* liveButton() const { return m_live; }
    void refreshIcons();

private:
    void showState();
    void advance();

    views::Selection* m_selection;
    QSlider* m_slider;
    QToolButton* m_first;
    QToolButton* m_play;
    QToolButton* m_last;
    QToolButton* m_live;
    QLabel* m_label;
    QTimer m_timer;
    std::int64_t m_newest = 0;
    std::int64_t m_total = 0;
};

} // namespace rankscope::workbench

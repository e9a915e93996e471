// SPDX-License-Identifier: GPL-3.0-or-later
// The one row of controls under a view.
#pragma once

#include <QWidget>

class QCheckBox;
class QComboBox;
class QHBoxLayout;
class QSlider;
class QToolButton;

namespace rankscope::views
{

class ControlRow : public QWidget
{
    Q_OBJECT

public:
    explicit ControlRow(QWidget* parent = nullptr);

    QComboBox* addChoice(const QString& label, const QString& toolTip);
    QCheckBox* addSwitch(const QString& label, const QString& toolTip);
    QSlider* addSlider(const QString& label, const QString& toolTip, int minimum, int maximum);
    QToolButton* addButton(const QString& label, const QString& toolTip);
    void addStretch();
    /// Where there is no room for all, this choice of those added so far is cut and the others are not.
    void letGiveWay(QComboBox* choice);

private:
    QHBoxLayout* m_layout;
};

/// Shows the selected tasks in a choice whose first item is all of them; several stand there as text.
void showTasks(QComboBox* choice, const QStringList& tasks);

/// Fills a choice with texts and keeps the chosen one if it is still among them.
void setChoices(QComboBox* choice, const QStringList& texts, const QStringList& data = {});

} // namespace rankscope::views

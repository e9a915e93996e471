// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/base/control_row.h"

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QSignalBlocker>
#include <QSlider>
#include <QToolButton>

namespace rankscope::views
{

ControlRow::ControlRow(QWidget* parent) : QWidget(parent), m_layout(new QHBoxLayout(this))
{
    m_layout->setContentsMargins(8, 4, 8, 4);
    m_layout->setSpacing(8);
}

QComboBox* ControlRow::addChoice(const QString& label, const QString& toolTip)
{
    auto* caption = new QLabel(label, this);
    auto* choice = new QComboBox(this);
    choice->setToolTip(toolTip);
    choice->setAccessibleName(label);
    choice->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    caption->setBuddy(choice);
    caption->setToolTip(toolTip);
    m_layout->addWidget(caption);
    m_layout->addWidget(choice);
    return choice;
}

QCheckBox* ControlRow::addSwitch(const QString& label, const QString& toolTip)
{
    auto* box = new QCheckBox(label, this);
    box->setToolTip(toolTip);
    m_layout->addWidget(box);
    return box;
}

QSlider* ControlRow::addSlider(const QString& label, const QString& toolTip, int minimum, int maximum)
{
    auto* caption = new QLabel(label, this);
    auto* slider = new QSlider(Qt::Horizontal, this);
    slider->setRange(minimum, maximum);
    slider->setMaximumWidth(140);
    slider->setToolTip(toolTip);
    slider->setAccessibleName(label);
    caption->setToolTip(toolTip);
    m_layout->addWidget(caption);
    m_layout->addWidget(slider);
    return slider;
}

QToolButton* ControlRow::addButton(const QString& label, const QString& toolTip)
{
    auto* button = new QToolButton(this);
    button->setText(label);
    button->setToolTip(toolTip);
    m_layout->addWidget(button);
    return button;
}

void ControlRow::letGiveWay(QComboBox* choice)
{
    // Of choices that come later Qt computes the best width anew, not the least.
    for (QComboBox* other : findChildren<QComboBox*>())
        if (other != choice)
            other->setSizePolicy(QSizePolicy::Minimum, QSizePolicy::Fixed);
    choice->setMinimumWidth(fontMetrics().averageCharWidth() * 20);
}

void ControlRow::addStretch()
{
    m_layout->addStretch(1);
}

void showTasks(QComboBox* choice, const QStringList& tasks)
{
    const QSignalBlocker blocker(choice);
    choice->setPlaceholderText(tasks.join(QStringLiteral(", ")));
    choice->setCurrentIndex(tasks.isEmpty() ? 0 : tasks.size() == 1 ? choice->findText(tasks.first()) : -1);
}

void setChoices(QComboBox* choice, const QStringList& texts, const QStringList& data)
{
    QStringList present;
    for (int i = 0; i < choice->count(); ++i)
        present << choice->itemText(i);
    if (present == texts)
        return;
    const QString chosen = choice->currentText();
    const QSignalBlocker blocker(choice);
    choice->clear();
    for (int i = 0; i < texts.size(); ++i)
        choice->addItem(texts[i], i < data.size() ? QVariant(data[i]) : QVariant(texts[i]));
    choice->setCurrentIndex(std::max(0, choice->findText(chosen)));
}

} // namespace rankscope::views

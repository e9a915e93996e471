// SPDX-License-Identifier: GPL-3.0-or-later
// The selection as fields, the values under the cursor, and what the measure shown means.
#pragma once

#include "core/record/run_record.h"
#include "views/selection/selection.h"

#include <QWidget>

class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;
class QSpinBox;

namespace rankscope::workbench
{

class SelectionPanel : public QWidget
{
    Q_OBJECT

public:
    explicit SelectionPanel(views::Selection* selection, QWidget* parent = nullptr);

    void setDefinition(const QString& text);
    [[nodiscard]] QLineEdit* layersField() const { return m_layers; }
    [[nodiscard]] QLineEdit* modulesField() const { return m_modules; }
    [[nodiscard]] QSpinBox* stepField() const { return m_step; }
    [[nodiscard]] QLabel* problemLabel() const { return m_problem; }

private:
    /// Of the run; nothing without one.
    [[nodiscard]] views::Selectable selectable() const;
    void showSelectable();
    void showStep();
    void showState();

    views::Selection* m_selection;
    QSpinBox* m_step;
    QLineEdit* m_layers;
    QLineEdit* m_modules;
    QLineEdit* m_experts;
    QComboBox* m_task;
    QLabel* m_problem; ///< of what was typed last
    QPushButton* m_clear;
    QLabel* m_values;
    QLabel* m_definition;
};

} // namespace rankscope::workbench

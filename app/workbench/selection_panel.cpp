// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/selection_panel.h"

#include "app/workbench/style.h"
#include "views/base/control_row.h"

#include <QComboBox>
#include <QFormLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QRegularExpression>
#include <QSignalBlocker>
#include <QSpinBox>
#include <QVBoxLayout>

#include <limits>
#include <set>

namespace rankscope::workbench
{

namespace
{

/// What a user has begun to type is not written over, whatever a live run brings.
bool isBeingTyped(const QLineEdit* field)
{
    return field->hasFocus() && field->isModified();
}

} // namespace

SelectionPanel::SelectionPanel(views::Selection* selection, QWidget* parent)
    : QWidget(parent),
      m_selection(selection),
      m_step(new QSpinBox(this)),
      m_layers(new QLineEdit(this)),
      m_modules(new QLineEdit(this)),
      m_experts(new QLineEdit(this)),
      m_task(new QComboBox(this)),
      m_problem(new QLabel(this)),
      m_clear(new QPushButton(tr("Clear"), this)),
      m_values(new QLabel(this)),
      m_definition(new QLabel(this))
{
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(12, 12, 12, 12);
    column->setSpacing(8);
    column->addWidget(sectionHeading(tr("Selection"), this));
    auto* form = new QFormLayout;
    form->setSpacing(8);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    form->addRow(tr("Step"), m_step);
    form->addRow(tr("Layers"), m_layers);
    form->addRow(tr("Modules"), m_modules);
    form->addRow(tr("Experts"), m_experts);
    form->addRow(tr("Task"), m_task);
    column->addLayout(form);
    m_problem->setProperty("role", "error");
    m_problem->setWordWrap(true);
    m_problem->hide();
    column->addWidget(m_problem);
    column->addWidget(m_clear, 0, Qt::AlignRight);
    m_step->setMaximum(std::numeric_limits<int>::max());
    m_step->setToolTip(tr("Optimizer step that every view shows"));
    m_step->setAccessibleName(tr("Step"));
    m_layers->setPlaceholderText(tr("all"));
    m_layers->setAccessibleName(tr("Layers"));
    m_layers->setToolTip(tr("Layers counted from 0, as in the model's own names: 8-15, 20"));
    m_modules->setPlaceholderText(tr("all"));
    m_modules->setAccessibleName(tr("Modules"));
    m_modules->setToolTip(
        tr("Module names of the model, separated by blanks or commas: gate_proj, down_proj"));
    m_experts->setPlaceholderText(tr("all"));
    m_experts->setAccessibleName(tr("Experts"));
    m_experts->setToolTip(tr("Experts counted from 0: 0-3, 7"));
    m_task->setToolTip(tr("Task (data file) whose rows are shown; all by default"));
    m_task->setAccessibleName(tr("Task"));
    m_clear->setToolTip(tr("Clears layers, modules, experts and task (Esc); Ctrl+Z brings them back"));

    column->addSpacing(8);
    column->addWidget(sectionHeading(tr("Values at the cursor"), this));
    m_values->setWordWrap(true);
    m_values->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_values->setAlignment(Qt::AlignTop | Qt::AlignLeft);
    m_values->setMinimumHeight(fontMetrics().lineSpacing() * 5);
    column->addWidget(m_values);
    column->addSpacing(8);
    column->addWidget(sectionHeading(tr("Measure"), this));
    m_definition->setWordWrap(true);
    m_definition->setProperty("role", "muted");
    m_definition->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_definition->setAlignment(Qt::AlignTop | Qt::AlignLeft);
    column->addWidget(m_definition);
    column->addStretch(1);

    m_step->setKeyboardTracking(false); // a step counts when it is typed to its end
    connect(m_step, &QSpinBox::valueChanged, m_selection, &views::Selection::setStep);
    const auto whenTyped = [this](QLineEdit* field, auto take) {
        connect(field, &QLineEdit::editingFinished, this, [this, field, take] {
            const QString text = field->text().trimmed();
            const QString problem = take(text);
            m_problem->setText(problem);
            m_problem->setVisible(!problem.isEmpty());
            if (!problem.isEmpty())
                return;                // what was typed stays, to be corrected, and so does the selection
            field->setModified(false); // from here on the selection may write what it made of it
            showState();
        });
    };
    // Nothing that the run has is no selection of everything.
    const auto whenNumbersAreTyped = [this, whenTyped](QLineEdit* field, const QString& what,
                                                       int views::Selectable::*count, auto select) {
        whenTyped(field, [this, what, count, select](const QString& text) {
            const int known = selectable().*count;
            const std::set<int> numbers = views::parseNumberSet(text, known);
            if (numbers.empty() && !text.isEmpty())
                return tr("%1: the run has %2 0 to %3").arg(text, what).arg(known - 1);
            (m_selection->*select)(numbers);
            return QString();
        });
    };
    whenNumbersAreTyped(m_layers, tr("layers"), &views::Selectable::layers, &views::Selection::setLayers);
    whenNumbersAreTyped(m_experts, tr("experts"), &views::Selectable::experts, &views::Selection::setExperts);
    whenTyped(m_modules, [this](const QString& text) {
        static const QRegularExpression separators(QStringLiteral("[\\s,;]+"));
        const QStringList known = selectable().modules;
        QStringList chosen;
        for (const QString& module : text.split(separators, Qt::SkipEmptyParts))
            if (known.contains(module) && !chosen.contains(module))
                chosen << module;
        if (chosen.isEmpty() && !text.isEmpty())
            return tr("%1: the run has %2").arg(text, known.join(QStringLiteral(", ")));
        m_selection->setModules(chosen);
        return QString();
    });
    connect(m_task, &QComboBox::activated, this, [this](int index) {
        m_selection->setTasks(index <= 0 ? QStringList() : QStringList{m_task->itemText(index)});
    });
    connect(m_clear, &QPushButton::clicked, m_selection, &views::Selection::clear);
    connect(m_selection, &views::Selection::changed, this, [this] {
        m_problem->hide();
        showState();
    });
    connect(m_selection, &views::Selection::selectableChanged, this, &SelectionPanel::showSelectable);
    connect(m_selection, &views::Selection::stepChanged, this, &SelectionPanel::showStep);
    connect(m_selection, &views::Selection::hoverChanged, this, [this](const QString& lines) {
        m_values->setText(lines.isEmpty() ? tr("Point at a curve, a bar or a cell.") : lines);
    });
    m_values->setText(tr("Point at a curve, a bar or a cell."));
    showSelectable();
}

views::Selectable SelectionPanel::selectable() const
{
    return m_selection->selectable().value_or(views::Selectable());
}

void SelectionPanel::showSelectable()
{
    const views::Selectable known = selectable();
    {
        const QSignalBlocker blocker(m_task);
        m_task->clear();
        m_task->addItem(tr("all"));
        m_task->addItems(known.tasks);
    }
    m_step->setEnabled(m_selection->selectable().has_value());
    m_layers->setEnabled(known.layers > 0);
    m_modules->setEnabled(!known.modules.isEmpty());
    m_task->setEnabled(!known.tasks.isEmpty());
    m_experts->setEnabled(known.experts > 1);
    showState();
}

void SelectionPanel::setDefinition(const QString& text)
{
    m_definition->setText(text);
}

void SelectionPanel::showStep()
{
    if (isBeingTyped(m_step->findChild<QLineEdit*>()))
        return;
    const QSignalBlocker blocker(m_step);
    m_step->setValue(static_cast<int>(m_selection->step()));
}

void SelectionPanel::showState()
{
    const auto show = [](QLineEdit* field, const QString& text) {
        if (!isBeingTyped(field) && field->text() != text)
            field->setText(text);
    };
    showStep();
    show(m_layers, views::formatNumberSet(m_selection->layers()));
    show(m_experts, views::formatNumberSet(m_selection->experts()));
    show(m_modules, m_selection->modules().join(QLatin1Char(' ')));
    views::showTasks(m_task, m_selection->tasks());
    m_clear->setEnabled(!m_selection->state().empty());
}

} // namespace rankscope::workbench

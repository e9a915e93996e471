// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/job_editor/plan_panel.h"

#include "app/workbench/style.h"
#include "views/plot/format.h"

#include <QGraphicsOpacityEffect>
#include <QJsonDocument>
#include <QJsonObject>
#include <QLabel>
#include <QLocale>
#include <QPushButton>
#include <QVBoxLayout>

#include <algorithm>

namespace rankscope::workbench
{

PlanPanel::PlanPanel(QWidget* parent)
    : QWidget(parent),
      m_numbers(new QWidget(this)),
      m_parameters(new QLabel(m_numbers)),
      m_percent(new QLabel(m_numbers)),
      m_memory(new QLabel(m_numbers)),
      m_details(new QLabel(m_numbers)),
      m_time(new QLabel(m_numbers)),
      m_timeSource(new QLabel(m_numbers)),
      m_problem(new QLabel(this)),
      m_launch(new QPushButton(tr("Launch"), this))
{
    setAutoFillBackground(true);
    setBackgroundRole(QPalette::Base);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(16, 16, 16, 16);
    column->setSpacing(8);
    column->addWidget(sectionHeading(tr("Plan"), this));
    auto* numbers = new QVBoxLayout(m_numbers);
    numbers->setContentsMargins(0, 0, 0, 0);
    numbers->setSpacing(8);
    column->addWidget(m_numbers);
    auto* faded = new QGraphicsOpacityEffect(m_numbers);
    faded->setOpacity(0.4);
    m_numbers->setGraphicsEffect(faded);
    QFont large = font();
    large.setPointSizeF(large.pointSizeF() * 1.9);
    large.setBold(true);
    m_parameters->setFont(large);
    m_parameters->setToolTip(tr("Trainable parameters of the adapter, counted from shapes alone"));
    m_parameters->setAccessibleName(tr("Trainable parameters"));
    numbers->addWidget(m_parameters);
    m_parameters->hide();
    numbers->addWidget(m_percent);
    numbers->addSpacing(8);
    QFont medium = font();
    medium.setPointSizeF(medium.pointSizeF() * 1.35);
    medium.setBold(true);
    m_memory->hide();
    m_details->hide();
    m_memory->setFont(medium);
    m_memory->setToolTip(tr("Estimate of the peak: base weights, adapter, optimizer state and activations"));
    numbers->addWidget(m_memory);
    m_details->setProperty("role", "muted");
    m_details->setWordWrap(true);
    m_details->setToolTip(
        tr("Of the longest training rows, or of rows of the greatest length while there are none"));
    numbers->addWidget(m_details);
    numbers->addSpacing(8);
    m_time->setFont(medium);
    m_time->setToolTip(tr("Of the optimizer steps; evaluation, analysis and checkpoints come on top"));
    m_time->setAccessibleName(tr("Training time"));
    numbers->addWidget(m_time);
    m_timeSource->setProperty("role", "muted");
    m_timeSource->setWordWrap(true);
    m_timeSource->setToolTip(
        tr("The newest run of this family on this model and training data, with the same greatest length, "
           "number format and device, for each row; its other settings may differ"));
    numbers->addWidget(m_timeSource);
    m_time->hide();
    m_timeSource->hide();
    m_percent->setProperty("role", "muted");
    m_percent->setWordWrap(true);
    m_problem->setProperty("role", "error");
    m_problem->setWordWrap(true);
    column->addWidget(m_problem);
    column->addStretch(1);
    m_launch->setProperty("primary", true);
    m_launch->setToolTip(tr("Queue the run and show it (Ctrl+Enter)"));
    column->addWidget(m_launch);
    auto* keys = new QLabel(tr("Ctrl+Enter launches. The run goes on when the window is closed."), this);
    keys->setProperty("role", "muted");
    keys->setWordWrap(true);
    column->addWidget(keys);
    setStale(false);
    showWaiting();
}

void PlanPanel::showWaiting()
{
    m_problem->hide();
    if (m_parameters->text().isEmpty())
        m_percent->setText(tr(
            "Trainable parameters, their share of the base model, memory and time appear here as soon as the "
            "settings hold."));
}

void PlanPanel::showPlan(const QString& json)
{
    const QJsonObject plan = QJsonDocument::fromJson(json.toUtf8()).object();
    const QLocale locale(QLocale::English);
    const double trainable = plan.value(QLatin1String("trainableParameters")).toDouble();
    const double baseParameters = plan.value(QLatin1String("baseParameters")).toDouble();
    m_parameters->setText(views::formatCount(trainable));
    QString counted =
        tr("%1 trainable parameters, counted from shapes alone").arg(locale.toString(trainable, 'f', 0));
    if (const double activated = plan.value(QLatin1String("activatedParameters")).toDouble(trainable);
        activated < trainable)
        counted += tr("\n%1 of them are used by one token").arg(locale.toString(activated, 'f', 0));
    m_parameters->setToolTip(counted);
    const auto percent = [&plan](const char* key) {
        return formatPercent(plan.value(QLatin1String(key)).toDouble());
    };
    m_percent->setText(tr("trainable parameters, %1 of the base model's %2")
                           .arg(percent("percentOfBase"), views::formatCount(baseParameters)));
    m_percent->setToolTip(
        tr("%1 of all parameters, the base model's and the adapter's together, as PEFT prints it")
            .arg(percent("trainablePercent")));
    m_memory->setText(tr("about %1 of memory")
                          .arg(views::formatBytes(plan.value(QLatin1String("memoryBytes")).toDouble())));
    const double tokens = plan.value(QLatin1String("batchTokens")).toDouble();
    m_details->setText(tokens > 0 ? tr("for batches of up to %1 tokens").arg(locale.toString(tokens, 'f', 0))
                                  : QString());
    for (QLabel* label : {m_parameters, m_memory, m_details})
        label->setVisible(!label->text().isEmpty());
    setStale(false);
    m_problem->hide();
}

void PlanPanel::showTime(const std::optional<TimeEstimate>& time)
{
    m_time->setVisible(time.has_value());
    m_timeSource->show();
    if (!time) {
        m_time->clear();
        m_timeSource->setText(tr("Time: not known before a run of this family on this model and data"));
        return;
    }
    m_time->setText(tr("about %1 of training").arg(views::formatDuration(time->seconds)));
    m_timeSource->setText(tr("at the pace of %1, %2 s a step")
                              .arg(QString::fromStdString(time->run))
                              .arg(time->secondsPerStep, 0, 'g', 3));
}

void PlanPanel::showInvalid(const QString& message)
{
    setStale(true);
    showProblem(message);
}

void PlanPanel::setStale(bool stale)
{
    m_stale = stale;
    m_numbers->graphicsEffect()->setEnabled(stale && !m_parameters->text().isEmpty());
    m_numbers->setAccessibleDescription(stale ? tr("Of settings that are no longer in the form") : QString());
}

QString formatPercent(double percent)
{
    return QStringLiteral("%1 %").arg(percent, 0, 'g', 3);
}

void PlanPanel::showProblem(const QString& message)
{
    m_problem->setText(message);
    m_problem->setVisible(!message.isEmpty());
}

} // namespace rankscope::workbench

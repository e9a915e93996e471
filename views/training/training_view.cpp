// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/training/training_view.h"

#include "views/base/control_row.h"
#include "views/plot/curve_chart.h"
#include "views/plot/format.h"
#include "views/plot/measure_access.h"
#include "views/plot/plot_chart.h"

#include <QCheckBox>
#include <QEvent>
#include <QGridLayout>
#include <QHeaderView>
#include <QSlider>
#include <QSplitter>
#include <QTableWidget>
#include <QVBoxLayout>

#include <cmath>

namespace rankscope::views
{

TrainingView::TrainingView(Selection* selection, QWidget* parent) : View(selection, parent)
{
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    m_split = new QSplitter(Qt::Horizontal, content);
    m_split->setChildrenCollapsible(false);
    m_left = new QWidget(m_split);
    m_grid = new QGridLayout(m_left);
    m_grid->setContentsMargins(8, 8, 4, 0);
    m_grid->setSpacing(8);
    for (int c = 0; c < TrainingModel::chartCount; ++c) {
        const auto chart = static_cast<TrainingModel::Chart>(c);
        auto* widget = new CurveChart(false, m_left);
        widget->setObjectName(TrainingModel::chartKey(chart));
        addPanel(widget, TrainingModel::chartKey(chart));
        m_charts.push_back(widget);
    }
    auto* evaluationFrame = new QWidget(m_split);
    auto* evaluationLayout = new QVBoxLayout(evaluationFrame);
    evaluationLayout->setContentsMargins(4, 8, 8, 0);
    m_evaluation = new QSplitter(Qt::Vertical, evaluationFrame);
    m_evaluation->setChildrenCollapsible(false);
    evaluationLayout->addWidget(m_evaluation);
    m_bars = new BarWidget(m_evaluation);
    addPanel(m_bars, QStringLiteral("evaluation"));
    m_table = new QTableWidget(0, 5, m_evaluation);
    m_table->setAccessibleName(tr("Evaluation by task"));
    m_table->setHorizontalHeaderLabels({tr("Task"), tr("Before"), tr("Now"), tr("Change"), tr("Loss")});
    m_table->horizontalHeaderItem(1)->setToolTip(
        tr("Accuracy of the untouched base model on the test rows, percent"));
    m_table->horizontalHeaderItem(2)->setToolTip(
        tr("Accuracy at the newest evaluation up to the chosen step, percent"));
    m_table->horizontalHeaderItem(3)->setToolTip(tr("Now minus before, percentage points"));
    m_table->horizontalHeaderItem(4)->setToolTip(
        tr("Mean negative log-likelihood of the answers' tokens, before and now, nats"));
    m_table->verticalHeader()->hide();
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_table->setSelectionBehavior(QAbstractItemView::SelectItems);
    m_table->setProperty("rowNoun", QStringLiteral("task"));
    m_table->setToolTip(tr("A click selects the task; drag over cells and press Ctrl+C to copy them"));
    m_table->setTabKeyNavigation(false); // the arrows go from cell to cell, Tab goes on to what follows
    m_table->setWordWrap(false);
    m_table->setShowGrid(false);
    m_table->setFrameShape(QFrame::NoFrame);
    m_table->horizontalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
    m_table->horizontalHeader()->setSectionResizeMode(0, QHeaderView::Stretch);
    addPanel(m_table, QStringLiteral("evaluation"));
    m_evaluation->addWidget(m_bars);
    m_evaluation->addWidget(m_table);
    m_evaluation->setStretchFactor(0, 3);
    m_evaluation->setStretchFactor(1, 2);
    m_split->addWidget(m_left);
    m_split->addWidget(evaluationFrame);
    m_split->setStretchFactor(0, 5);
    m_split->setStretchFactor(1, 2);
    m_split->setSizes({640, 300});
    column->addWidget(m_split, 1);

    auto* controls = new ControlRow(content);
    m_smoothing =
        controls->addSlider(tr("Smoothing"),
                            tr("Weight of the past in the exponential mean, 0 to 0.99 (default 0.9). The raw "
                               "values stay visible behind, faintly."),
                            0, 99);
    m_smoothing->setValue(90);
    m_tokens = controls->addSwitch(
        tr("Tokens seen"), tr("A second axis along the losses: tokens of all rows trained on so far"));
    connect(m_tokens, &QCheckBox::toggled, this, [this](bool shown) {
        m_model.setTokensShown(shown);
        refreshCharts();
    });
    controls->addStretch();
    connect(m_smoothing, &QSlider::valueChanged, this, [this](int value) {
        m_model.setSmoothing(value / 100.0);
        refreshCharts();
    });
    column->addWidget(controls);
    setContent(content);
    for (int c = 0; c < TrainingModel::chartCount; ++c)
        m_charts[static_cast<std::size_t>(c)]->setPlot(&m_model.plot(static_cast<TrainingModel::Chart>(c)));
    arrangeSmallCharts();
    setEmptyText(tr("Training"),
                 tr("Loss, learning rate, gradient norm, throughput and memory over steps, and each "
                    "task's accuracy before and after, as a run goes on or of one that is done."));
}

/// The evaluation stands beside the curves or, where the view is taller than wide, below them.
void TrainingView::arrange()
{
    const bool below = height() > width();
    const auto outer = below ? Qt::Vertical : Qt::Horizontal;
    if (outer != m_split->orientation()) {
        m_split->setOrientation(outer);
        m_evaluation->setOrientation(below ? Qt::Horizontal : Qt::Vertical);
        m_split->setSizes(below ? QList<int>{640, 260} : QList<int>{640, 300});
        m_evaluation->setSizes(below ? QList<int>{200, 260} : QList<int>{300, 200});
    }
    arrangeSmallCharts();
}

void TrainingView::arrangeSmallCharts()
{
    const int columns =
        m_left->width() >= 780 ? 6 : 4; // of a grid with six or four parts: three or two small charts a row
    if (columns == m_columns && m_auxiliary == m_model.hasAuxiliary())
        return;
    m_columns = columns;
    m_auxiliary = m_model.hasAuxiliary();
    for (CurveChart* chart : m_charts)
        m_grid->removeWidget(chart);
    m_grid->addWidget(m_charts[TrainingModel::Loss], 0, 0, 1, columns / 2);
    m_grid->addWidget(m_charts[TrainingModel::TaskLoss], 0, columns / 2, 1, columns / 2);
    std::vector<CurveChart*> small = {m_charts[TrainingModel::LearningRate],
                                      m_charts[TrainingModel::GradientNorm],
                                      m_charts[TrainingModel::Throughput], m_charts[TrainingModel::Memory]};
    if (m_auxiliary)
        small.insert(small.begin() + 2, m_charts[TrainingModel::Auxiliary]);
    m_charts[TrainingModel::Auxiliary]->setVisible(m_auxiliary);
    const int perRow = columns / 2;
    const int count = static_cast<int>(small.size());
    const int rows = (count + perRow - 1) / perRow;
    int next = 0;
    for (int row = 1; row <= rows; ++row) {
        // a last row with fewer charts shares the width among them
        const int here = std::min(perRow, count - next);
        for (int i = 0; i < here; ++i)
            m_grid->addWidget(small[static_cast<std::size_t>(next++)], row, i * (columns / here), 1,
                              columns / here);
    }
    m_grid->setRowStretch(0, 5);
    for (int row = 1; row < 4; ++row)
        m_grid->setRowStretch(row, row <= rows ? 3 : 0);
    for (int c = 0; c < 6; ++c) {
        m_grid->setColumnStretch(c, c < columns ? 1 : 0);
        m_grid->setColumnMinimumWidth(c, 0);
    }
}

void TrainingView::resizeEvent(QResizeEvent* event)
{
    View::resizeEvent(event);
    arrange();
}

bool TrainingView::eventFilter(QObject* watched, QEvent* event)
{
    // The losses go first where there is no room for all.
    if (watched == m_table && event->type() == QEvent::Resize)
        m_table->setColumnHidden(4, m_table->width() < fontMetrics().averageCharWidth() * 48);
    return View::eventFilter(watched, event);
}

void TrainingView::rebuild()
{
    m_model.setRun(run());
    arrangeSmallCharts();
    refreshCharts();
    refreshEvaluation();
}

void TrainingView::append()
{
    if (m_model.append()) {
        arrangeSmallCharts();
        refreshCharts();
    }
    refreshEvaluation();
}

void TrainingView::refreshCharts()
{
    for (CurveChart* chart : m_charts) {
        chart->setMarker(stepMarker());
        chart->refresh();
    }
}

void TrainingView::refreshEvaluation()
{
    m_bars->setPlot(m_model.evaluationBars(m_selection->step()));
    const auto rows = m_model.evaluation(m_selection->step());
    m_table->setRowCount(static_cast<int>(rows.size()));
    m_table->setVisible(!rows.empty());
    const auto percent = [](float share) {
        return std::isfinite(share) ? QString::number(share * 100, 'f', 1) : QStringLiteral("-");
    };
    const auto nats = [](float loss) {
        return std::isfinite(loss) ? QString::number(loss, 'f', 2) : QStringLiteral("-");
    };
    for (int r = 0; r < m_table->rowCount(); ++r) {
        const EvaluationRow& row = rows[static_cast<std::size_t>(r)];
        const float change = row.accuracyNow - row.accuracyBefore;
        const QStringList texts = {row.task, percent(row.accuracyBefore), percent(row.accuracyNow),
                                   std::isfinite(change)
                                       ? (change >= 0 ? QStringLiteral("+") : QString()) + percent(change)
                                       : QStringLiteral("-"),
                                   nats(row.lossBefore) + QStringLiteral(" → ") + nats(row.lossNow)};
        for (int c = 0; c < texts.size(); ++c) {
            auto* item = new QTableWidgetItem(texts[c]);
            item->setTextAlignment(c == 0 ? Qt::AlignLeft | Qt::AlignVCenter
                                          : Qt::AlignRight | Qt::AlignVCenter);
            QFont font = m_table->font();
            font.setBold(m_selection->tasks().contains(row.task));
            item->setFont(font);
            m_table->setItem(r, c, item);
        }
    }
}

void TrainingView::selectionChanged()
{
    m_model.setTasks(m_selection->tasks());
    m_charts[TrainingModel::TaskLoss]->refresh();
    refreshEvaluation();
}

void TrainingView::stepChanged()
{
    refreshCharts();
    refreshEvaluation();
}

void TrainingView::fit()
{
    for (CurveChart* chart : m_charts)
        chart->fit();
}

QString TrainingView::definition() const
{
    const record::Measure* loss = run() == nullptr ? nullptr : run()->measure("train/loss");
    return loss == nullptr ? tr("Loss: mean negative log-likelihood of the answers' tokens.")
                           : definitionOf(&loss->info());
}

QJsonObject TrainingView::controls() const
{
    return {{QStringLiteral("smoothing"), m_smoothing->value()},
            {QStringLiteral("tokens"), m_tokens->isChecked()}};
}

void TrainingView::setControls(const QJsonObject& controls)
{
    m_smoothing->setValue(controls.value(QStringLiteral("smoothing")).toInt(m_smoothing->value()));
    m_tokens->setChecked(controls.value(QStringLiteral("tokens")).toBool(m_tokens->isChecked()));
}

std::vector<Figure> TrainingView::figures() const
{
    std::vector<Figure> all;
    for (int c = 0; c < TrainingModel::chartCount; ++c) {
        const auto chart = static_cast<TrainingModel::Chart>(c);
        const CurvePlot& plot = m_model.plot(chart);
        if (plot.empty() || (chart == TrainingModel::Auxiliary && !m_model.hasAuxiliary()))
            continue;
        const auto zoom = m_charts[static_cast<std::size_t>(c)]->zoom();
        all.push_back({TrainingModel::chartKey(chart), plot.title, 0.62,
                       [&plot, zoom](QPainter& painter, const QRectF& area, const PlotStyle& style) {
                           paintCurvePlot(painter, area, plot, style, zoom);
                       },
                       [this, chart] { return m_model.table(chart); }});
    }
    const std::int64_t step = m_selection->step();
    const BarPlot bars = m_model.evaluationBars(step);
    if (bars.hasValues())
        all.push_back({QStringLiteral("evaluation"), bars.title, 0.62,
                       [bars](QPainter& painter, const QRectF& area, const PlotStyle& style) {
                           paintBarPlot(painter, area, bars, style);
                       },
                       [this, step] { return m_model.evaluationTable(step); }});
    return all;
}

} // namespace rankscope::views

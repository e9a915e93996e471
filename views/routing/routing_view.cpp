// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/routing/routing_view.h"

#include "views/base/control_row.h"
#include "views/export/measure_table.h"
#include "views/plot/curve_chart.h"
#include "views/plot/heat_map_widget.h"
#include "views/plot/plot_chart.h"

#include <QCheckBox>
#include <QComboBox>
#include <QSignalBlocker>
#include <QSplitter>
#include <QVBoxLayout>

#include <cmath>

namespace rankscope::views
{

RoutingView::RoutingView(Selection* selection, QWidget* parent)
    : View(selection, parent),
      m_byLayer(new HeatMapWidget(this)),
      m_byTask(new HeatMapWidget(this)),
      m_imbalance(new CurveChart(false, this)),
      m_entropy(new CurveChart(false, this))
{
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    auto* rows = new QSplitter(Qt::Vertical, content);
    rows->setChildrenCollapsible(false);
    rows->setContentsMargins(8, 8, 8, 0);
    rows->setHandleWidth(8);
    auto* top = new QSplitter(Qt::Horizontal, rows);
    auto* bottom = new QSplitter(Qt::Horizontal, rows);
    for (QSplitter* row : {top, bottom}) {
        row->setChildrenCollapsible(false);
        row->setHandleWidth(8);
    }
    top->addWidget(m_byLayer);
    top->addWidget(m_byTask);
    top->setStretchFactor(0, 5);
    top->setStretchFactor(1, 3);
    top->setSizes({640, 360});
    bottom->addWidget(m_imbalance);
    bottom->addWidget(m_entropy);
    rows->addWidget(top);
    rows->addWidget(bottom);
    rows->setStretchFactor(0, 1);
    rows->setStretchFactor(1, 1);
    column->addWidget(rows, 1);
    addPanel(m_byLayer, QStringLiteral("load-by-layer"));
    addPanel(m_byTask, QStringLiteral("load-by-task"));
    addPanel(m_imbalance, QStringLiteral("imbalance"));
    addPanel(m_entropy, QStringLiteral("entropy"));

    auto* controls = new ControlRow(content);
    m_router = controls->addChoice(tr("Router"), tr("Which router of a layer, where it has several"));
    m_task = controls->addChoice(tr("Task"),
                                 tr("Load of one task's tokens, or the mean over tasks (default); the same "
                                    "as the selection's task"));
    m_form = controls->addChoice(
        tr("Imbalance"),
        tr("MaxVio divided by the mean load (Wang et al. 2024, default), or the difference alone "
           "(as in SMoRA)"));
    m_form->addItems({tr("relative"), tr("difference")});
    m_auto = controls->addSwitch(tr("Auto scale"),
                                 tr("Fits the maps' scale to the step shown. Off (default): one scale "
                                    "for the whole run."));
    controls->addStretch();
    column->addWidget(controls);
    setContent(content);

    connect(m_router, &QComboBox::currentTextChanged, this, [this](const QString& router) {
        m_model.setRouter(router);
        refreshCharts();
        refreshMaps();
    });
    connect(m_task, &QComboBox::activated, this, [this](int index) {
        m_selection->setTasks(index <= 0 ? QStringList() : QStringList{m_task->itemText(index)});
    });
    connect(m_router, &QComboBox::activated, this, [this] { m_followedRouter.forget(); });
    connect(m_form, &QComboBox::currentIndexChanged, this, [this](int index) {
        m_model.setRelativeImbalance(index == 0);
        refreshCharts();
    });
    connect(m_auto, &QCheckBox::toggled, this, &RoutingView::refreshMaps);
    m_byLayer->setReader(
        [this](int row, int column) { return m_model.reading(row, column, m_selection->step()); });
    m_byTask->setReader([this](int row, int column) {
        const int experts = m_byTask->map().rows();
        return m_model.readingByTask(row, column, m_selection->step()) +
               tr("\nuniform over %1 experts: %2 %").arg(experts).arg(100.0 / experts, 0, 'f', 1);
    });
    m_imbalance->setPlot(&m_model.plot(RoutingModel::Imbalance));
    m_entropy->setPlot(&m_model.plot(RoutingModel::Entropy));
    setEmptyText(tr("Routing"),
                 tr("How the tokens spread over the experts: load by layer and task, imbalance (MaxVio) and "
                    "entropy over steps. Families without a router have nothing to show here; MixLoRA, "
                    "SharedLoRA, OperA and other mixtures do."));
}

void RoutingView::fillControls()
{
    setChoices(m_router, m_model.routers());
    m_router->setEnabled(m_router->count() > 1);
    QStringList tasks{tr("all")};
    tasks << m_model.tasks();
    setChoices(m_task, tasks);
    showTasks(m_task, m_selection->tasks());
}

void RoutingView::rebuild()
{
    m_model.setSelection(m_selection->state());
    m_model.setRun(run());
    fillControls();
    followSelection();
    refreshCharts();
    refreshMaps();
}

void RoutingView::append()
{
    if (m_model.append()) {
        refreshCharts();
        refreshMaps();
    }
}

void RoutingView::refreshCharts()
{
    for (CurveChart* chart : {m_imbalance, m_entropy}) {
        chart->setMarker(stepMarker());
        chart->refresh();
    }
}

void RoutingView::refreshMaps()
{
    m_byLayer->setMap(m_model.loadByLayer(m_selection->step(), m_selection->tasks(), m_auto->isChecked()));
    m_byTask->setMap(m_model.loadByTask(m_selection->step(), m_auto->isChecked()));
}

void RoutingView::followSelection()
{
    std::optional<QString> router;
    if (m_selection->modules().size() == 1 && m_model.routers().contains(m_selection->modules().first()))
        router = m_selection->modules().first();
    m_router->setCurrentText(m_followedRouter.next(m_router->currentText(), router));
}

void RoutingView::selectionChanged()
{
    m_model.setSelection(m_selection->state());
    followSelection();
    fillControls();
    refreshCharts();
    refreshMaps();
}

void RoutingView::stepChanged()
{
    refreshCharts();
    refreshMaps();
}

void RoutingView::fit()
{
    m_imbalance->fit();
    m_entropy->fit();
}

QString RoutingView::definition() const
{
    return m_model.info() == nullptr
               ? tr("Expert load: share of a task's routed choices that went to an expert.")
               : definitionOf(m_model.info());
}

QJsonObject RoutingView::controls() const
{
    return {{QStringLiteral("router"), m_model.router()},
            {QStringLiteral("imbalance"), m_form->currentIndex()},
            {QStringLiteral("autoScale"), m_auto->isChecked()}};
}

void RoutingView::setControls(const QJsonObject& controls)
{
    m_followedRouter.forget();
    const QString router = controls.value(QStringLiteral("router")).toString();
    if (m_router->findText(router) >= 0)
        m_router->setCurrentText(router);
    m_form->setCurrentIndex(controls.value(QStringLiteral("imbalance")).toInt());
    m_auto->setChecked(controls.value(QStringLiteral("autoScale")).toBool());
}

std::vector<Figure> RoutingView::figures() const
{
    std::vector<Figure> all;
    if (!hasData())
        return all;
    const auto addMap = [&all](const QString& key, const HeatMap& map, double aspect) {
        if (map.hasValues())
            all.push_back({key, map.title, aspect,
                           [map](QPainter& painter, const QRectF& area, const PlotStyle& style) {
                               paintHeatMap(painter, area, map, style);
                           },
                           [map] { return tableOf(map); }});
    };
    addMap(QStringLiteral("load-by-layer"),
           m_model.loadByLayer(m_selection->step(), m_selection->tasks(), m_auto->isChecked()), 0.5);
    addMap(QStringLiteral("load-by-task"), m_model.loadByTask(m_selection->step(), m_auto->isChecked()),
           0.75);
    const auto addChart = [&](const QString& key, RoutingModel::Chart chart, const CurveChart* widget) {
        const CurvePlot& plot = m_model.plot(chart);
        const auto zoom = widget->zoom();
        if (!plot.empty())
            all.push_back({key, plot.title, 0.62,
                           [&plot, zoom](QPainter& painter, const QRectF& area, const PlotStyle& style) {
                               paintCurvePlot(painter, area, plot, style, zoom);
                           },
                           [this, chart] { return m_model.table(chart); }});
    };
    addChart(QStringLiteral("imbalance"), RoutingModel::Imbalance, m_imbalance);
    addChart(QStringLiteral("entropy"), RoutingModel::Entropy, m_entropy);
    return all;
}

} // namespace rankscope::views

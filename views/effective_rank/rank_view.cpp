// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/effective_rank/rank_view.h"

#include "views/base/control_row.h"
#include "views/plot/curve_chart.h"
#include "views/plot/heat_map_widget.h"
#include "views/plot/plot_chart.h"

#include <QCheckBox>
#include <QComboBox>
#include <QSignalBlocker>
#include <QSplitter>
#include <QVBoxLayout>

namespace rankscope::views
{

RankView::RankView(Selection* selection, QWidget* parent)
    : View(selection, parent),
      m_chart(new CurveChart(false, this)),
      m_map(new HeatMapWidget(this))
{
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    auto* split = new QSplitter(Qt::Horizontal, content);
    split->setChildrenCollapsible(false);
    split->setContentsMargins(8, 8, 8, 0);
    split->setHandleWidth(8);
    split->addWidget(m_chart);
    split->addWidget(m_map);
    split->setStretchFactor(0, 3);
    split->setStretchFactor(1, 2);
    split->setSizes({600, 440});
    column->addWidget(split, 1);
    addPanel(m_chart, QStringLiteral("curves"));
    addPanel(m_map, QStringLiteral("map"));

    auto* controls = new ControlRow(content);
    m_measure = controls->addChoice(
        tr("Measure"),
        tr("Which effective rank: entropy (Roy and Vetterli 2007), stable "
           "(squared Frobenius over squared spectral norm) or nuclear (sum "
           "of the singular values over the largest), of each expert's update or of their mixture "
           "as tokens meet it on average"));
    m_module = controls->addChoice(tr("Module"), tr("The adapted module whose layers the curves show"));
    m_expert =
        controls->addChoice(tr("Expert"), tr("One expert, or the mean over the measured experts (default)"));
    m_style = controls->addChoice(tr("Curves"),
                                  tr("Lines by depth, or the median with its 10-90 % band; automatic takes "
                                     "the band from 25 layers on. Selected layers are always drawn."));
    m_style->addItems({tr("automatic"), tr("lines"), tr("band")});
    m_auto = controls->addSwitch(tr("Auto scale"),
                                 tr("Fits the map's scale to the step shown. Off (default): one scale "
                                    "for the whole run, so that steps compare."));
    controls->letGiveWay(m_measure);
    controls->addStretch();
    column->addWidget(controls);
    setContent(content);

    connect(m_measure, &QComboBox::currentIndexChanged, this, [this] {
        m_model.setMeasure(m_measure->currentData().toString());
        fillControls();
        refreshChart();
        refreshMap();
        Q_EMIT definitionChanged();
    });
    connect(m_module, &QComboBox::currentTextChanged, this, [this](const QString& module) {
        m_model.setModule(module);
        refreshChart();
    });
    connect(m_expert, &QComboBox::currentIndexChanged, this, [this](int index) {
        m_model.setExpert(index - 1);
        refreshChart();
        refreshMap();
    });
    connect(m_style, &QComboBox::currentIndexChanged, this, [this](int index) {
        m_model.setStyle(static_cast<CurveStyle>(index));
        refreshChart();
    });
    connect(m_module, &QComboBox::activated, this, [this] { m_followedModule.forget(); });
    connect(m_expert, &QComboBox::activated, this, [this] { m_followedExpert.forget(); });
    connect(m_auto, &QCheckBox::toggled, this, &RankView::refreshMap);
    m_map->setReader(
        [this](int row, int column) { return m_model.reading(row, column, m_selection->step()); });
    m_chart->setPlot(&m_model.curves());
    setEmptyText(
        tr("Effective rank"),
        tr("How many directions each layer's update really uses, over steps and as a map of layers × "
           "modules. "
           "A run measures it every few steps (job setting analysis.every); older snapshots may lack it."));
}

void RankView::fillControls()
{
    const QStringList names = RankModel::measures(run());
    QStringList titles;
    for (const QString& name : names)
        titles << QString::fromStdString(run()->measure(name.toStdString())->info().title);
    setChoices(m_measure, titles, names);
    setChoices(m_module, m_model.modules());
    {
        const QSignalBlocker blocker(m_module);
        m_module->setCurrentText(m_model.module());
    }
    QStringList experts{tr("mean")};
    if (m_model.experts().size() > 1)
        experts << m_model.experts();
    setChoices(m_expert, experts);
    m_expert->setEnabled(experts.size() > 1);
}

void RankView::rebuild()
{
    m_model.setRun(run());
    m_model.setSelection(m_selection->state());
    fillControls();
    followSelection();
    refreshChart();
    refreshMap();
}

void RankView::append()
{
    if (m_model.append()) {
        refreshChart();
        refreshMap();
    }
}

void RankView::refreshChart()
{
    m_chart->setMarker(stepMarker());
    m_chart->refresh();
}

void RankView::refreshMap()
{
    m_map->setMap(m_model.map(m_selection->step(), m_auto->isChecked()));
}

void RankView::followSelection()
{
    std::optional<QString> module;
    if (m_selection->modules().size() == 1 && m_model.modules().contains(m_selection->modules().first()))
        module = m_selection->modules().first();
    m_module->setCurrentText(m_followedModule.next(m_module->currentText(), module));
    std::optional<int> expert; // its place in the choice
    if (m_selection->experts().size() == 1 && *m_selection->experts().begin() + 1 < m_expert->count())
        expert = *m_selection->experts().begin() + 1;
    const int place = m_followedExpert.next(m_expert->currentIndex(), expert);
    m_expert->setCurrentIndex(place < m_expert->count() ? place : 0);
}

void RankView::selectionChanged()
{
    m_model.setSelection(m_selection->state());
    followSelection();
    refreshChart();
    refreshMap();
}

void RankView::stepChanged()
{
    refreshChart();
    refreshMap();
}

void RankView::fit()
{
    m_chart->fit();
}

QString RankView::definition() const
{
    return m_model.info() == nullptr
               ? tr("Effective rank: how many directions a layer's update uses, from its singular values.")
               : definitionOf(m_model.info());
}

QJsonObject RankView::controls() const
{
    return {{QStringLiteral("measure"), m_model.measure()},
            {QStringLiteral("module"), m_model.module()},
            {QStringLiteral("expert"), m_model.expert()},
            {QStringLiteral("curves"), m_style->currentIndex()},
            {QStringLiteral("autoScale"), m_auto->isChecked()}};
}

void RankView::setControls(const QJsonObject& controls)
{
    m_followedModule.forget();
    m_followedExpert.forget();
    const int measure = m_measure->findData(controls.value(QStringLiteral("measure")).toString());
    if (measure >= 0)
        m_measure->setCurrentIndex(measure);
    const QString module = controls.value(QStringLiteral("module")).toString();
    if (m_module->findText(module) >= 0)
        m_module->setCurrentText(module);
    const int expert = controls.value(QStringLiteral("expert")).toInt(-1) + 1;
    if (expert < m_expert->count())
        m_expert->setCurrentIndex(expert);
    m_style->setCurrentIndex(controls.value(QStringLiteral("curves")).toInt());
    m_auto->setChecked(controls.value(QStringLiteral("autoScale")).toBool());
}

std::vector<Figure> RankView::figures() const
{
    if (!hasData())
        return {};
    const std::int64_t step = m_selection->step();
    const HeatMap map = m_model.map(step, m_auto->isChecked());
    const CurvePlot& curves = m_model.curves();
    const auto zoom = m_chart->zoom();
    return {{QStringLiteral("curves"), curves.title, 0.62,
             [&curves, zoom](QPainter& painter, const QRectF& area, const PlotStyle& style) {
                 paintCurvePlot(painter, area, curves, style, zoom);
             },
             [this] { return m_model.curveTable(); }},
            {QStringLiteral("map"), map.title, 0.95,
             [map](QPainter& painter, const QRectF& area, const PlotStyle& style) {
                 paintHeatMap(painter, area, map, style);
             },
             [this, step] { return m_model.mapTable(step); }}};
}

} // namespace rankscope::views

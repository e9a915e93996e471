// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/inside/inside_view.h"

#include "views/base/control_row.h"
#include "views/plot/curve_chart.h"
#include "views/plot/heat_map_widget.h"
#include "views/plot/plot_chart.h"

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QSignalBlocker>
#include <QSplitter>
#include <QStandardItemModel>
#include <QVBoxLayout>

#include <algorithm>

namespace rankscope::views
{

InsideView::InsideView(Selection* selection, QWidget* parent)
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
    split->addWidget(m_map);
    split->addWidget(m_chart);
    split->setStretchFactor(0, 1);
    split->setStretchFactor(1, 1);
    split->setSizes({520, 520});
    column->addWidget(split, 1);
    addPanel(m_map, QStringLiteral("map"));
    addPanel(m_chart, QStringLiteral("curves"));

    auto* controls = new ControlRow(content);
    m_measure = controls->addChoice(tr("Measure"), tr("Every measure that the run has recorded, by group"));
    m_measure->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_measure->setMinimumContentsLength(24);
    m_measure->setMaxVisibleItems(30);
    m_panels = controls->addChoice(tr("Show"),
                                   tr("A map of two axes at a step, curves over steps, or both (default)"));
    m_panels->addItems({tr("both"), tr("map"), tr("curves")});
    m_down = controls->addChoice(tr("Down"), tr("The axis whose labels are the map's rows"));
    m_across = controls->addChoice(tr("Across"),
                                   tr("The axis whose labels are the map's columns; or the recorded steps"));
    m_curveAxis = controls->addChoice(tr("Curves"), tr("The axis that has one curve for each label"));
    controls->letGiveWay(m_measure);
    controls->addStretch();
    column->addWidget(controls);
    m_placeRow = new QWidget(content);
    m_placeLayout = new QHBoxLayout(m_placeRow);
    m_placeLayout->setContentsMargins(8, 0, 8, 4);
    m_placeLayout->setSpacing(8);
    m_auto = new QCheckBox(tr("Auto scale"), m_placeRow);
    m_auto->setToolTip(tr(
        "Fits the map's scale to what is shown. Off (default): one scale for all values of the run, so that "
        "steps compare."));
    m_placeLayout->addWidget(m_auto);
    m_placeLayout->addStretch(1);
    column->addWidget(m_placeRow);
    setContent(content);

    connect(m_measure, &QComboBox::currentIndexChanged, this,
            [this] { chooseMeasure(m_measure->currentData().toString()); });
    connect(m_panels, &QComboBox::currentIndexChanged, this, &InsideView::showPanels);
    connect(m_down, &QComboBox::currentIndexChanged, this, [this] {
        m_model.setDown(m_down->currentData().toInt());
        fillAxes();
        refreshMap();
    });
    connect(m_across, &QComboBox::currentIndexChanged, this, [this] {
        m_model.setAcross(m_across->currentData().toInt());
        fillAxes();
        refreshMap();
    });
    connect(m_curveAxis, &QComboBox::currentIndexChanged, this, [this] {
        m_model.setCurveAxis(m_curveAxis->currentData().toInt());
        fillAxes();
        refreshChart();
    });
    connect(m_auto, &QCheckBox::toggled, this, &InsideView::refreshMap);
    m_map->setReader(
        [this](int row, int column) { return m_model.reading(row, column, m_selection->step()); });
    m_chart->setPlot(&m_model.curves());
    setEmptyText(
        tr("Inside"),
        tr("Every measure of a run by its own axes: what a family shows of its inside (gates, cores, "
           "vectors, spectra), and all that other views show, as a map of any two axes and as "
           "curves over steps."));
}

bool InsideView::hasData() const
{
    if (run() == nullptr)
        return false;
    const auto& all = run()->measures();
    return std::any_of(all.begin(), all.end(), [](const auto& named) { return !named.second.empty(); });
}

void InsideView::fillMeasures()
{
    const QSignalBlocker blocker(m_measure);
    QStringList before;
    for (int i = 0; i < m_measure->count(); ++i)
        before << m_measure->itemData(i).toString();
    QStringList names;
    const auto groups = InsideModel::groups(run());
    for (const MeasureGroup& group : groups) {
        names << QString();
        names << group.names;
    }
    if (names != before) {
        m_measure->clear();
        auto* items = qobject_cast<QStandardItemModel*>(m_measure->model());
        for (const MeasureGroup& group : groups) {
            m_measure->addItem(group.title);
            items->item(m_measure->count() - 1)->setEnabled(false); // a heading
            QFont heading = font();
            heading.setBold(true);
            m_measure->setItemData(m_measure->count() - 1, heading, Qt::FontRole);
            for (const QString& name : group.names) {
                const record::MeasureInfo& info = run()->measure(name.toStdString())->info();
                m_measure->addItem(InsideModel::titleOf(info), name);
                m_measure->setItemData(m_measure->count() - 1,
                                       name + QStringLiteral("\n") + QString::fromStdString(info.definition),
                                       Qt::ToolTipRole);
            }
        }
    }
    m_measure->setCurrentIndex(m_measure->findData(m_model.measure()));
}

void InsideView::fillAxes()
{
    const QSignalBlocker blockers[] = {QSignalBlocker(m_down), QSignalBlocker(m_across),
                                       QSignalBlocker(m_curveAxis)};
    const QStringList& axes = m_model.axes();
    for (QComboBox* choice : {m_down, m_across, m_curveAxis}) {
        choice->clear();
        for (int axis = 0; axis < axes.size(); ++axis)
            choice->addItem(axes[axis], axis);
        choice->setEnabled(axes.size() > 1);
    }
    m_across->addItem(tr("steps"), InsideModel::steps);
    m_across->setEnabled(!axes.isEmpty());
    m_down->setCurrentIndex(m_down->findData(m_model.down()));
    m_across->setCurrentIndex(m_across->findData(m_model.across()));
    m_curveAxis->setCurrentIndex(m_curveAxis->findData(m_model.curveAxis()));
    if (axes != m_shownAxes) {
        m_shownAxes = axes;
        while (m_placeLayout->count() > 2) { // all but the switch and the stretch
            const QLayoutItem* item = m_placeLayout->takeAt(0);
            item->widget()->deleteLater();
            delete item;
        }
        m_places.clear();
        for (int axis = 0; axis < axes.size(); ++axis) {
            auto* caption = new QLabel(axes[axis], m_placeRow);
            auto* choice = new QComboBox(m_placeRow);
            choice->setAccessibleName(axes[axis]);
            choice->setToolTip(
                tr("Where panels that do not draw the axis %1 look at it: one place, or the mean over the "
                   "measured ones")
                    .arg(axes[axis]));
            caption->setBuddy(choice);
            m_placeLayout->insertWidget(2 * axis, caption);
            m_placeLayout->insertWidget(2 * axis + 1, choice);
            m_places << choice;
            connect(choice, &QComboBox::activated, this,
                    [this, axis] { m_followed.remove(m_model.axes()[axis]); });
            connect(choice, &QComboBox::currentIndexChanged, this, [this, axis](int index) {
                m_model.setPlace(axis, index - 1);
                refreshChart();
                refreshMap();
            });
        }
    }
    const bool map = m_panels->currentIndex() != CurvesOnly;
    const bool curves = m_panels->currentIndex() != MapOnly;
    for (int axis = 0; axis < axes.size(); ++axis) {
        QStringList places{tr("mean")};
        places << m_model.labels(axis);
        setChoices(m_places[axis], places);
        const QSignalBlocker blocker(m_places[axis]);
        m_places[axis]->setCurrentIndex(m_model.place(axis) + 1);
        const bool used = (map && axis != m_model.down() && axis != m_model.across()) ||
                          (curves && axis != m_model.curveAxis());
        m_places[axis]->setEnabled(used && places.size() > 2);
    }
    showPanels();
}

void InsideView::showPanels()
{
    const int chosen = m_panels->currentIndex();
    const bool hasMap = m_model.hasMap();
    m_map->setVisible(hasMap && chosen != CurvesOnly);
    m_chart->setVisible(!hasMap || chosen != MapOnly);
    m_panels->setEnabled(hasMap);
    m_auto->setVisible(m_map->isVisibleTo(m_map->parentWidget()));
}

void InsideView::chooseMeasure(const QString& name)
{
    if (name.isEmpty())
        return;
    m_model.setMeasure(name);
    m_chart->fit();
    fillAxes();
    selectionChanged();
    Q_EMIT definitionChanged();
}

void InsideView::rebuild()
{
    m_model.setRun(run());
    followSelection();
    fillMeasures();
    fillAxes();
    refreshChart();
    refreshMap();
}

void InsideView::append()
{
    if (m_model.append()) {
        refreshChart();
        refreshMap();
    }
}

void InsideView::refreshChart()
{
    m_chart->setMarker(stepMarker());
    m_chart->refresh();
}

void InsideView::refreshMap()
{
    m_map->setMap(m_model.map(m_selection->step(), m_auto->isChecked()));
}

void InsideView::followSelection()
{
    // One chosen layer, module, expert or task is also the place where the panels look.
    const SelectionState& state = m_selection->state();
    const auto follow = [this](const QString& name, const QString& label) {
        const int axis = m_model.axis(name);
        if (axis < 0)
            return;
        const auto known = static_cast<int>(m_model.labels(axis).indexOf(label));
        const int place =
            m_followed[name].next(m_model.place(axis), known < 0 ? std::nullopt : std::optional<int>(known));
        if (place != m_model.place(axis))
            m_model.setPlace(axis, place);
    };
    const auto only = [](const std::set<int>& numbers) {
        return numbers.size() == 1 ? QString::number(*numbers.begin()) : QString();
    };
    follow(QStringLiteral("layer"), only(state.layers));
    follow(QStringLiteral("expert"), only(state.experts));
    follow(QStringLiteral("module"), state.modules.size() == 1 ? state.modules.first() : QString());
    follow(QStringLiteral("task"), state.tasks.size() == 1 ? state.tasks.first() : QString());
    m_model.setSelection(state);
}

void InsideView::selectionChanged()
{
    followSelection();
    fillAxes();
    refreshChart();
    refreshMap();
}

void InsideView::stepChanged()
{
    refreshChart();
    refreshMap();
}

void InsideView::fit()
{
    m_chart->fit();
}

QString InsideView::definition() const
{
    return m_model.info() == nullptr ? tr("Every measure of a run by its own axes.")
                                     : definitionOf(m_model.info());
}

QJsonObject InsideView::controls() const
{
    QJsonObject places;
    for (int axis = 0; axis < m_model.axes().size(); ++axis)
        places.insert(m_model.axes()[axis], m_model.place(axis));
    return {{QStringLiteral("measure"), m_model.measure()},
            {QStringLiteral("show"), m_panels->currentIndex()},
            {QStringLiteral("down"), m_model.axes().value(m_model.down())},
            {QStringLiteral("across"), m_model.axes().value(m_model.across())},
            {QStringLiteral("curves"), m_model.axes().value(m_model.curveAxis())},
            {QStringLiteral("places"), places},
            {QStringLiteral("autoScale"), m_auto->isChecked()}};
}

void InsideView::setControls(const QJsonObject& controls)
{
    const QString name = controls.value(QStringLiteral("measure")).toString();
    if (m_measure->findData(name) < 0)
        return; // of another run: its axes mean nothing here
    m_measure->setCurrentIndex(m_measure->findData(name));
    m_panels->setCurrentIndex(controls.value(QStringLiteral("show")).toInt());
    const auto axisOf = [&](const char* key) {
        return m_model.axis(controls.value(QLatin1String(key)).toString());
    };
    if (axisOf("down") >= 0)
        m_model.setDown(axisOf("down"));
    m_model.setAcross(axisOf("across") >= 0 ? axisOf("across") : InsideModel::steps);
    if (axisOf("curves") >= 0)
        m_model.setCurveAxis(axisOf("curves"));
    const QJsonObject places = controls.value(QStringLiteral("places")).toObject();
    for (int axis = 0; axis < m_model.axes().size(); ++axis)
        if (places.contains(m_model.axes()[axis]))
            m_model.setPlace(axis, places.value(m_model.axes()[axis]).toInt(InsideModel::mean));
    m_followed.clear();
    m_auto->setChecked(controls.value(QStringLiteral("autoScale")).toBool());
    fillAxes();
    refreshChart();
    refreshMap();
}

std::vector<Figure> InsideView::figures() const
{
    std::vector<Figure> all;
    if (!hasData())
        return all;
    const std::int64_t step = m_selection->step();
    const HeatMap map = m_model.map(step, m_auto->isChecked());
    if (map.hasValues())
        all.push_back({QStringLiteral("map"), map.title, 0.8,
                       [map](QPainter& painter, const QRectF& area, const PlotStyle& style) {
                           paintHeatMap(painter, area, map, style);
                       },
                       [this, step] { return m_model.mapTable(step); }});
    const CurvePlot& curves = m_model.curves();
    const auto zoom = m_chart->zoom();
    if (!curves.empty())
        all.push_back({QStringLiteral("curves"), curves.title, 0.62,
                       [&curves, zoom](QPainter& painter, const QRectF& area, const PlotStyle& style) {
                           paintCurvePlot(painter, area, curves, style, zoom);
                       },
                       [this] { return m_model.curveTable(); }});
    return all;
}

} // namespace rankscope::views

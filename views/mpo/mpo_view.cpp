// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/mpo/mpo_view.h"

#include "views/base/control_row.h"
#include "views/mpo/tensor_train_diagram.h"
#include "views/mpo/tensor_train_scene.h"
#include "views/mpo/vtk_widget.h"
#include "views/plot/curve_chart.h"
#include "views/plot/plot_chart.h"

#include <QCheckBox>
#include <QComboBox>
#include <QGuiApplication>
#include <QSignalBlocker>
#include <QSplitter>
#include <QStackedWidget>
#include <QToolButton>
#include <QVBoxLayout>

namespace rankscope::views
{

MpoView::MpoView(Selection* selection, QWidget* parent)
    : View(selection, parent),
      m_diagrams(new QStackedWidget(this)),
      m_header(new DiagramHeader(this)),
      m_flat(new TensorTrainWidget(this)),
      m_spectraChart(new CurveChart(true, this)),
      m_driftChart(new CurveChart(false, this))
{
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    auto* rows = new QSplitter(Qt::Vertical, content);
    rows->setChildrenCollapsible(false);
    rows->setContentsMargins(8, 8, 8, 0);
    rows->setHandleWidth(8);
    // Offscreen there is no OpenGL: the flat diagram says the same.
    const bool openGl = QGuiApplication::platformName() != QLatin1String("offscreen");
    if (openGl) {
        m_scene = new VtkWidget(m_diagrams);
        m_scene->setToolTip(
            tr("Drag to turn, wheel to zoom, middle button to move, double click to reset; with the keyboard "
               "Shift and arrows turn, + and - zoom"));
        m_scene->setAccessibleName(tr("Tensor-train diagram"));
        m_diagrams->addWidget(m_scene);
        connect(m_scene, &VtkWidget::resetRequested, this, &MpoView::resetCamera);
        connect(m_scene, &VtkWidget::pointed, this, &MpoView::readCore);
        m_reading = new CursorReading(m_scene);
        connect(m_scene, &VtkWidget::left, m_reading, &CursorReading::clear);
        connect(m_reading, &CursorReading::changed, m_selection, &Selection::setHover);
        addPanel(m_scene, QStringLiteral("diagram"));
    }
    m_diagrams->addWidget(m_flat);
    addPanel(m_flat, QStringLiteral("diagram"));
    addPanel(m_spectraChart, QStringLiteral("spectra"));
    addPanel(m_driftChart, QStringLiteral("drift"));
    auto* bottom = new QSplitter(Qt::Horizontal, rows);
    bottom->setChildrenCollapsible(false);
    bottom->setHandleWidth(8);
    bottom->addWidget(m_spectraChart);
    bottom->addWidget(m_driftChart);
    auto* top = new QWidget(rows);
    auto* topColumn = new QVBoxLayout(top);
    topColumn->setContentsMargins(0, 0, 0, 0);
    topColumn->setSpacing(0);
    if (m_scene != nullptr)
        topColumn->addWidget(m_header);
    topColumn->addWidget(m_diagrams, 1);
    rows->addWidget(top);
    rows->addWidget(bottom);
    rows->setStretchFactor(0, 1);
    rows->setStretchFactor(1, 1);
    rows->setSizes({420, 380});
    column->addWidget(rows, 1);

    auto* controls = new ControlRow(content);
    m_layer = controls->addChoice(tr("Layer"), tr("Layer counted from 0; follows the first selected layer"));
    m_layer->setMaxVisibleItems(16);
    m_module =
        controls->addChoice(tr("Module"), tr("Modules that are factorised as matrix product operators"));
    m_expert =
        controls->addChoice(tr("Expert"), tr("Whose cores are shown; the centre core is shared by all"));
    m_auto = controls->addSwitch(
        tr("Auto scale"), tr("Fits the scale of the spectra to the step and place shown. Off (default): "
                             "one scale for the whole run, so that they compare."));
    m_flatSwitch = controls->addSwitch(tr("2-D"), tr("The flat diagram, as figures are printed"));
    auto* reset =
        controls->addButton(tr("Reset view"), tr("Turn the diagram back to its first direction and size"));
    controls->addStretch();
    column->addWidget(controls);
    setContent(content);
    m_flatSwitch->setChecked(!openGl);
    m_flatSwitch->setEnabled(openGl);
    m_header->setVisible(openGl);
    reset->setEnabled(openGl);

    connect(m_layer, &QComboBox::activated, this, [this](int layer) { m_selection->setLayers({layer}); });
    connect(m_expert, &QComboBox::activated, this, [this](int expert) { m_selection->setExperts({expert}); });
    connect(m_module, &QComboBox::activated, this, &MpoView::choosePlace);
    connect(m_flatSwitch, &QCheckBox::toggled, this, [this](bool flat) {
        m_diagrams->setCurrentWidget(flat || m_scene == nullptr ? static_cast<QWidget*>(m_flat) : m_scene);
        m_header->setVisible(!flat && m_scene != nullptr);
    });
    connect(m_auto, &QCheckBox::toggled, this, &MpoView::refreshCharts);
    connect(reset, &QToolButton::clicked, this, &MpoView::resetCamera);
    connect(m_flat, &TensorTrainWidget::hovered, m_selection, &Selection::setHover);
    m_spectraChart->setPlot(&m_spectra);
    m_driftChart->setPlot(&m_model.drift());
    setEmptyText(tr("Matrix product operators"),
                 tr("Bond dimensions and cores as a tensor-train diagram, the singular values at each cut, "
                    "and how far each "
                    "core has moved. OperA runs have them; other families do not factorise their weights."));
}

MpoView::~MpoView() = default;

void MpoView::fillControls()
{
    QStringList layers;
    for (int layer = 0; layer < m_model.layers(); ++layer)
        layers << QString::number(layer);
    setChoices(m_layer, layers);
    setChoices(m_module, m_model.modules());
    setChoices(m_expert, m_model.experts());
    m_layer->setCurrentIndex(m_model.layer());
    m_module->setCurrentText(m_model.module());
    m_expert->setCurrentIndex(m_model.expert());
    m_expert->setEnabled(m_expert->count() > 1);
}

void MpoView::takeSelection()
{
    const auto first = [](const std::set<int>& chosen) {
        return chosen.empty() ? std::nullopt : std::optional<int>(*chosen.begin());
    };
    std::optional<QString> module;
    const QStringList known = m_model.modules();
    for (const QString& chosen : m_selection->modules())
        if (!module && known.contains(chosen))
            module = chosen;
    const int layer = m_followedLayer.next(m_model.layer(), first(m_selection->layers()));
    const int expert = m_followedExpert.next(m_model.expert(), first(m_selection->experts()));
    m_model.setPlace(layer, m_followedModule.next(m_model.module(), module), expert);
}

void MpoView::choosePlace()
{
    m_selection->setModules({m_module->currentText()});
    selectionChanged(); // where the selection already says so
}

void MpoView::rebuild()
{
    m_model.setRun(run());
    takeSelection();
    fillControls();
    refreshDiagram();
    refreshCharts();
}

void MpoView::append()
{
    const bool went = m_model.settle();
    if (went) {
        fillControls();
        refreshDiagram();
    }
    if (m_model.append() || went)
        refreshCharts();
}

void MpoView::selectionChanged()
{
    takeSelection();
    fillControls();
    refreshDiagram();
    refreshCharts();
}

void MpoView::stepChanged()
{
    refreshDiagram();
    refreshCharts();
}

void MpoView::refreshDiagram()
{
    if (!m_model.hasData())
        return;
    const TensorTrain train = m_model.train(m_selection->step());
    m_flat->setTrain(train);
    m_header->setTrain(train);
    if (m_scene == nullptr)
        return;
    m_reading->renew();
    buildTensorTrainScene(m_scene->renderer(), train, PlotStyle::screen(palette(), font()));
    if (!m_cameraSet && !train.empty()) {
        m_cameraSet = true;
        resetTensorTrainCamera(m_scene->renderer());
    }
    m_scene->renderLater();
}

void MpoView::readCore(double x, double y, const QPoint& globalPlace)
{
    const auto core = coreAt(m_scene->renderer(), m_flat->train(), x, y); // both diagrams show the same
    m_reading->show([this, core] { return core ? coreText(m_flat->train(), *core) : QString(); },
                    globalPlace);
}

void MpoView::refreshCharts()
{
    m_spectra = m_model.spectra(m_selection->step(), m_auto->isChecked());
    m_spectraChart->refresh();
    m_driftChart->setMarker(stepMarker());
    m_driftChart->refresh();
}

void MpoView::resetCamera()
{
    if (m_scene == nullptr)
        return;
    resetTensorTrainCamera(m_scene->renderer());
    m_scene->renderLater();
}

void MpoView::changeEvent(QEvent* event)
{
    View::changeEvent(event);
    if (event->type() == QEvent::PaletteChange)
        refreshDiagram();
}

void MpoView::fit()
{
    m_spectraChart->fit();
    m_driftChart->fit();
    resetCamera();
}

QString MpoView::definition() const
{
    const record::MeasureInfo* info = m_model.info();
    return tr("Matrix product operator: W as a chain of cores [left bond, row leg, column leg, right "
              "bond]. ") +
           definitionOf(info);
}

QJsonObject MpoView::controls() const
{
    return {{QStringLiteral("layer"), m_model.layer()},
            {QStringLiteral("module"), m_model.module()},
            {QStringLiteral("expert"), m_model.expert()},
            {QStringLiteral("flat"), m_flatSwitch->isChecked()},
            {QStringLiteral("autoScale"), m_auto->isChecked()}};
}

void MpoView::setControls(const QJsonObject& controls)
{
    if (m_scene != nullptr)
        m_flatSwitch->setChecked(controls.value(QStringLiteral("flat")).toBool());
    m_auto->setChecked(controls.value(QStringLiteral("autoScale")).toBool());
    m_followedLayer.forget();
    m_followedExpert.forget();
    m_followedModule.forget();
    const QString module = controls.value(QStringLiteral("module")).toString();
    m_model.setPlace(controls.value(QStringLiteral("layer")).toInt(),
                     m_model.modules().contains(module) ? module : m_model.module(),
                     controls.value(QStringLiteral("expert")).toInt());
    fillControls();
    refreshDiagram();
    refreshCharts();
}

std::vector<Figure> MpoView::figures() const
{
    std::vector<Figure> all;
    if (!hasData())
        return all;
    const std::int64_t step = m_selection->step();
    const TensorTrain train = m_model.train(step);
    if (!train.empty())
        all.push_back({QStringLiteral("diagram"), train.title, 0.5,
                       [train](QPainter& painter, const QRectF& area, const PlotStyle& style) {
                           paintTensorTrain(painter, area, train, style);
                       },
                       [this, step] { return m_model.trainTable(step); }});
    const CurvePlot spectra = m_model.spectra(step, m_auto->isChecked());
    if (!spectra.empty())
        all.push_back({QStringLiteral("spectra"), spectra.title, 0.62,
                       [spectra, zoom = m_spectraChart->zoom()](QPainter& painter, const QRectF& area,
                                                                const PlotStyle& style) {
                           paintCurvePlot(painter, area, spectra, style, zoom);
                       },
                       [this, step] { return m_model.spectraTable(step); }});
    const CurvePlot& drift = m_model.drift();
    if (!drift.empty())
        all.push_back({QStringLiteral("drift"), drift.title, 0.62,
                       [&drift, zoom = m_driftChart->zoom()](QPainter& painter, const QRectF& area,
                                                             const PlotStyle& style) {
                           paintCurvePlot(painter, area, drift, style, zoom);
                       },
                       [this] { return m_model.driftTable(); }});
    return all;
}

} // namespace rankscope::views

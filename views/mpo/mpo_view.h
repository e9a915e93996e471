// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/base/following_choice.h"
#include "views/base/view.h"
#include "views/mpo/mpo_model.h"

class QCheckBox;
class QComboBox;
class QStackedWidget;

namespace rankscope::views
{

class CursorReading;
class DiagramHeader;
class TensorTrainWidget;
class VtkWidget;

class MpoView : public View
{
    Q_OBJECT

public:
    explicit MpoView(Selection* selection, QWidget* parent = nullptr);
    ~MpoView() override;

    [[nodiscard]] QString key() const override { return QStringLiteral("mpo"); }
    [[nodiscard]] QString title() const override { return tr("MPO"); }
    [[nodiscard]] bool hasData() const override { return m_model.hasData(); }
    [[nodiscard]] QString definition() const override;
    [[nodiscard]] std::vector<Figure> figures() const override;
    [[nodiscard]] QJsonObject controls() const override;
    void setControls(const QJsonObject& controls) override;
    void fit() override;

protected:
    void rebuild() override;
    void append() override;
    void selectionChanged() override;
    void stepChanged() override;
    void changeEvent(QEvent* event) override;

private:
    void fillControls();
    void takeSelection();
    void choosePlace();
    void refreshDiagram();
    void refreshCharts();
    void resetCamera();
    /// Says what the core under the cursor is.
    void readCore(double x, double y, const QPoint& globalPlace);

    MpoModel m_model;
    CurvePlot m_spectra;
    QStackedWidget* m_diagrams;
    DiagramHeader* m_header;            ///< title and keys of the 3-D diagram; the flat one draws its own
    VtkWidget* m_scene = nullptr;       ///< absent where there is no OpenGL
    CursorReading* m_reading = nullptr; ///< of the scene
    TensorTrainWidget* m_flat;
    CurveChart* m_spectraChart;
    CurveChart* m_driftChart;
    QComboBox* m_layer;
    QComboBox* m_module;
    QComboBox* m_expert;
    QCheckBox* m_flatSwitch;
    QCheckBox* m_auto;
    FollowingChoice<int> m_followedLayer;
    FollowingChoice<int> m_followedExpert;
    FollowingChoice<QString> m_followedModule;
    bool m_cameraSet = false;
};

} // namespace rankscope::views

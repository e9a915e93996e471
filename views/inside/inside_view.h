// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/base/following_choice.h"
#include "views/base/view.h"
#include "views/inside/inside_model.h"

class QCheckBox;
class QComboBox;
class QHBoxLayout;

namespace rankscope::views
{

class InsideView : public View
{
    Q_OBJECT

public:
    explicit InsideView(Selection* selection, QWidget* parent = nullptr);

    [[nodiscard]] QString key() const override { return QStringLiteral("inside"); }
    [[nodiscard]] QString title() const override { return tr("Inside"); }
    [[nodiscard]] bool hasData() const override;
    [[nodiscard]] QString definition() const override;
    [[nodiscard]] std::vector<Figure> figures() const override;
    [[nodiscard]] QJsonObject controls() const override;
    void setControls(const QJsonObject& controls) override;
    void fit() override;

    [[nodiscard]] HeatMapWidget* heatMap() const { return m_map; }
    [[nodiscard]] CurveChart* chart() const { return m_chart; }
    [[nodiscard]] QComboBox* measureChoice() const { return m_measure; }
    [[nodiscard]] const InsideModel& model() const { return m_model; }

protected:
    void rebuild() override;
    void append() override;
    void selectionChanged() override;
    void stepChanged() override;

private:
    enum Panels { Both, MapOnly, CurvesOnly };

    void followSelection();
    void chooseMeasure(const QString& name);
    void fillMeasures();
    void fillAxes();
    void refreshChart();
    void refreshMap();
    void showPanels();

    InsideModel m_model;
    CurveChart* m_chart;
    HeatMapWidget* m_map;
    QComboBox* m_measure;
    QComboBox* m_panels;
    QComboBox* m_down;
    QComboBox* m_across;
    QComboBox* m_curveAxis;
    QCheckBox* m_auto;
    QWidget* m_placeRow;
    QHBoxLayout* m_placeLayout;
    QList<QComboBox*> m_places;                      ///< one for each axis of the measure
    QStringList m_shownAxes;                         ///< that m_places were made for
    QHash<QString, FollowingChoice<int>> m_followed; ///< places, by the axis's name
};

} // namespace rankscope::views

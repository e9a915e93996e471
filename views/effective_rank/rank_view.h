// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/base/following_choice.h"
#include "views/base/view.h"
#include "views/effective_rank/rank_model.h"

class QCheckBox;
class QComboBox;

namespace rankscope::views
{

class RankView : public View
{
    Q_OBJECT

public:
    explicit RankView(Selection* selection, QWidget* parent = nullptr);

    [[nodiscard]] QString key() const override { return QStringLiteral("effective_rank"); }
    [[nodiscard]] QString title() const override { return tr("Effective rank"); }
    [[nodiscard]] bool hasData() const override { return m_model.hasData(); }
    [[nodiscard]] QString definition() const override;
    [[nodiscard]] std::vector<Figure> figures() const override;
    [[nodiscard]] QJsonObject controls() const override;
    void setControls(const QJsonObject& controls) override;
    void fit() override;

    [[nodiscard]] HeatMapWidget* heatMap() const { return m_map; }
    [[nodiscard]] CurveChart* chart() const { return m_chart; }

protected:
    void rebuild() override;
    void append() override;
    void selectionChanged() override;
    void stepChanged() override;

private:
    void refreshChart();
    void refreshMap();
    void fillControls();
    /// One chosen module and one chosen expert are what the panels show.
    void followSelection();

    RankModel m_model;
    CurveChart* m_chart;
    HeatMapWidget* m_map;
    QComboBox* m_measure;
    QComboBox* m_module;
    QComboBox* m_expert;
    QComboBox* m_style;
    QCheckBox* m_auto;
    FollowingChoice<QString> m_followedModule;
    FollowingChoice<int> m_followedExpert;
};

} // namespace rankscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/base/following_choice.h"
#include "views/base/view.h"
#include "views/routing/routing_model.h"

class QCheckBox;
class QComboBox;

namespace rankscope::views
{

class RoutingView : public View
{
    Q_OBJECT

public:
    explicit RoutingView(Selection* selection, QWidget* parent = nullptr);

    [[nodiscard]] QString key() const override { return QStringLiteral("routing"); }
    [[nodiscard]] QString title() const override { return tr("Routing"); }
    [[nodiscard]] bool hasData() const override { return m_model.hasData(); }
    [[nodiscard]] QString definition() const override;
    [[nodiscard]] std::vector<Figure> figures() const override;
    [[nodiscard]] QJsonObject controls() const override;
    void setControls(const QJsonObject& controls) override;
    void fit() override;

    [[nodiscard]] HeatMapWidget* layerMap() const { return m_byLayer; }
    [[nodiscard]] HeatMapWidget* taskMap() const { return m_byTask; }

protected:
    void rebuild() override;
    void append() override;
    void selectionChanged() override;
    void stepChanged() override;

private:
    void refreshCharts();
    void refreshMaps();
    void fillControls();
    /// Where each module has a router of its own, one chosen module chooses its router.
    void followSelection();

    RoutingModel m_model;
    HeatMapWidget* m_byLayer;
    HeatMapWidget* m_byTask;
    CurveChart* m_imbalance;
    CurveChart* m_entropy;
    QComboBox* m_task;
    QComboBox* m_router;
    QComboBox* m_form;
    QCheckBox* m_auto;
    FollowingChoice<QString> m_followedRouter;
};

} // namespace rankscope::views

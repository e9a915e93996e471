// SPDX-License-Identifier: GPL-3.0-or-later
// Loss, learning rate, gradient norm, throughput and memory over steps; evaluation by task.
#pragma once

#include "views/base/view.h"
#include "views/training/training_model.h"

class QCheckBox;
class QGridLayout;
class QSlider;
class QSplitter;
class QTableWidget;

namespace rankscope::views
{

class BarWidget;
class CurveChart;

class TrainingView : public View
{
    Q_OBJECT

public:
    explicit TrainingView(Selection* selection, QWidget* parent = nullptr);

    [[nodiscard]] QString key() const override { return QStringLiteral("training"); }
    [[nodiscard]] QString title() const override { return tr("Training"); }
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
    void resizeEvent(QResizeEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void refreshCharts();
    void refreshEvaluation();
    void arrange();
    void arrangeSmallCharts();

    TrainingModel m_model;
    std::vector<CurveChart*> m_charts;
    QSplitter* m_split = nullptr;
    QSplitter* m_evaluation = nullptr;
    QWidget* m_left = nullptr;
    QGridLayout* m_grid = nullptr;
    BarWidget* m_bars = nullptr;
    QTableWidget* m_table = nullptr;
    QSlider* m_smoothing = nullptr;
    QCheckBox* m_tokens = nullptr;
    int m_columns = 0;
    bool m_auxiliary = false;
};

} // namespace rankscope::views

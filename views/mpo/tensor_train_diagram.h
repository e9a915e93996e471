// SPDX-License-Identifier: GPL-3.0-or-later
// The tensor-train diagram in two dimensions: for print and where there is no OpenGL.
#pragma once

#include "views/mpo/tensor_train.h"
#include "views/plot/cursor_reading.h"
#include "views/plot/plot_style.h"

#include <QRectF>
#include <QWidget>

class QPainter;

namespace rankscope::views
{

void paintTensorTrain(QPainter& painter, const QRectF& area, const TensorTrain& train,
                      const PlotStyle& style);

class TensorTrainWidget : public QWidget
{
    Q_OBJECT

public:
    explicit TensorTrainWidget(QWidget* parent = nullptr);
    void setTrain(const TensorTrain& train);
    [[nodiscard]] const TensorTrain& train() const { return m_train; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {200, 140}; }

Q_SIGNALS:
    void hovered(const QString& lines);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void leaveEvent(QEvent* event) override;

private:
    TensorTrain m_train;
    CursorReading* m_reading;
};

/// Title, leg colours and the drift's scale, above the 3-D diagram.
class DiagramHeader : public QWidget
{
    Q_OBJECT

public:
    explicit DiagramHeader(QWidget* parent = nullptr);
    void setTrain(const TensorTrain& train);

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    TensorTrain m_train;
};

/// The numbers of a core, for the cursor and the table.
QString coreText(const TensorTrain& train, std::size_t core);

} // namespace rankscope::views

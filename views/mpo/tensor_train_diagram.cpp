// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/mpo/tensor_train_diagram.h"

#include "views/plot/colour_map.h"
#include "views/plot/format.h"

#include <QFontMetricsF>
#include <QLinearGradient>
#include <QMouseEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace rankscope::views
{

double coreSide(double elements)
{
    return 0.16 + 0.07 * std::log10(std::max(1.0, elements));
}

double bondRadius(int dimension)
{
    return 0.012 + 0.022 * std::log10(std::max(1, dimension));
}

QString coreText(const TensorTrain& train, std::size_t core)
{
    if (core >= train.cores.size())
        return {}; // of a diagram that was shown before
    const TensorTrainCore& c = train.cores[core];
    return QStringLiteral(
               "core %1 of %2\n%3 × %4 × %5 × %6 (left bond, row, column, right bond)\n%7 elements\ndrift %8")
        .arg(c.name)
        .arg(train.cores.size())
        .arg(c.leftBond)
        .arg(c.rowLeg)
        .arg(c.columnLeg)
        .arg(c.rightBond)
        .arg(c.elements, 0, 'f', 0)
        .arg(std::isfinite(c.drift)
                 ? QStringLiteral("%1 %, measured at step %2").arg(c.drift * 100, 0, 'f', 2).arg(c.driftStep)
                 : QStringLiteral("not measured"));
}

namespace
{

/// "drift 0 % [ramp] 6.3 %" from a place on its baseline; the width that it took.
double paintDriftScale(QPainter& painter, const QPointF& place, double rampWidth, const TensorTrain& train,
                       const PlotStyle& style)
{
    const QFontMetricsF metrics(style.font);
    painter.setFont(style.font);
    painter.setPen(style.muted);
    if (!train.empty() && train.driftStep() < 0) {
        const QString none = QStringLiteral("drift not measured up to this step");
        painter.drawText(place, none);
        return metrics.horizontalAdvance(none);
    }
    const QString low = QStringLiteral("drift 0 %");
    QString high = QString::number(train.largestDrift * 100, 'g', 3) + QStringLiteral(" %");
    if (train.driftStep() >= 0)
        high += QStringLiteral(", measured at step %1").arg(train.driftStep());
    const QRectF bar(place.x() + metrics.horizontalAdvance(low) + 6, place.y() - metrics.ascent() * 0.75,
                     rampWidth, metrics.ascent() * 0.75);
    QLinearGradient ramp(bar.topLeft(), bar.topRight());
    for (int i = 0; i <= 8; ++i)
        ramp.setColorAt(i / 8.0, colourAt(ColourMap::Viridis, i / 8.0));
    painter.drawText(place, low);
    painter.fillRect(bar, ramp);
    painter.drawText(QPointF(bar.right() + 6, place.y()), high);
    return bar.right() + 6 + metrics.horizontalAdvance(high) - place.x();
}

} // namespace

void paintTensorTrain(QPainter& painter, const QRectF& area, const TensorTrain& train, const PlotStyle& style)
{
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.fillRect(area, style.background);
    const QFontMetricsF metrics(style.font);
    painter.setFont(style.scaled(1, true));
    painter.setPen(style.text);
    const QFontMetricsF bold(painter.font());
    painter.drawText(QPointF(area.left() + 6, area.top() + bold.ascent() + 3),
                     bold.elidedText(train.title, Qt::ElideMiddle, area.width() - 10));
    if (train.empty()) {
        painter.restore();
        return;
    }
    const auto count = static_cast<double>(train.cores.size());
    const QRectF plot =
        area.adjusted(metrics.height(), metrics.height() * 2, -metrics.height(), -metrics.height() * 4.8);
    const double pitch = plot.width() / count;
    const double unit = std::min(pitch, plot.height() / 1.5);
    const double y = plot.center().y();
    const auto xOf = [&](std::size_t core) {
        return plot.left() + (static_cast<double>(core) + 0.5) * pitch;
    };
    const QColor bondColour = style.dark ? QColor(0x7f, 0x88, 0x94) : QColor(0x8c, 0x94, 0x9e);
    for (std::size_t core = 0; core + 1 < train.cores.size(); ++core) {
        const int d = train.cores[core].rightBond;
        painter.setPen(QPen(bondColour, std::max(1.0, 2 * bondRadius(d) * unit), Qt::SolidLine, Qt::FlatCap));
        painter.drawLine(QPointF(xOf(core), y), QPointF(xOf(core + 1), y));
    }
    const auto centred = [&](const QString& text, double x, double baseline) {
        painter.drawText(QPointF(x - QFontMetricsF(painter.font()).horizontalAdvance(text) / 2, baseline),
                         text);
    };
    painter.setFont(style.font);
    const double legLength = std::min(unit * 0.62, plot.height() / 2 - metrics.height());
    for (std::size_t core = 0; core < train.cores.size(); ++core) {
        const TensorTrainCore& c = train.cores[core];
        const double side = coreSide(c.elements) * unit;
        for (const bool up : {true, false}) {
            const int leg = up ? c.rowLeg : c.columnLeg;
            const double end = y + (up ? -legLength : legLength);
            painter.setPen(
                QPen(bondColour, std::max(1.0, 2 * bondRadius(leg) * unit), Qt::SolidLine, Qt::FlatCap));
            painter.drawLine(QPointF(xOf(core), y), QPointF(xOf(core), end));
            painter.setPen(style.muted);
            centred(QString::number(leg), xOf(core), up ? end - 4 : end + metrics.ascent() + 3);
        }
        const QRectF box(xOf(core) - side / 2, y - side / 2, side, side);
        const double share =
            train.largestDrift > 0 && std::isfinite(c.drift) ? c.drift / train.largestDrift : 0;
        painter.setPen(QPen(style.text, style.thinLine));
        painter.setBrush(std::isfinite(c.drift) ? QBrush(colourAt(ColourMap::Viridis, share))
                                                : QBrush(style.muted, Qt::BDiagPattern));
        painter.drawRoundedRect(box, 2, 2);
        painter.setPen(style.text);
        const QString size =
            c.elements >= 1e4 ? formatCount(c.elements) : QString::number(c.elements, 'f', 0);
        painter.save();
        painter.setFont(style.scaled(0.92));
        const QFontMetricsF small(painter.font());
        // At the side where the neighbour leaves more room.
        const auto sideOf = [&](std::size_t other) { return coreSide(train.cores[other].elements); };
        const bool atLeft = core > 0 && core + 1 < train.cores.size() && sideOf(core - 1) < sideOf(core + 1);
        painter.drawText(QPointF(atLeft ? box.left() - 3 - small.horizontalAdvance(size) : box.right() + 3,
                                 box.bottom() + small.ascent()),
                         size);
        painter.restore();
    }
    for (std::size_t core = 0; core + 1 < train.cores.size(); ++core) {
        const int d = train.cores[core].rightBond;
        painter.setPen(style.text);
        const double half = std::max(bondRadius(d) * unit, 1.0);
        const double sides =
            (coreSide(train.cores[core].elements) - coreSide(train.cores[core + 1].elements)) * unit / 4;
        centred(QString::number(d), (xOf(core) + xOf(core + 1)) / 2 + sides, y - half - 4);
    }
    // What is what, and the scale of the drift.
    painter.setPen(style.muted);
    painter.drawText(
        QRectF(area.left() + 8, area.bottom() - metrics.height() * 4.0, area.width() - 16,
               metrics.height() * 2.4),
        Qt::AlignLeft | Qt::AlignBottom | Qt::TextWordWrap,
        QStringLiteral("up: row legs, down: column legs, between: bond dimensions; box: elements (log)"));
    paintDriftScale(painter, QPointF(area.left() + 8, area.bottom() - metrics.height() * 0.45),
                    std::min(160.0, area.width() * 0.3), train, style);
    painter.restore();
}

DiagramHeader::DiagramHeader(QWidget* parent) : QWidget(parent)
{
    setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    setFixedHeight(fontMetrics().height() * 3);
    setToolTip(tr("Boxes: elements of a core, logarithmic. Tubes: dimension of a bond or leg, logarithmic. "
                  "Colour of a box: "
                  "how far the core has moved since the start."));
}

void DiagramHeader::setTrain(const TensorTrain& train)
{
    m_train = train;
    update();
}

void DiagramHeader::paintEvent(QPaintEvent* /*event*/)
{
    QPainter painter(this);
    const PlotStyle style = PlotStyle::screen(palette(), font());
    painter.fillRect(rect(), style.background);
    const QFontMetricsF metrics(style.font);
    painter.setFont(style.scaled(1, true));
    painter.setPen(style.text);
    painter.drawText(QPointF(6, metrics.ascent() + 3),
                     QFontMetricsF(painter.font()).elidedText(m_train.title, Qt::ElideMiddle, width() - 12));
    const double baseline = metrics.ascent() + 5 + metrics.height() * 1.15;
    double x = 6;
    painter.setFont(style.font);
    for (const auto& [text, colour] :
         {std::pair{tr("row legs"), categoryColour(5, style.dark)},
          std::pair{tr("column legs"), categoryColour(1, style.dark)}, std::pair{tr("bonds"), style.muted}}) {
        painter.fillRect(
            QRectF(x, baseline - metrics.ascent() * 0.55, metrics.height(), metrics.ascent() * 0.35), colour);
        painter.setPen(style.muted);
        painter.drawText(QPointF(x + metrics.height() + 4, baseline), text);
        x += metrics.height() + 18 + metrics.horizontalAdvance(text);
    }
    paintDriftScale(painter, QPointF(x, baseline), metrics.height() * 6, m_train, style);
}

TensorTrainWidget::TensorTrainWidget(QWidget* parent) : QWidget(parent), m_reading(new CursorReading(this))
{
    connect(m_reading, &CursorReading::changed, this, &TensorTrainWidget::hovered);
    setMouseTracking(true);
    setFocusPolicy(Qt::StrongFocus);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
}

void TensorTrainWidget::setTrain(const TensorTrain& train)
{
    m_train = train;
    setAccessibleName(train.title);
    m_reading->renew();
    update();
}

void TensorTrainWidget::paintEvent(QPaintEvent* /*event*/)
{
    QPainter painter(this);
    paintTensorTrain(painter, rect(), m_train, PlotStyle::screen(palette(), font()));
}

void TensorTrainWidget::mouseMoveEvent(QMouseEvent* event)
{
    if (m_train.empty())
        return;
    const auto core = static_cast<std::size_t>(std::clamp(event->position().x() / width(), 0.0, 0.999) *
                                               static_cast<double>(m_train.cores.size()));
    m_reading->show([this, core] { return coreText(m_train, core); }, event->globalPosition().toPoint());
}

void TensorTrainWidget::leaveEvent(QEvent* event)
{
    m_reading->clear();
    QWidget::leaveEvent(event);
}

} // namespace rankscope::views

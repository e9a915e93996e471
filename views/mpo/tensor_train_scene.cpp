// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/mpo/tensor_train_scene.h"

#include "views/plot/colour_map.h"
#include "views/plot/format.h"

#include <vtkActor.h>
#include <vtkBillboardTextActor3D.h>
#include <vtkCamera.h>
#include <vtkCubeSource.h>
#include <vtkLineSource.h>
#include <vtkNew.h>
#include <vtkPolyDataMapper.h>
#include <vtkProperty.h>
#include <vtkRenderer.h>
#include <vtkTextProperty.h>
#include <vtkTubeFilter.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace rankscope::views
{

namespace
{

using Point = std::array<double, 3>;
constexpr double pitch = 1.0; ///< between cores
constexpr double legLength = 0.62;

void setColour(vtkProperty* property, const QColor& colour)
{
    property->SetColor(colour.redF(), colour.greenF(), colour.blueF());
    property->SetAmbient(0.35);
    property->SetDiffuse(0.7);
    property->SetSpecular(0.08);
}

void addTube(vtkRenderer* renderer, const Point& from, const Point& to, double radius, const QColor& colour)
{
    vtkNew<vtkLineSource> line;
    line->SetPoint1(from.data());
    line->SetPoint2(to.data());
    vtkNew<vtkTubeFilter> tube;
    tube->SetInputConnection(line->GetOutputPort());
    tube->SetRadius(radius);
    tube->SetNumberOfSides(24);
    tube->CappingOn();
    vtkNew<vtkPolyDataMapper> mapper;
    mapper->SetInputConnection(tube->GetOutputPort());
    vtkNew<vtkActor> actor;
    actor->SetMapper(mapper);
    setColour(actor->GetProperty(), colour);
    renderer->AddActor(actor);
}

void addBox(vtkRenderer* renderer, const Point& centre, double side, const QColor& colour)
{
    vtkNew<vtkCubeSource> cube;
    cube->SetCenter(centre.data());
    cube->SetXLength(side);
    cube->SetYLength(side);
    cube->SetZLength(side);
    vtkNew<vtkPolyDataMapper> mapper;
    mapper->SetInputConnection(cube->GetOutputPort());
    vtkNew<vtkActor> actor;
    actor->SetMapper(mapper);
    setColour(actor->GetProperty(), colour);
    renderer->AddActor(actor);
}

void addLabel(vtkRenderer* renderer, const Point& place, const QString& text, const QColor& colour, int size,
              bool bold)
{
    vtkNew<vtkBillboardTextActor3D> label;
    label->SetInput(text.toUtf8().constData());
    label->SetPosition(place[0], place[1], place[2]);
    vtkTextProperty* property = label->GetTextProperty();
    property->SetFontFamilyToArial();
    property->SetFontSize(size);
    property->SetBold(bold ? 1 : 0);
    property->SetColor(colour.redF(), colour.greenF(), colour.blueF());
    property->SetJustificationToCentered();
    property->SetVerticalJustificationToCentered();
    renderer->AddActor(label);
}

} // namespace

void buildTensorTrainScene(vtkRenderer* renderer, const TensorTrain& train, const PlotStyle& style)
{
    renderer->RemoveAllViewProps();
    renderer->SetBackground(style.background.redF(), style.background.greenF(), style.background.blueF());
    const QColor bond = style.dark ? QColor(0x8d, 0x97, 0xa4) : QColor(0x9a, 0xa3, 0xae);
    const QColor rowLeg = categoryColour(5, style.dark);
    const QColor columnLeg = categoryColour(1, style.dark);
    const int size = style.font.pixelSize() + 2;
    for (std::size_t i = 0; i < train.cores.size(); ++i) {
        const TensorTrainCore& core = train.cores[i];
        const double x = static_cast<double>(i) * pitch;
        const double side = coreSide(core.elements);
        const double share =
            train.largestDrift > 0 && std::isfinite(core.drift) ? core.drift / train.largestDrift : 0.0;
        addBox(renderer, {x, 0, 0}, side,
               std::isfinite(core.drift) ? colourAt(ColourMap::Viridis, share) : style.muted);
        if (!std::isfinite(core.drift)) // missing is not told by colour alone
            addLabel(renderer, {x, 0, side}, QStringLiteral("?"), style.text, size + 2, true);
        const double end = side / 2 + legLength * 0.7;
        addTube(renderer, {x, 0, 0}, {x, end, 0}, bondRadius(core.rowLeg), rowLeg);
        addTube(renderer, {x, 0, 0}, {x, -end, 0}, bondRadius(core.columnLeg), columnLeg);
        addLabel(renderer, {x, end + 0.09, 0}, QStringLiteral("row %1").arg(core.rowLeg), style.muted, size,
                 false);
        addLabel(renderer, {x, -end - 0.09, 0}, QStringLiteral("col %1").arg(core.columnLeg), style.muted,
                 size, false);
        addLabel(renderer, {x + side * 0.5, -side * 0.5 - 0.07, side * 0.6},
                 QStringLiteral("%1").arg(core.elements >= 1e4 ? formatCount(core.elements)
                                                               : QString::number(core.elements, 'f', 0)),
                 style.muted, size - 1, false);
        if (i + 1 < train.cores.size()) {
            const double radius = bondRadius(core.rightBond);
            addTube(renderer, {x, 0, 0}, {x + pitch, 0, 0}, radius, bond);
            const double middle = (x + side / 2 + x + pitch - coreSide(train.cores[i + 1].elements) / 2) / 2;
            addLabel(renderer, {middle, radius + 0.09, radius}, QString::number(core.rightBond), style.text,
                     size + 1, true);
        }
    }
}

std::optional<std::size_t> coreAt(vtkRenderer* renderer, const TensorTrain& train, double x, double y)
{
    const auto onScreen = [renderer](double worldX, double worldY, double worldZ) {
        renderer->SetWorldPoint(worldX, worldY, worldZ, 1);
        renderer->WorldToDisplay();
        std::array<double, 3> place{};
        renderer->GetDisplayPoint(place.data());
        return place;
    };
    // A cube as it stands on the screen reaches as far as its own corner, whichever way it is turned.
    std::optional<std::size_t> nearest;
    double nearestDepth = 2; // display depths are 0 to 1, the smaller the closer
    for (std::size_t i = 0; i < train.cores.size(); ++i) {
        const double centre = static_cast<double>(i) * pitch;
        const double half = coreSide(train.cores[i].elements) / 2;
        const auto middle = onScreen(centre, 0, 0);
        double reach = 0;
        for (const auto& [dx, dy, dz] :
             {Point{half, half, half}, Point{half, half, -half}, Point{half, -half, half}}) {
            const auto corner = onScreen(centre + dx, dy, dz);
            reach = std::max(reach, std::hypot(corner[0] - middle[0], corner[1] - middle[1]));
        }
        if (std::hypot(x - middle[0], y - middle[1]) <= reach && middle[2] < nearestDepth) {
            nearest = i;
            nearestDepth = middle[2];
        }
    }
    return nearest;
}

void resetTensorTrainCamera(vtkRenderer* renderer)
{
    vtkCamera* camera = renderer->GetActiveCamera();
    camera->ParallelProjectionOn();
    camera->SetFocalPoint(0, 0, 0);
    camera->SetPosition(-0.35, 0.4, 1);
    camera->SetViewUp(0, 1, 0);
    renderer->ResetCamera();
    camera->Zoom(1.9);
    renderer->ResetCameraClippingRange();
}

} // namespace rankscope::views

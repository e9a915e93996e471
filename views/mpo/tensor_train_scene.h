// SPDX-License-Identifier: GPL-3.0-or-later
// The tensor-train diagram in three dimensions.
#pragma once

#include "views/mpo/tensor_train.h"
#include "views/plot/plot_style.h"

#include <cstddef>
#include <optional>

class vtkRenderer;

namespace rankscope::views
{

/// Fills the renderer: cores as boxes, bonds and legs as tubes, all labelled. The camera stays where it is.
void buildTensorTrainScene(vtkRenderer* renderer, const TensorTrain& train, const PlotStyle& style);
/// The core drawn at a place of the renderer, in its pixels from the lower left; none beside the chain.
std::optional<std::size_t> coreAt(vtkRenderer* renderer, const TensorTrain& train, double x, double y);
/// Orthographic, from the front, slightly from above and from the side.
void resetTensorTrainCamera(vtkRenderer* renderer);

} // namespace rankscope::views

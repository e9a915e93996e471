// SPDX-License-Identifier: Apache-2.0
// Measures that several families record of their own tensors.
#pragma once

#include "core/adapter/magnitude.h"
#include "core/adapter/module_adapter.h"

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace rankscope::adapter
{

using InsideAxis = std::pair<std::string, std::vector<std::string>>;

/// What a measure is called and what it says.
struct InsideTitle {
    std::string name;
    std::string title;
    std::string definition;
};

/// {name, {"0", "1", ...}}
InsideAxis numberedAxis(const std::string& name, std::int64_t count);
/// Values of the axes' shape.
InsideMeasure measureOf(const InsideTitle& title, std::vector<InsideAxis> axes, const at::Tensor& values);
/// The 32 largest singular values of each matrix, by way of the smaller Gram matrix in float64; a piece for
/// each. `matrices` follow the axes row by row; an undefined one is not measured.
InsideMeasure spectraOf(const InsideTitle& title, std::vector<InsideAxis> axes,
                        const std::vector<at::Tensor>& matrices);

using OfSite = std::function<at::Tensor(const ModuleSite&)>;
/// A measure by layer, module and then the axes of `info`, which comes without values: `of` gives one site's,
/// of as many elements as these axes have. NaN where a layer does not have the module.
InsideMeasure siteMeasure(const ModuleSites& sites, InsideMeasure info, const OfSite& of);
/// The same of one dear value, a piece for each site.
InsideMeasure siteValues(const ModuleSites& sites, const InsideTitle& title,
                         const std::function<double(ModuleSite&)>& of);
/// The same for the spectrum of each site's matrix.
InsideMeasure siteSpectra(const ModuleSites& sites, const InsideTitle& title, const OfSite& of);
/// How far DoRA's magnitudes have moved at each site, on average and at most.
std::vector<InsideMeasure> magnitudeDrift(const ModuleSites& sites,
                                          const std::function<const Magnitude&(const ModuleSite&)>& of);

} // namespace rankscope::adapter

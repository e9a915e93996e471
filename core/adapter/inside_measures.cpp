// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/inside_measures.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/mm.h>
#include <algorithm>
#include <c10/core/GradMode.h>
#include <limits>

namespace rankscope::adapter
{
namespace
{

constexpr std::int64_t spectrumLength = 32;
constexpr float unmeasured = std::numeric_limits<float>::quiet_NaN();

/// Layers by modules: where each site's value goes.
struct SiteGrid {
    InsideAxis layers;
    InsideAxis modules{"module", {}};

    explicit SiteGrid(const ModuleSites& sites)
    {
        std::int64_t count = 0;
        for (const auto& site : sites.all()) {
            count = std::max(count, site->shape().layer + 1);
            if (std::ranges::find(modules.second, site->shape().module) == modules.second.end())
                modules.second.push_back(site->shape().module);
        }
        layers = numberedAxis("layer", count);
    }
    [[nodiscard]] std::size_t cells() const { return layers.second.size() * modules.second.size(); }
    [[nodiscard]] std::size_t cell(const ModuleSite& site) const
    {
        const auto module = std::ranges::find(modules.second, site.shape().module) - modules.second.begin();
        return static_cast<std::size_t>(site.shape().layer) * modules.second.size() +
               static_cast<std::size_t>(module);
    }
};

/// Largest first.
at::Tensor singularValues(const at::Tensor& matrix)
{
    const at::NoGradGuard guard;
    const at::Tensor wide = matrix.size(0) <= matrix.size(1) ? matrix : matrix.t();
    const at::Tensor m = wide.detach().to(at::kDouble);
    return at::linalg_eigvalsh(at::mm(m, m.t()))
        .clamp_min(0)
        .sqrt()
        .flip(0)
        .to(at::kCPU, at::kFloat)
        .contiguous();
}

} // namespace

InsideAxis numberedAxis(const std::string& name, std::int64_t count)
{
    InsideAxis axis{name, {}};
    for (std::int64_t i = 0; i < count; ++i)
        axis.second.push_back(std::to_string(i));
    return axis;
}

InsideMeasure measureOf(const InsideTitle& title, std::vector<InsideAxis> axes, const at::Tensor& values)
{
    const at::Tensor plain = values.detach().to(at::kCPU, at::kFloat).contiguous();
    const auto* data = plain.const_data_ptr<float>();
    return {title.name,       title.title,     "",
            title.definition, std::move(axes), std::vector<float>(data, data + plain.numel())};
}

InsideMeasure spectraOf(const InsideTitle& title, std::vector<InsideAxis> axes,
                        const std::vector<at::Tensor>& matrices)
{
    axes.push_back(numberedAxis("index", spectrumLength));
    InsideMeasure measure{title.name, title.title, "", title.definition, std::move(axes), {}};
    measure.values.assign(matrices.size() * spectrumLength, unmeasured);
    measure.pieces = matrices.size();
    measure.piece = [matrices](std::size_t i) {
        std::vector<float> spectrum(spectrumLength, unmeasured);
        if (!matrices[i].defined() || matrices[i].numel() == 0)
            return spectrum;
        const at::Tensor values = singularValues(matrices[i]);
        std::copy_n(values.const_data_ptr<float>(), std::min(spectrumLength, values.numel()),
                    spectrum.begin());
        return spectrum;
    };
    return measure;
}

InsideMeasure siteMeasure(const ModuleSites& sites, InsideMeasure info, const OfSite& of)
{
    const at::NoGradGuard guard;
    const SiteGrid grid(sites);
    std::size_t each = 1;
    for (const auto& axis : info.axes)
        each *= axis.second.size();
    info.values.assign(grid.cells() * each, unmeasured);
    for (const auto& site : sites.all()) {
        const at::Tensor values = of(*site).detach().to(at::kCPU, at::kFloat).contiguous();
        TORCH_CHECK(values.numel() == static_cast<std::int64_t>(each), info.name,
                    ": one value for each label of its axes");
        std::copy_n(values.const_data_ptr<float>(), each,
                    info.values.begin() + static_cast<std::ptrdiff_t>(grid.cell(*site) * each));
    }
    info.axes.insert(info.axes.begin(), {grid.layers, grid.modules});
    return info;
}

InsideMeasure siteValues(const ModuleSites& sites, const InsideTitle& title,
                         const std::function<double(ModuleSite&)>& of)
{
    const SiteGrid grid(sites);
    InsideMeasure measure{title.name, title.title, "", title.definition, {grid.layers, grid.modules}, {}};
    measure.values.assign(grid.cells(), unmeasured);
    measure.pieces = grid.cells();
    std::vector<ModuleSite*> cells(grid.cells(), nullptr);
    for (const auto& site : sites.all())
        cells[grid.cell(*site)] = site.get();
    measure.piece = [cells, of](std::size_t i) {
        return std::vector<float>{cells[i] ? static_cast<float>(of(*cells[i])) : unmeasured};
    };
    return measure;
}

InsideMeasure siteSpectra(const ModuleSites& sites, const InsideTitle& title, const OfSite& of)
{
    const SiteGrid grid(sites);
    std::vector<at::Tensor> matrices(grid.cells());
    for (const auto& site : sites.all())
        matrices[grid.cell(*site)] = of(*site);
    return spectraOf(title, {grid.layers, grid.modules}, matrices);
}

std::vector<InsideMeasure> magnitudeDrift(const ModuleSites& sites,
                                          const std::function<const Magnitude&(const ModuleSite&)>& of)
{
    return {siteMeasure(sites,
                        {"dora/magnitude_drift_mean",
                         "Magnitude drift, mean",
                         "",
                         "Mean over the outputs of |m - m0| / m0, m0 the row norms of the base weight.",
                         {},
                         {}},
                        [&](const ModuleSite& site) { return of(site).drift().mean(); }),
            siteMeasure(sites,
                        {"dora/magnitude_drift_max",
                         "Magnitude drift, largest",
                         "",
                         "Largest of the outputs' |m - m0| / m0, m0 the row norms of the base weight.",
                         {},
                         {}},
                        [&](const ModuleSite& site) { return of(site).drift().max(); })};
}

} // namespace rankscope::adapter

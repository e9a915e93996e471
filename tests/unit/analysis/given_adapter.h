// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/adapter/family.h"
#include "core/analysis/measured.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>
#include <map>

namespace rankscope::analysis
{

/// An adapter that consists of what a test says: its updates and what its routers did.
class GivenAdapter : public adapter::Adapter
{
public:
    GivenAdapter() : Adapter(std::make_unique<adapter::ParameterStore>(at::kDouble, at::kCPU, 1)) {}

    /// `router`: of the traces that mix the experts; empty: the module's own.
    void add(std::int64_t layer, const std::string& module, std::vector<adapter::Delta> experts,
             const std::string& router = {})
    {
        m_sites.push_back(
            {layer, module, static_cast<std::int64_t>(experts.size()), router.empty() ? module : router});
        m_deltas[{layer, module}] = std::move(experts);
    }

    [[nodiscard]] std::vector<adapter::DeltaSite> deltaSites() const override { return m_sites; }
    [[nodiscard]] adapter::Delta delta(std::int64_t layer, const std::string& module,
                                       std::int64_t expert) const override
    {
        return m_deltas.at({layer, module}).at(static_cast<std::size_t>(expert));
    }
    [[nodiscard]] at::Tensor expertForward(std::int64_t, const std::string&, std::int64_t,
                                           const at::Tensor& x) const override
    {
        return x;
    }
    [[nodiscard]] std::vector<adapter::RoutingTrace> routing() const override { return traces; }

    std::vector<adapter::RoutingTrace> traces;

private:
    std::vector<adapter::DeltaSite> m_sites;
    std::map<std::pair<std::int64_t, std::string>, std::vector<adapter::Delta>> m_deltas;
};

inline at::Tensor normal(const std::vector<std::int64_t>& shape, std::uint64_t seed)
{
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    return at::randn(shape, generator, at::TensorOptions(at::kDouble));
}

/// The measure of that name; nullptr if it is not there.
inline const Measured* find(const std::vector<Measured>& all, const std::string& name)
{
    for (const auto& measured : all) {
        if (measured.info.name == name)
            return &measured;
    }
    return nullptr;
}

} // namespace rankscope::analysis

// SPDX-License-Identifier: Apache-2.0
// Families whose adapter is one object on each adapted linear: what stands on a linear, the set of them on a
// model, and an Adapter made of them. Tensors that linears share belong to the family, which hands them to
// its sites.
#pragma once

#include "core/adapter/family.h"
#include "core/adapter/routing.h"
#include "core/model/decoder.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rankscope::adapter
{

/// What a family puts on one linear. forward() is the whole adapted linear: x [T, in] -> [T, out].
class ModuleSite : public model::LinearAdapter
{
public:
    explicit ModuleSite(checkpoint::LinearShape shape) : m_shape(std::move(shape)) {}

    [[nodiscard]] const checkpoint::LinearShape& shape() const { return m_shape; }

    /// Experts that delta() and expertForward() know; 1 where there are none.
    [[nodiscard]] virtual std::int64_t experts() const { return 1; }
    /// What expert `expert` changes in the weight. Detached.
    [[nodiscard]] virtual Delta delta(std::int64_t expert) const = 0;
    /// Is the update linear in x? See DeltaSite::linear.
    [[nodiscard]] virtual bool linear() const { return true; }
    /// The adapted linear as that expert alone computes it, dropout off. Without experts: forward() itself.
    [[nodiscard]] virtual at::Tensor expertForward(std::int64_t expert, const at::Tensor& x,
                                                   const model::FrozenLinear& base);

    /// Of all experts together, with these weights [N]; sites whose experts share a factor say it with fewer
    /// ranks.
    [[nodiscard]] virtual Delta meanDelta(const at::Tensor& weights) const;

    /// Forgets what the last pass left behind.
    virtual void beginPass() {}
    /// Of the last pass, with gradients; nullptr where nothing routes or no pass has run.
    [[nodiscard]] virtual const Routing* routing() const { return nullptr; }
    /// As Adapter::afterPass() and afterStep().
    virtual void afterPass() {}
    virtual void afterStep() {}

private:
    checkpoint::LinearShape m_shape;
};

/// Sites on many linears of a model: attaches them, finds them, and takes them off again when it goes.
class ModuleSites
{
public:
    using Make = std::function<std::unique_ptr<ModuleSite>(ParameterStore&, const model::FrozenLinear&)>;

    ModuleSites(model::Decoder& model, ParameterStore& store,
                const std::vector<checkpoint::LinearShape>& linears, const Make& make);
    ~ModuleSites();
    ModuleSites(const ModuleSites&) = delete;
    ModuleSites& operator=(const ModuleSites&) = delete;

    [[nodiscard]] const std::vector<std::unique_ptr<ModuleSite>>& all() const { return m_sites; }
    [[nodiscard]] ModuleSite* find(std::int64_t layer, const std::string& module) const;
    [[nodiscard]] std::vector<DeltaSite> deltaSites() const;
    [[nodiscard]] at::Tensor expertForward(ModuleSite& site, std::int64_t expert, const at::Tensor& x) const;
    [[nodiscard]] std::vector<RoutingTrace> routing() const;

private:
    model::Decoder& m_model;
    std::vector<std::unique_ptr<ModuleSite>> m_sites;
};

/// Makes a Site(store, shape, options) of each linear.
template <class Site, class Options>
ModuleSites::Make siteMaker(const Options& options)
{
    return [options](ParameterStore& store, const model::FrozenLinear& base) {
        return std::make_unique<Site>(store, base.shape, options);
    };
}

/// An adapter that is its sites. A family derives from it where it has an auxiliary loss or measures of its
/// own.
class ModuleAdapter : public Adapter
{
public:
    ModuleAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                  const std::vector<checkpoint::LinearShape>& linears, const ModuleSites::Make& make);

    void beginPass(const model::Pass& pass) override;
    void afterPass() override;
    void afterStep() override;
    [[nodiscard]] std::vector<DeltaSite> deltaSites() const override { return m_sites.deltaSites(); }
    [[nodiscard]] Delta delta(std::int64_t layer, const std::string& module,
                              std::int64_t expert) const override;
    [[nodiscard]] at::Tensor expertForward(std::int64_t layer, const std::string& module, std::int64_t expert,
                                           const at::Tensor& x) const override;
    [[nodiscard]] Delta meanDelta(const DeltaSite& site, const at::Tensor& weights) const override;
    [[nodiscard]] std::vector<RoutingTrace> routing() const override { return m_sites.routing(); }

protected:
    [[nodiscard]] const ModuleSites& sites() const { return m_sites; }

private:
    ModuleSites m_sites;
};

} // namespace rankscope::adapter

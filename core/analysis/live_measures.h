// SPDX-License-Identifier: Apache-2.0
// The adapter's inside while it trains, within a share of the training time.
#pragma once

#include "core/adapter/family.h"
#include "core/analysis/measured.h"
#include "core/analysis/routing_measures.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace rankscope::analysis
{

class LiveMeasures
{
public:
    /// `budget`: the largest share of the training time that measuring may take. Where measuring everything
    /// would take more, each call measures the next few weights in turn; what is not measured is NaN. Beyond
    /// the budget nothing is measured, but for one weight (and one piece of each dear measure of the family)
    /// at the first call and wherever seven have gone by without any.
    LiveMeasures(const adapter::Adapter& adapter, std::int64_t layers, std::vector<std::string> tasks,
                 double budget);

    /// Call after each training forward pass.
    void observe(const model::Pass& pass);
    /// Everything there is to record now. `trainingSeconds`: time spent on training steps so far.
    std::vector<Measured> measure(double trainingSeconds);
    /// Seconds spent in observe() and measure() so far.
    [[nodiscard]] double seconds() const { return m_seconds; }
    /// Weights the last measure() looked at, of how many.
    [[nodiscard]] std::size_t lastMeasured() const { return m_lastMeasured; }
    [[nodiscard]] std::size_t sites() const { return m_sites.size(); }

    /// Where the turns stand, by what takes turns: saved with a checkpoint, so that a resumed run goes on
    /// with what comes next instead of what it has measured.
    using Turns = std::map<std::string, std::size_t>;
    [[nodiscard]] const Turns& turns() const { return m_turns; }
    void setTurns(Turns turns) { m_turns = std::move(turns); }

private:
    struct Grids;
    /// Stands for the mixture of a site's experts where an expert's number stands for one of them.
    static constexpr std::int64_t mixture = -1;
    void measureLowRank(const std::vector<std::size_t>& chosen, const RoutingMeasures::MeanWeights& weights,
                        Grids& grids) const;
    void measureOther(std::size_t site, const RoutingMeasures::MeanWeights& weights, Grids& grids) const;
    /// `seconds`: what dear ones among them may take together.
    void appendInside(double seconds, std::vector<Measured>& result);
    /// May what takes turns by this name begin? `affordable`: is there time left for it?
    bool begins(const std::string& turn, bool affordable);
    void recordShapes(Grids& grids) const;
    void recordSpectrum(std::size_t site, std::int64_t expert, const at::Tensor& values, Grids& grids) const;
    /// Updates that are measured of a site: its experts and their mixture.
    [[nodiscard]] std::size_t updates(std::size_t site) const;
    [[nodiscard]] Grids makeGrids() const;

    const adapter::Adapter& m_adapter;
    std::int64_t m_layers;
    double m_budget;
    RoutingMeasures m_routing;
    std::vector<adapter::DeltaSite> m_sites;
    std::vector<bool> m_lowRank; ///< of each site: is its update low-rank?
    /// Of each site: are its experts measured one by one? Not where each has rank one: every measure of it
    /// is 1.
    std::vector<bool> m_eachExpert;
    std::vector<std::string> m_modules;
    std::int64_t m_experts = 0;  ///< of the site with the most that are measured; 0: none are
    std::int64_t m_spectrum = 0; ///< singular values recorded of each update
    bool m_mixtures = false;     ///< is there a site with several experts?
    std::int64_t m_cores = 0;    ///< of MPO updates; 0: there are none
    std::size_t m_lastMeasured = 0;
    double m_seconds = 0;
    double m_updateSeconds = 0; ///< of one update, as measured last; 0: not known yet
    Turns m_turns;              ///< the next site, and the next piece of each dear measure of the family
    std::map<std::string, std::size_t> m_passed; ///< calls since each of them was measured
};

} // namespace rankscope::analysis

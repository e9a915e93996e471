// SPDX-License-Identifier: Apache-2.0
#include "core/analysis/live_measures.h"

#include "core/analysis/mpo_measures.h"
#include "core/analysis/rank_measures.h"

#include <algorithm>
#include <c10/core/GradMode.h>
#include <chrono>

namespace rankscope::analysis
{
namespace
{

constexpr std::int64_t spectrumLength = 32; ///< singular values recorded of each update or cut, at most
constexpr const char* siteTurn = "weights"; ///< among the turns
constexpr std::size_t batch = 32;           ///< updates looked at together at most
constexpr std::size_t longestWait = 8;      ///< records of which one shows something, whatever it costs

class Stopwatch
{
public:
    [[nodiscard]] double seconds() const
    {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - m_start).count();
    }

private:
    std::chrono::steady_clock::time_point m_start = std::chrono::steady_clock::now();
};

std::size_t indexOf(const std::vector<std::string>& names, const std::string& name)
{
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

/// The largest rank that an update of this form can have.
struct LargestRank {
    static std::int64_t shorterSide(const at::Tensor& matrix)
    {
        return std::min(matrix.size(0), matrix.size(1));
    }
    std::int64_t operator()(const adapter::LowRankDelta& delta) const
    {
        return std::min({delta.a.size(0), delta.a.size(1), delta.b.size(0)});
    }
    std::int64_t operator()(const adapter::MpoDelta& delta) const { return shorterSide(delta.weight); }
    std::int64_t operator()(const adapter::MagnitudeDelta& delta) const { return shorterSide(delta.weight); }
    std::int64_t operator()(const adapter::DenseDelta& delta) const { return shorterSide(delta.matrix); }
};

bool isRankOne(const adapter::Delta& delta)
{
    const auto* lowRank = std::get_if<adapter::LowRankDelta>(&delta);
    return lowRank && lowRank->a.size(0) == 1;
}

} // namespace

/// The measures of one call, as they fill.
struct LiveMeasures::Grids {
    Measured entropy;
    Measured stable;
    Measured nuclear;
    Measured mixtureEntropy;
    Measured mixtureStable;
    Measured mixtureNuclear;
    Measured spectrum;
    Measured bond;
    Measured coreSize;
    Measured coreShape;
    Measured cutSpectrum;
    Measured drift;
};

LiveMeasures::LiveMeasures(const adapter::Adapter& adapter, std::int64_t layers,
                           std::vector<std::string> tasks, double budget)
    : m_adapter(adapter),
      m_layers(layers),
      m_budget(budget),
      m_routing(layers, std::move(tasks)),
      m_sites(adapter.deltaSites())
{
    for (const auto& site : m_sites) {
        if (indexOf(m_modules, site.module) == m_modules.size())
            m_modules.push_back(site.module);
        const auto delta = adapter.delta(site.layer, site.module, 0);
        m_lowRank.push_back(std::holds_alternative<adapter::LowRankDelta>(delta));
        bool rankOne = site.experts > 1;
        for (std::int64_t expert = 0; expert < site.experts && rankOne; ++expert)
            rankOne = isRankOne(expert == 0 ? delta : adapter.delta(site.layer, site.module, expert));
        m_eachExpert.push_back(!rankOne);
        m_mixtures = m_mixtures || site.experts > 1;
        if (!rankOne) {
            m_experts = std::max(m_experts, site.experts);
            m_spectrum = std::max(m_spectrum, std::min(spectrumLength, std::visit(LargestRank{}, delta)));
        }
        if (const auto* mpo = std::get_if<adapter::MpoDelta>(&delta))
            m_cores = std::max(m_cores, static_cast<std::int64_t>(mpo->legs.cores()));
    }
}

LiveMeasures::Grids LiveMeasures::makeGrids() const
{
    const record::Axis layer{"layer", "", numbered(m_layers)};
    const record::Axis module{"module", "", m_modules};
    const record::Axis expert{"expert", "", numbered(m_experts)};
    const record::Axis index{"index", "", numbered(spectrumLength)};
    const std::vector<record::Axis> sites{layer, module, expert};
    Grids grids;
    if (m_experts > 0) {
        grids.entropy = unmeasured({"rank/entropy", "Entropy effective rank", "",
                                    "exp(-sum p ln p) with p = sigma / sum sigma, over the update's singular "
                                    "values (Roy & Vetterli 2007).",
                                    sites});
        grids.stable = unmeasured(
            {"rank/stable", "Stable rank", "",
             "||dW||_F^2 / ||dW||_2^2 of the update; what REMoE prints as its effective rank (eq. 10).",
             sites});
        grids.nuclear =
            unmeasured({"rank/nuclear", "Nuclear ratio", "",
                        "sum sigma / sigma_max of the update; what REMoE describes below eq. 10.", sites});
        grids.spectrum = unmeasured(
            {"spectrum/singular_values",
             "Singular values of the update",
             "",
             "Largest singular values of dW, from the small core of its low-rank factors where it has them.",
             {layer, module, expert, record::Axis{"index", "", numbered(m_spectrum)}}});
    }
    if (m_mixtures) {
        const std::string averaged =
            " Of the update as tokens meet it on average: the experts' updates summed with the mean "
            "weights that the router gave them since the last record, or the merged pair where a family "
            "merges its experts' factors.";
        grids.mixtureEntropy =
            unmeasured({"rank/mixture_entropy",
                        "Mixture's entropy rank",
                        "",
                        "exp(-sum p ln p) with p = sigma / sum sigma (Roy & Vetterli 2007)." + averaged,
                        {layer, module}});
        grids.mixtureStable = unmeasured({"rank/mixture_stable",
                                          "Mixture's stable rank",
                                          "",
                                          "||dW||_F^2 / ||dW||_2^2." + averaged,
                                          {layer, module}});
        grids.mixtureNuclear = unmeasured({"rank/mixture_nuclear",
                                           "Mixture's nuclear ratio",
                                           "",
                                           "sum sigma / sigma_max." + averaged,
                                           {layer, module}});
    }
    if (m_cores > 0) {
        auto counted = [](const char* name, std::int64_t count) {
            record::Axis axis{name, "", {}};
            for (std::int64_t i = 1; i <= count; ++i)
                axis.labels.push_back(std::to_string(i));
            return axis;
        };
        const record::Axis cut = counted("cut", m_cores - 1);
        const record::Axis core = counted("core", m_cores);
        const record::Axis leg{"leg", "", {"left bond", "row leg", "column leg", "right bond"}};
        grids.bond =
            unmeasured({"mpo/bond_dimension",
                        "Bond dimension",
                        "",
                        "d_k between core k and k + 1: the smaller of the legs' products on either side.",
                        {layer, module, cut}});
        grids.coreSize = unmeasured(
            {"mpo/core_size", "Core size", "elements", "Elements of core k.", {layer, module, core}});
        grids.coreShape = unmeasured({"mpo/core_shape",
                                      "Core shape",
                                      "",
                                      "[d_{k-1}, r_k, c_k, d_k] of core k.",
                                      {layer, module, core, leg}});
        grids.cutSpectrum =
            unmeasured({"mpo/cut_spectrum",
                        "Singular values at the cut",
                        "",
                        "Largest singular values of the expert matrix, regrouped as legs left of the "
                        "cut by legs right of it.",
                        {layer, module, expert, cut, index}});
        grids.drift = unmeasured({"mpo/core_drift",
                                  "Core drift",
                                  "",
                                  "||core - initial core||_F / ||initial core||_F; 0 for the frozen centre.",
                                  {layer, module, expert, core}});
    }
    return grids;
}

void LiveMeasures::observe(const model::Pass& pass)
{
    const Stopwatch watch;
    m_routing.observe(m_adapter, pass);
    m_seconds += watch.seconds();
}

std::size_t LiveMeasures::updates(std::size_t site) const
{
    const auto experts = static_cast<std::size_t>(m_sites[site].experts);
    return (m_eachExpert[site] ? experts : 0) + (experts > 1 ? 1 : 0);
}

void LiveMeasures::recordSpectrum(std::size_t site, std::int64_t expert, const at::Tensor& values,
                                  Grids& grids) const
{
    const auto& place = m_sites[site];
    const std::size_t weight =
        static_cast<std::size_t>(place.layer) * m_modules.size() + indexOf(m_modules, place.module);
    const RankMeasures ranks = rankMeasures(values);
    if (expert == mixture) {
        grids.mixtureEntropy.values[weight] = static_cast<float>(ranks.entropy);
        grids.mixtureStable.values[weight] = static_cast<float>(ranks.stable);
        grids.mixtureNuclear.values[weight] = static_cast<float>(ranks.nuclear);
        return;
    }
    const std::size_t cell = weight * static_cast<std::size_t>(m_experts) + static_cast<std::size_t>(expert);
    grids.entropy.values[cell] = static_cast<float>(ranks.entropy);
    grids.stable.values[cell] = static_cast<float>(ranks.stable);
    grids.nuclear.values[cell] = static_cast<float>(ranks.nuclear);
    const std::int64_t count = std::min(m_spectrum, values.numel());
    for (std::int64_t i = 0; i < count; ++i)
        grids.spectrum.values[cell * static_cast<std::size_t>(m_spectrum) + static_cast<std::size_t>(i)] =
            static_cast<float>(values.const_data_ptr<double>()[i]);
}

void LiveMeasures::measureLowRank(const std::vector<std::size_t>& chosen,
                                  const RoutingMeasures::MeanWeights& weights, Grids& grids) const
{
    std::vector<adapter::LowRankDelta> deltas;
    std::vector<std::pair<std::size_t, std::int64_t>> owners; // site and expert of each
    auto add = [&](std::size_t site, std::int64_t expert, const adapter::Delta& delta) {
        if (const auto* lowRank = std::get_if<adapter::LowRankDelta>(&delta)) {
            deltas.push_back(*lowRank);
            owners.emplace_back(site, expert);
        } else {
            recordSpectrum(site, expert, singularValues(delta).contiguous(), grids);
        }
    };
    for (const std::size_t site : chosen) {
        const auto& place = m_sites[site];
        for (std::int64_t expert = 0; m_eachExpert[site] && expert < place.experts; ++expert)
            add(site, expert, m_adapter.delta(place.layer, place.module, expert));
        const auto mean = weights.find({place.layer, place.router});
        if (place.experts > 1 && mean != weights.end())
            add(site, mixture, m_adapter.meanDelta(place, mean->second));
    }
    const auto values = singularValues(deltas);
    for (std::size_t i = 0; i < values.size(); ++i)
        recordSpectrum(owners[i].first, owners[i].second, values[i].contiguous(), grids);
}

void LiveMeasures::measureOther(std::size_t site, const RoutingMeasures::MeanWeights& weights,
                                Grids& grids) const
{
    const auto& place = m_sites[site];
    if (const auto mean = weights.find({place.layer, place.router});
        place.experts > 1 && mean != weights.end())
        recordSpectrum(site, mixture, singularValues(m_adapter.meanDelta(place, mean->second)).contiguous(),
                       grids);
    for (std::int64_t expert = 0; expert < place.experts; ++expert) {
        const auto delta = m_adapter.delta(place.layer, place.module, expert);
        recordSpectrum(site, expert, singularValues(delta).contiguous(), grids);
        const auto* mpo = std::get_if<adapter::MpoDelta>(&delta);
        if (!mpo)
            continue;
        const auto cuts = static_cast<std::size_t>(m_cores) - 1;
        const std::size_t weight =
            static_cast<std::size_t>(place.layer) * m_modules.size() + indexOf(m_modules, place.module);
        const std::size_t cell =
            weight * static_cast<std::size_t>(m_experts) + static_cast<std::size_t>(expert);
        const auto spectra = cutSpectra(*mpo);
        for (std::size_t cut = 0; cut < spectra.size(); ++cut) {
            const at::Tensor& values = spectra[cut];
            const std::int64_t count = std::min(spectrumLength, values.numel());
            for (std::int64_t i = 0; i < count; ++i)
                grids.cutSpectrum.values[(cell * cuts + cut) * spectrumLength + static_cast<std::size_t>(i)] =
                    static_cast<float>(values.const_data_ptr<double>()[i]);
        }
        const auto cores = static_cast<std::size_t>(m_cores);
        for (std::size_t core = 0; core < mpo->legs.cores(); ++core)
            grids.drift.values[cell * cores + core] = static_cast<float>(coreDrift(*mpo, core));
    }
}

/// Shapes cost nothing and never change, but a reader who joins late must find them: recorded every time, for
/// all.
void LiveMeasures::recordShapes(Grids& grids) const
{
    for (std::size_t site = 0; site < m_sites.size() && m_cores > 0; ++site) {
        if (m_lowRank[site])
            continue;
        const auto& place = m_sites[site];
        const auto delta = m_adapter.delta(place.layer, place.module, 0);
        const auto* mpo = std::get_if<adapter::MpoDelta>(&delta);
        if (!mpo)
            continue;
        const std::size_t weight =
            static_cast<std::size_t>(place.layer) * m_modules.size() + indexOf(m_modules, place.module);
        const auto cores = static_cast<std::size_t>(m_cores);
        const auto bonds = mpo->legs.bonds();
        for (std::size_t core = 0; core < mpo->legs.cores(); ++core) {
            grids.coreSize.values[weight * cores + core] = static_cast<float>(mpo->legs.coreElements(core));
            const float shape[4] = {static_cast<float>(bonds[core]), static_cast<float>(mpo->legs.rows[core]),
                                    static_cast<float>(mpo->legs.columns[core]),
                                    static_cast<float>(bonds[core + 1])};
            std::copy(std::begin(shape), std::end(shape),
                      grids.coreShape.values.begin() +
                          static_cast<std::ptrdiff_t>((weight * cores + core) * 4));
            if (core + 1 < mpo->legs.cores())
                grids.bond.values[weight * (cores - 1) + core] = static_cast<float>(bonds[core + 1]);
        }
    }
}

/// What costs more than its time shows something all the same, so that nothing is left out in the end; but
/// not at every record, or a dear family would take many times its budget.
bool LiveMeasures::begins(const std::string& turn, bool affordable)
{
    std::size_t& passed = m_passed.try_emplace(turn, longestWait).first->second;
    const bool now = affordable || passed + 1 >= longestWait;
    passed = now ? 0 : passed + 1;
    return now;
}

void LiveMeasures::appendInside(double seconds, std::vector<Measured>& result)
{
    const Stopwatch watch;
    auto measures = m_adapter.inside();
    auto dear = std::ranges::count_if(measures, [](const auto& inside) { return inside.pieces > 0; });
    for (auto& inside : measures) {
        if (inside.pieces > 0) {
            // Its share of what is left; the next record goes on where this one stops.
            const double until = watch.seconds() + (seconds - watch.seconds()) / static_cast<double>(dear--);
            std::size_t& next = m_turns[inside.name];
            next %= inside.pieces; // a routed family may come with fewer than last time
            double pieceSeconds = 0;
            const std::size_t pieces = begins(inside.name, watch.seconds() < until) ? inside.pieces : 0;
            for (std::size_t done = 0; done < pieces && (done == 0 || watch.seconds() + pieceSeconds < until);
                 ++done) {
                const Stopwatch one;
                inside.measure(next);
                next = (next + 1) % inside.pieces;
                pieceSeconds = one.seconds();
            }
        }
        record::MeasureInfo info{inside.name, inside.title, inside.unit, inside.definition, {}};
        for (const auto& [name, labels] : inside.axes)
            info.axes.push_back({name, "", labels});
        result.push_back({std::move(info), std::move(inside.values)});
    }
}

std::vector<Measured> LiveMeasures::measure(double trainingSeconds)
{
    const at::NoGradGuard guard;
    const Stopwatch watch;
    const RoutingMeasures::MeanWeights weights = m_routing.meanWeights();
    std::vector<Measured> result = m_routing.take();
    Grids grids = makeGrids();
    recordShapes(grids);
    m_lastMeasured = 0;
    // Half of it for the family's own measures, the rest for the weights.
    appendInside((m_budget * trainingSeconds - m_seconds) / 2, result);
    const double left = m_budget * trainingSeconds - m_seconds;
    std::size_t& next = m_turns[siteTurn];
    next = m_sites.empty() ? 0 : next % m_sites.size();
    const bool some = begins(siteTurn, watch.seconds() < left);
    while (some && m_lastMeasured < m_sites.size() &&
           (m_lastMeasured == 0 ||
            watch.seconds() + m_updateSeconds * static_cast<double>(updates(next)) < left)) {
        const Stopwatch piece;
        // As many low-rank updates together as there is time for; one weight's while their cost is not known.
        const double affordable = m_updateSeconds > 0 ? (left - watch.seconds()) / m_updateSeconds : 0;
        const bool lowRank = m_lowRank[next];
        std::vector<std::size_t> chosen;
        std::size_t queued = 0;
        do {
            chosen.push_back(next);
            queued += updates(next);
            next = (next + 1) % m_sites.size();
            ++m_lastMeasured;
        } while (lowRank && m_lowRank[next] && m_lastMeasured < m_sites.size() && queued < batch &&
                 static_cast<double>(queued + updates(next)) <= affordable);
        if (lowRank)
            measureLowRank(chosen, weights, grids);
        else
            measureOther(chosen.front(), weights, grids);
        m_updateSeconds = piece.seconds() / static_cast<double>(std::max<std::size_t>(queued, 1));
    }
    for (Measured* measured : {&grids.entropy, &grids.stable, &grids.nuclear, &grids.mixtureEntropy,
                               &grids.mixtureStable, &grids.mixtureNuclear, &grids.spectrum, &grids.bond,
                               &grids.coreSize, &grids.coreShape, &grids.cutSpectrum, &grids.drift}) {
        if (!measured->info.name.empty() && !m_sites.empty())
            result.push_back(std::move(*measured));
    }
    m_seconds += watch.seconds();
    result.push_back(
        {{"analysis/time_share",
          "Time of the analysis",
          "",
          "Time spent on measures of the adapter's inside, as a share of the training time so far.",
          {}},
         {static_cast<float>(trainingSeconds > 0 ? m_seconds / trainingSeconds : 0)}});
    return result;
}

} // namespace rankscope::analysis

// SPDX-License-Identifier: Apache-2.0
// What is measured while training, and that a budget turns it into a rotation that leaves nothing out.
#include "core/analysis/live_measures.h"
#include "core/analysis/rank_measures.h"
#include "tests/unit/analysis/given_adapter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/zeros.h>
#include <cmath>
#include <gtest/gtest.h>

namespace rankscope::analysis
{
namespace
{

/// scale * identity: every rank measure is n.
adapter::Delta identity(std::int64_t n)
{
    return adapter::DenseDelta{at::eye(n, at::TensorOptions(at::kDouble))};
}

std::vector<std::size_t> measuredCells(const std::vector<Measured>& all, const std::string& name)
{
    std::vector<std::size_t> cells;
    const auto& values = find(all, name)->values;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!std::isnan(values[i]))
            cells.push_back(i);
    }
    return cells;
}

/// Lets the calls go by in which a measure that has spent its time shows nothing.
void passBy(LiveMeasures& live)
{
    for (int call = 0; call < 7; ++call) {
        const auto all = live.measure(100);
        EXPECT_EQ(live.lastMeasured(), 0U);
        EXPECT_TRUE(measuredCells(all, "rank/entropy").empty());
    }
}

TEST(LiveMeasures, WithoutABudgetRotateThroughAllWeights)
{
    GivenAdapter adapter;
    for (std::int64_t layer = 0; layer < 3; ++layer) {
        adapter.add(layer, "up_proj", {identity(2 + layer)});
        adapter.add(layer, "down_proj", {identity(6 + layer)});
    }
    LiveMeasures live(adapter, 3, {}, 0);
    EXPECT_EQ(live.sites(), 6U);
    for (std::size_t round = 0; round < 2; ++round) {
        for (std::size_t site = 0; site < 6; ++site) {
            const auto all = live.measure(100);
            EXPECT_EQ(live.lastMeasured(), 1U);
            ASSERT_EQ(measuredCells(all, "rank/entropy"), std::vector<std::size_t>{site})
                << "in turn, and only that";
            const auto layer = static_cast<float>(site / 2);
            EXPECT_NEAR(find(all, "rank/stable")->values[site], (site % 2 == 0 ? 2 : 6) + layer, 1e-5);
            passBy(live);
        }
    }
}

/// Where the time is spent, one weight in eight records is all there is.
TEST(LiveMeasures, BeyondTheirBudgetTheyRest)
{
    GivenAdapter adapter;
    for (std::int64_t layer = 0; layer < 4; ++layer)
        adapter.add(layer, "up_proj", {identity(3)});
    LiveMeasures live(adapter, 4, {}, 0.5);
    std::size_t measured = 0;
    for (int call = 0; call < 24; ++call) {
        (void)live.measure(1e-12); // no training time to speak of
        measured += live.lastMeasured();
    }
    EXPECT_EQ(measured, 3U);
    // Within it again, it goes on at once.
    (void)live.measure(1e9);
    EXPECT_EQ(live.lastMeasured(), 4U);
    // And rests again for as long.
    measured = 0;
    for (int call = 0; call < 7; ++call) {
        (void)live.measure(1e-12);
        measured += live.lastMeasured();
    }
    EXPECT_EQ(measured, 0U);
    (void)live.measure(1e-12);
    EXPECT_EQ(live.lastMeasured(), 1U);
}

TEST(LiveMeasures, GoOnWithWhoseTurnItIs)
{
    GivenAdapter adapter;
    for (std::int64_t layer = 0; layer < 3; ++layer)
        adapter.add(layer, "up_proj", {identity(2 + layer)});
    LiveMeasures first(adapter, 3, {}, 0);
    (void)first.measure(100);
    passBy(first);
    (void)first.measure(100);
    LiveMeasures resumed(adapter, 3, {}, 0);
    resumed.setTurns(first.turns());
    EXPECT_EQ(measuredCells(resumed.measure(100), "rank/entropy"), std::vector<std::size_t>{2});
    LiveMeasures other(adapter, 3, {}, 0);
    other.setTurns({{"weights", 3 * 1000 + 1}}); // of a checkpoint that somebody has edited
    EXPECT_EQ(measuredCells(other.measure(100), "rank/entropy"), std::vector<std::size_t>{1});
}

TEST(LiveMeasures, WithinTheirBudgetMeasureEverything)
{
    GivenAdapter adapter;
    adapter.add(0, "up_proj", {identity(3), identity(4)});
    adapter.add(1, "up_proj", {identity(5), identity(6)});
    adapter.add(1, "q_proj", {adapter::LowRankDelta{normal({5, 2}, 1), normal({2, 4}, 2), {}, 1}});
    LiveMeasures live(adapter, 2, {}, 1);
    const auto all = live.measure(1e9);
    EXPECT_EQ(live.lastMeasured(), 3U);
    const Measured& entropy = *find(all, "rank/entropy");
    ASSERT_EQ(entropy.info.axes.size(), 3U);
    EXPECT_EQ(entropy.info.axes[1].labels, (std::vector<std::string>{"up_proj", "q_proj"}));
    EXPECT_EQ(entropy.info.axes[2].labels.size(), 2U) << "as many experts as the largest";
    // layer 0 up (2), layer 0 q (none), layer 1 up (2), layer 1 q (1)
    EXPECT_EQ(measuredCells(all, "rank/entropy"), (std::vector<std::size_t>{0, 1, 4, 5, 6}));
    EXPECT_NEAR(entropy.values[0], 3, 1e-5);
    EXPECT_NEAR(entropy.values[1], 4, 1e-5);
    EXPECT_NEAR(entropy.values[5], 6, 1e-5);
    // The spectrum of the last one: two values, then nothing.
    const Measured& spectrum = *find(all, "spectrum/singular_values");
    const std::size_t length = spectrum.info.axes[3].labels.size();
    EXPECT_GE(spectrum.values[6 * length], spectrum.values[6 * length + 1]);
    EXPECT_TRUE(std::isnan(spectrum.values[6 * length + 2]));
    EXPECT_EQ(find(all, "mpo/bond_dimension"), nullptr) << "no operator here";
    const Measured& share = *find(all, "analysis/time_share");
    ASSERT_EQ(share.values.size(), 1U);
    EXPECT_FLOAT_EQ(share.values[0], static_cast<float>(live.seconds() / 1e9));
}

TEST(LiveMeasures, RowsBroughtToALengthHaveTheRankOfTheWeight)
{
    // The pair has rank 2; what the row lengths add to it has as many ranks as the weight.
    GivenAdapter adapter;
    adapter.add(0, "q_proj",
                {adapter::MagnitudeDelta{
                    {normal({6, 2}, 1), normal({2, 5}, 2), {}, 1}, normal({6}, 3).abs(), normal({6, 5}, 4)}});
    LiveMeasures live(adapter, 1, {}, 1);
    const auto all = live.measure(1e9);
    const Measured& spectrum = *find(all, "spectrum/singular_values");
    EXPECT_EQ(spectrum.info.axes[3].labels.size(), 5U);
    EXPECT_GT(spectrum.values.back(), 0);
}

TEST(LiveMeasures, LowRankUpdatesThatGoTogetherKeepTheirPlaces)
{
    // More than one batch; the ranks repeat with a period that no batch has.
    auto rankOf = [](std::int64_t layer) { return 1 + layer % 3; };
    GivenAdapter adapter;
    for (std::int64_t layer = 0; layer < 40; ++layer)
        adapter.add(layer, "q_proj",
                    {adapter::LowRankDelta{at::eye(5, rankOf(layer)), 2 * at::eye(rankOf(layer), 4), {}, 1}});
    LiveMeasures live(adapter, 40, {}, 1);
    const auto all = live.measure(1e9);
    EXPECT_EQ(live.lastMeasured(), 40U);
    for (std::int64_t layer = 0; layer < 40; ++layer)
        EXPECT_NEAR(find(all, "rank/stable")->values[static_cast<std::size_t>(layer)], rankOf(layer), 1e-5)
            << "layer " << layer;
}

/// A pass of `tokens` tokens in one row without a task.
model::Pass passOf(std::int64_t tokens)
{
    return model::makePass({std::vector<std::int32_t>(static_cast<std::size_t>(tokens), 1)}, true);
}

adapter::LowRankDelta pair(std::int64_t rank, std::uint64_t seed, double scale = 1)
{
    return {normal({6, rank}, seed), normal({rank, 5}, seed + 1), {}, scale};
}

/// The measures of sum_j weights[j] experts[j], from the dense matrix's own decomposition.
RankMeasures ofMixture(const std::vector<adapter::Delta>& experts, const at::Tensor& weights)
{
    at::Tensor total = at::zeros({6, 5}, at::TensorOptions(at::kDouble));
    for (std::size_t j = 0; j < experts.size(); ++j)
        total += weights[static_cast<std::int64_t>(j)] * adapter::denseDelta(experts[j]);
    return rankMeasures(at::linalg_svdvals(total));
}

TEST(LiveMeasures, MixturesAreTheUpdateWithTheRoutersMeanWeights)
{
    const std::vector<adapter::Delta> low{pair(2, 1), pair(2, 3, 0.5), pair(2, 5)};
    const std::vector<adapter::Delta> dense{
        adapter::DenseDelta{normal({6, 5}, 7)},
        adapter::MagnitudeDelta{pair(2, 8), normal({6}, 9).abs(), normal({6, 5}, 10)},
        adapter::DenseDelta{normal({6, 5}, 9)}};
    GivenAdapter adapter;
    adapter.add(0, "up_proj", low, "mlp");
    adapter.add(0, "down_proj", dense, "mlp");
    adapter.add(0, "q_proj", {pair(3, 11)});
    adapter.add(1, "up_proj", low, "mlp");
    LiveMeasures live(adapter, 2, {}, 1);
    at::Tensor sum = at::zeros({3}, at::TensorOptions(at::kDouble));
    for (std::uint64_t pass = 0; pass < 2; ++pass) {
        const std::int64_t tokens = pass == 0 ? 4 : 9;
        const adapter::Routing routing = adapter::routeTopK(normal({tokens, 3}, 20 + pass), 2);
        adapter.traces = {{0, "mlp", routing}};
        live.observe(passOf(tokens));
        sum += routing.dense().sum(0);
    }
    const auto all = live.measure(1e9);
    const Measured& entropy = *find(all, "rank/mixture_entropy");
    ASSERT_EQ(entropy.info.axes.size(), 2U);
    EXPECT_EQ(entropy.info.axes[1].name, "module");
    EXPECT_EQ(measuredCells(all, "rank/mixture_entropy"), (std::vector<std::size_t>{0, 1}))
        << "not one adapter alone, not what no token has met";
    for (std::size_t cell = 0; cell < 2; ++cell) {
        const RankMeasures expected = ofMixture(cell == 0 ? low : dense, sum / 13);
        EXPECT_NEAR(entropy.values[cell], expected.entropy, 1e-5);
        EXPECT_NEAR(find(all, "rank/mixture_stable")->values[cell], expected.stable, 1e-5);
        EXPECT_NEAR(find(all, "rank/mixture_nuclear")->values[cell], expected.nuclear, 1e-5);
    }
    // Weights are those since the last record.
    EXPECT_TRUE(measuredCells(live.measure(1e9), "rank/mixture_entropy").empty());
    adapter.traces = {{0, "mlp", adapter::routeSoft(normal({5, 3}, 40))}};
    live.observe(passOf(5));
    EXPECT_NEAR(find(live.measure(1e9), "rank/mixture_stable")->values[0],
                ofMixture(low, adapter.traces[0].routing.weights.mean(0)).stable, 1e-5);
}

TEST(LiveMeasures, RanksThatAreExpertsAreMeasuredAsAMixtureAlone)
{
    GivenAdapter adapter;
    std::vector<adapter::Delta> ranks;
    for (std::uint64_t j = 0; j < 4; ++j)
        ranks.emplace_back(pair(1, 2 * j));
    adapter.add(0, "up_proj", ranks);
    LiveMeasures live(adapter, 1, {}, 1);
    adapter.traces = {{0, "up_proj", adapter::routeSoft(at::zeros({3, 4}, at::TensorOptions(at::kDouble)))}};
    live.observe(passOf(3));
    const auto all = live.measure(1e9);
    EXPECT_EQ(find(all, "rank/entropy"), nullptr) << "each is 1 by definition";
    EXPECT_EQ(find(all, "spectrum/singular_values"), nullptr);
    EXPECT_NEAR(find(all, "rank/mixture_entropy")->values[0],
                ofMixture(ranks, adapter.traces[0].routing.weights.mean(0)).entropy, 1e-5);
}

TEST(LiveMeasures, SpectraAreAsLongAsTheLargestRank)
{
    auto length = [](const std::vector<adapter::Delta>& experts) {
        GivenAdapter adapter;
        adapter.add(0, "q_proj", {pair(1, 1)});
        adapter.add(0, "up_proj", experts);
        LiveMeasures live(adapter, 1, {}, 1);
        return find(live.measure(1e9), "spectrum/singular_values")->info.axes[3].labels.size();
    };
    EXPECT_EQ(length({pair(3, 1), pair(3, 3)}), 3U);
    EXPECT_EQ(length({pair(9, 1)}), 5U) << "the matrix has no more";
    EXPECT_EQ(length({identity(40)}), 32U);
    EXPECT_EQ(length({pair(1, 1), pair(1, 3)}), 1U);
}

TEST(LiveMeasures, OfOperatorsShowShapesSpectraAndDrift)
{
    const adapter::MpoLegs legs{{2, 3, 2}, {3, 2, 2}};
    const at::Tensor weight = normal({12, 12}, 1);
    const auto cores = adapter::sideCores(weight, legs, false);
    auto moved = cores;
    moved[2] = cores[2] * 1.5;
    GivenAdapter adapter;
    adapter.add(0, "up_proj",
                {adapter::MpoDelta{legs, cores, cores, weight, false, 0.5},
                 adapter::MpoDelta{legs, moved, cores, weight, false, 0.5}});
    adapter.add(1, "up_proj",
                {adapter::MpoDelta{legs, cores, cores, weight, false, 0.5},
                 adapter::MpoDelta{legs, cores, cores, weight, false, 0.5}});
    LiveMeasures live(adapter, 2, {}, 0);
    const auto all = live.measure(1);
    EXPECT_EQ(live.lastMeasured(), 1U);
    // Shapes of every weight, whether its turn has come or not.
    EXPECT_EQ(find(all, "mpo/bond_dimension")->values, (std::vector<float>{6, 4, 6, 4}));
    EXPECT_EQ(find(all, "mpo/core_size")->values, (std::vector<float>{36, 144, 16, 36, 144, 16}));
    const auto& shape = find(all, "mpo/core_shape")->values;
    EXPECT_EQ(std::vector<float>(shape.begin(), shape.begin() + 12),
              (std::vector<float>{1, 2, 3, 6, 6, 3, 2, 4, 4, 2, 2, 1}));
    const auto& drift = find(all, "mpo/core_drift")->values; // [layer, module, expert, core]
    EXPECT_FLOAT_EQ(drift[0], 0);
    EXPECT_FLOAT_EQ(drift[5], 0.5);
    EXPECT_TRUE(std::isnan(drift[6])) << "not its turn";
    const Measured& cuts = *find(all, "mpo/cut_spectrum");
    const std::size_t length = cuts.info.axes[4].labels.size();
    double square = 0;
    for (std::size_t i = 0; i < 6; ++i)
        square += std::pow(cuts.values[i], 2);
    EXPECT_NEAR(square, weight.pow(2).sum().item<double>(), 1e-3) << "a spectrum keeps the norm";
    EXPECT_TRUE(std::isnan(cuts.values[6])) << "one value for each bond index";
    EXPECT_FALSE(std::isnan(cuts.values[length + 3]));
}

TEST(LiveMeasures, AFamilysOwnMeasuresComeAlong)
{
    class WithInside : public GivenAdapter
    {
    public:
        [[nodiscard]] std::vector<adapter::InsideMeasure> inside() const override
        {
            return {{"gates/scores", "Scores", "", "d", {{"group", {"a", "b"}}}, {1, 2}}};
        }
    } adapter;
    LiveMeasures live(adapter, 1, {}, 0);
    const auto all = live.measure(1);
    const Measured* scores = find(all, "gates/scores");
    ASSERT_NE(scores, nullptr);
    EXPECT_EQ(scores->values, (std::vector<float>{1, 2}));
    EXPECT_EQ(scores->info.axes[0].name, "group");
    EXPECT_EQ(find(all, "rank/entropy"), nullptr) << "there is nothing to measure";
}

TEST(LiveMeasures, AFamilysDearMeasuresComeInTurns)
{
    class WithPieces : public GivenAdapter
    {
    public:
        [[nodiscard]] std::vector<adapter::InsideMeasure> inside() const override
        {
            const float none = std::numeric_limits<float>::quiet_NaN();
            adapter::InsideMeasure measure{
                "spectra", "Spectra", "", "d", {{"core", {"a", "b", "c"}}, {"index", {"0", "1"}}}, {}};
            measure.values.assign(6, none);
            measure.pieces = 3;
            measure.piece = [](std::size_t i) {
                return std::vector<float>{static_cast<float>(i), 10 + static_cast<float>(i)};
            };
            return {measure};
        }
    } adapter;
    LiveMeasures poor(adapter, 1, {}, 0);
    for (const std::size_t turn : {0, 1, 2, 0}) {
        const auto all = poor.measure(100);
        const auto& values = find(all, "spectra")->values;
        for (std::size_t core = 0; core < 3; ++core) {
            EXPECT_EQ(std::isfinite(values[2 * core]), core == turn);
            EXPECT_EQ(std::isfinite(values[2 * core + 1]), core == turn);
        }
        EXPECT_EQ(values[2 * turn + 1], 10 + static_cast<float>(turn));
        for (int call = 0; call < 7; ++call) {
            const auto rested = poor.measure(100);
            for (const float value : find(rested, "spectra")->values)
                EXPECT_TRUE(std::isnan(value)) << "its time is spent";
        }
    }
    LiveMeasures rich(adapter, 1, {}, 1);
    const auto all = rich.measure(1e9);
    EXPECT_EQ(find(all, "spectra")->values, (std::vector<float>{0, 10, 1, 11, 2, 12}));
}

} // namespace
} // namespace rankscope::analysis

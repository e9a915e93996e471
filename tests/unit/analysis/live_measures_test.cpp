// SPDX-License-Identifier: Apache-2.0
// What is measured while training, and that a budget turns it into a rotation that leaves nothing out.
#include "core/analysis/live_measures.h"
#include "tests/unit/analysis/given_adapter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
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
        }
    }
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

TEST(LiveMeasures, LowRankUpdatesGoTogether)
{
    // Cheap enough that one batch costs less than a look at the clock between them: all are seen within two
    // calls.
    GivenAdapter adapter;
    for (std::int64_t layer = 0; layer < 40; ++layer)
        adapter.add(layer, "q_proj", {adapter::LowRankDelta{normal({5, 1}, 1), normal({1, 4}, 2), {}, 1}});
    LiveMeasures live(adapter, 40, {}, 0);
    std::vector<bool> seen(40, false);
    for (int call = 0; call < 2; ++call) {
        for (const std::size_t cell : measuredCells(live.measure(100), "rank/entropy"))
            seen[cell] = true;
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), true), 40);
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

} // namespace
} // namespace rankscope::analysis

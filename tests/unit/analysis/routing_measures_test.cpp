// SPDX-License-Identifier: Apache-2.0
// Routing measures from traces written by hand.
#include "core/analysis/routing_measures.h"
#include "tests/unit/analysis/given_adapter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <cmath>
#include <gtest/gtest.h>

namespace rankscope::analysis
{
namespace
{

/// Top-1 routing of these tokens among `experts`.
adapter::Routing chosen(const std::vector<std::int64_t>& expertOfToken, std::int64_t experts)
{
    const auto tokens = static_cast<std::int64_t>(expertOfToken.size());
    const auto options = at::TensorOptions(at::kDouble);
    return {at::full({tokens, experts}, 1.0 / static_cast<double>(experts), options),
            at::tensor(expertOfToken, at::kLong).view({tokens, 1}),
            {},
            at::full({tokens, 1}, 1.0, options)};
}

model::Pass passOf(const std::vector<std::size_t>& lengths, const std::vector<std::int64_t>& tasks)
{
    std::vector<std::vector<std::int32_t>> rows;
    for (const auto length : lengths)
        rows.emplace_back(length, 1);
    auto pass = model::makePass(rows, true);
    pass.tasks = tasks;
    return pass;
}

class Routing : public testing::Test
{
protected:
    void observe(const std::vector<adapter::RoutingTrace>& traces, const model::Pass& pass)
    {
        m_adapter.traces = traces;
        m_measures.observe(m_adapter, pass);
    }
    /// Value of a measure taken by take(), at these indices of its axes.
    [[nodiscard]] double at(const std::string& name, const std::vector<std::size_t>& index) const
    {
        const Measured* measured = find(m_taken, name);
        EXPECT_NE(measured, nullptr) << name;
        std::size_t flat = 0;
        EXPECT_EQ(index.size(), measured->info.axes.size());
        for (std::size_t i = 0; i < index.size(); ++i)
            flat = flat * measured->info.axes[i].labels.size() + index[i];
        return measured->values.at(flat);
    }

    GivenAdapter m_adapter;
    RoutingMeasures m_measures{2, {"sums", "dates", "absent"}};
    std::vector<Measured> m_taken;
};

TEST_F(Routing, LoadIsAShareOfEachTasksOwnChoices)
{
    // Layer 1: sums has four tokens on experts 0 0 0 2, dates two on 1 2.
    observe({{1, "mlp", chosen({0, 0, 0, 2, 1, 2}, 3)}}, passOf({4, 2}, {0, 1}));
    m_taken = m_measures.take();
    EXPECT_FLOAT_EQ(at("routing/load", {1, 0, 0, 0}), 0.75);
    EXPECT_FLOAT_EQ(at("routing/load", {1, 0, 1, 0}), 0);
    EXPECT_FLOAT_EQ(at("routing/load", {1, 0, 2, 0}), 0.25);
    EXPECT_FLOAT_EQ(at("routing/load", {1, 0, 1, 1}), 0.5);
    EXPECT_FLOAT_EQ(at("routing/load", {1, 0, 2, 1}), 0.5);
    for (std::size_t expert = 0; expert < 3; ++expert) {
        EXPECT_TRUE(std::isnan(at("routing/load", {1, 0, expert, 2}))) << "no token of that task";
        EXPECT_TRUE(std::isnan(at("routing/load", {0, 0, expert, 0}))) << "no router ran in that layer";
    }
    // Loads 3, 1, 2 of 6: the largest is 1/2, the mean 1/3.
    EXPECT_FLOAT_EQ(at("routing/maxvio", {1, 0}), 0.5);
    EXPECT_FLOAT_EQ(at("routing/maxvio_difference", {1, 0}), 1.0F / 6);
    EXPECT_FLOAT_EQ(at("routing/entropy", {1, 0}), 0) << "one expert with all the weight";
    // By task: 3/4 and 1/2 at most, the mean 1/3.
    EXPECT_FLOAT_EQ(at("routing/task_max_violation", {1, 0, 0}), 1.25);
    EXPECT_FLOAT_EQ(at("routing/task_max_violation", {1, 0, 1}), 0.5);
    EXPECT_FLOAT_EQ(at("routing/task_entropy", {1, 0, 0}), 0);
    for (const char* name : {"routing/task_entropy", "routing/task_max_violation"}) {
        const auto& axes = find(m_taken, name)->info.axes;
        ASSERT_EQ(axes.size(), 3U);
        EXPECT_EQ(axes[2].labels, (std::vector<std::string>{"sums", "dates", "absent"}));
        EXPECT_TRUE(std::isnan(at(name, {1, 0, 2}))) << "no token of that task";
        EXPECT_TRUE(std::isnan(at(name, {0, 0, 0}))) << "no router ran in that layer";
    }
}

TEST_F(Routing, TasksHaveAnEntropyAndABalanceOfTheirOwn)
{
    // Two passes: sums is sure (of expert 0, then of 1), dates is not, and one row is of no task.
    const at::Tensor first =
        at::tensor(std::vector<double>{1, 0, 0, 0.5, 0.25, 0.25, 0.2, 0.3, 0.5}, at::kDouble).view({3, 3});
    const at::Tensor second =
        at::tensor(std::vector<double>{0, 1, 0, 0.1, 0.1, 0.8}, at::kDouble).view({2, 3});
    observe({{0, "mlp", {first, {}, {}, first}}}, passOf({1, 1, 1}, {0, 1, -1}));
    observe({{0, "mlp", {second, {}, {}, second}}}, passOf({1, 1}, {0, 1}));
    m_taken = m_measures.take();
    const auto entropy = [](const std::vector<double>& weights) {
        double sum = 0;
        for (const double weight : weights)
            sum -= weight * std::log(weight);
        return sum;
    };
    const double half = entropy({0.5, 0.25, 0.25});
    const double sure = entropy({0.1, 0.1, 0.8});
    EXPECT_NEAR(at("routing/task_entropy", {0, 0, 0}), 0, 1e-6);
    EXPECT_NEAR(at("routing/task_entropy", {0, 0, 1}), (half + sure) / 2, 1e-6);
    EXPECT_NEAR(at("routing/entropy", {0, 0}), (half + sure + entropy({0.2, 0.3, 0.5})) / 5, 1e-6)
        << "the row without a task counts towards the whole";
    // sums: 1/2, 1/2, 0; dates: 0.3, 0.175, 0.525.
    EXPECT_NEAR(at("routing/task_max_violation", {0, 0, 0}), 0.5, 1e-6);
    EXPECT_NEAR(at("routing/task_max_violation", {0, 0, 1}), (0.525 - 1.0 / 3) * 3, 1e-6);
    EXPECT_TRUE(std::isnan(at("routing/task_entropy", {0, 0, 2})));
    observe({{0, "mlp", {first, {}, {}, first}}}, passOf({1, 1, 1}, {0, 1, -1}));
    m_taken = m_measures.take();
    EXPECT_NEAR(at("routing/task_entropy", {0, 0, 1}), half, 1e-6) << "since the last record";
}

TEST_F(Routing, SumsOverThePassesSinceTheLastRecord)
{
    observe({{0, "mlp", chosen({0, 0}, 2)}}, passOf({2}, {0}));
    observe({{0, "mlp", chosen({1, 1}, 2)}}, passOf({2}, {0}));
    m_taken = m_measures.take();
    EXPECT_FLOAT_EQ(at("routing/load", {0, 0, 0, 0}), 0.5);
    EXPECT_FLOAT_EQ(at("routing/maxvio", {0, 0}), 0) << "balanced together";
    EXPECT_TRUE(m_measures.take().empty()) << "nothing has been routed since";
    observe({{0, "mlp", chosen({1, 1}, 2)}}, passOf({2}, {0}));
    m_taken = m_measures.take();
    EXPECT_FLOAT_EQ(at("routing/load", {0, 0, 1, 0}), 1);
    EXPECT_FLOAT_EQ(at("routing/maxvio", {0, 0}), 1);
}

TEST_F(Routing, EntropyOfEqualWeightsIsLnN)
{
    const auto options = at::TensorOptions(at::kDouble);
    const at::Tensor uniform = at::full({3, 4}, 0.25, options);
    observe({{0, "mlp", {uniform, {}, {}, uniform}}}, passOf({3}, {1}));
    m_taken = m_measures.take();
    EXPECT_FLOAT_EQ(at("routing/entropy", {0, 0}), std::log(4.0F));
    EXPECT_FLOAT_EQ(at("routing/load", {0, 0, 3, 1}), 0.25);
    EXPECT_FLOAT_EQ(at("routing/maxvio", {0, 0}), 0);
}

TEST_F(Routing, VaryingNumbersOfExpertsCountEachThatIsKept)
{
    // Token 0 keeps experts 0 and 1 with 3/4 and 1/4, token 1 expert 0 alone.
    const at::Tensor weights = at::tensor(std::vector<double>{0.75, 0.25, 1, 0}, at::kDouble).view({2, 2});
    observe({{0, "mlp", {weights, {}, weights > 0, weights}}}, passOf({2}, {0}));
    m_taken = m_measures.take();
    EXPECT_FLOAT_EQ(at("routing/load", {0, 0, 0, 0}), 2.0F / 3);
    EXPECT_FLOAT_EQ(at("routing/load", {0, 0, 1, 0}), 1.0F / 3);
    const double one = -(0.75 * std::log(0.75) + 0.25 * std::log(0.25));
    EXPECT_FLOAT_EQ(at("routing/entropy", {0, 0}), static_cast<float>(one / 2));
}

TEST_F(Routing, RoutersOfOneLayerAreKeptApart)
{
    observe({{0, "q_proj", chosen({0}, 2)}, {0, "v_proj", chosen({1}, 2)}}, passOf({1}, {0}));
    m_taken = m_measures.take();
    EXPECT_FLOAT_EQ(at("routing/load", {0, 0, 0, 0}), 1);
    EXPECT_FLOAT_EQ(at("routing/load", {0, 1, 0, 0}), 0);
    EXPECT_EQ(find(m_taken, "routing/load")->info.axes[1].labels,
              (std::vector<std::string>{"q_proj", "v_proj"}));
}

TEST_F(Routing, RowsWithoutATaskCountTowardsTheWhole)
{
    observe({{0, "mlp", chosen({0, 1, 1, 1}, 2)}}, passOf({1, 3}, {0, -1}));
    m_taken = m_measures.take();
    EXPECT_FLOAT_EQ(at("routing/load", {0, 0, 0, 0}), 1);
    EXPECT_FLOAT_EQ(at("routing/load", {0, 0, 1, 0}), 0);
    EXPECT_FLOAT_EQ(at("routing/maxvio", {0, 0}), 0.5) << "three of four choices went to expert 1";
}

TEST_F(Routing, IsEmptyWhereNothingRoutes)
{
    observe({}, passOf({3}, {0}));
    EXPECT_TRUE(m_measures.take().empty());
}

} // namespace
} // namespace rankscope::analysis

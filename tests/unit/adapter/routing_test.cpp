// SPDX-License-Identifier: Apache-2.0
// Routers and balance losses on examples worked out by hand.
#include "core/adapter/routing.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

namespace rankscope::adapter
{
namespace
{

at::Tensor row(std::vector<double> values)
{
    return at::tensor(values, at::kDouble).unsqueeze(0);
}

std::vector<double> list(const at::Tensor& t)
{
    const at::Tensor flat = t.to(at::kDouble).contiguous();
    return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

void near(const at::Tensor& actual, const std::vector<double>& expected)
{
    const auto values = list(actual);
    ASSERT_EQ(values.size(), expected.size());
    for (std::size_t i = 0; i < values.size(); ++i)
        EXPECT_NEAR(values[i], expected[i], 1e-12) << i;
}

/// Logits whose softmax is these probabilities.
at::Tensor logs(const std::vector<double>& probabilities)
{
    return row(probabilities).log();
}

TEST(Routers, SoftGivesTheSoftmax)
{
    const Routing routing = routeSoft(logs({0.5, 0.3, 0.2}));
    near(routing.dense(), {0.5, 0.3, 0.2});
    near(routing.load(), {1, 1, 1});
}

TEST(Routers, TopKKeepsTheLargestAndRenormalises)
{
    const Routing routing = routeTopK(logs({0.1, 0.5, 0.1, 0.3}), 2);
    near(routing.choice, {1, 3});
    near(routing.weights, {0.5 / 0.8, 0.3 / 0.8});
    near(routing.dense(), {0, 0.625, 0, 0.375});
    near(routing.probabilities, {0.1, 0.5, 0.1, 0.3});
    near(routing.load(), {0, 1, 0, 1});
}

TEST(Routers, TopKWithoutRenormalisingKeepsTheProbabilities)
{
    near(routeTopK(logs({0.1, 0.5, 0.1, 0.3}), 2, false).dense(), {0, 0.5, 0, 0.3});
}

TEST(Routers, TiesGoToTheLowerIndex)
{
    near(routeTopK(at::zeros({1, 5}, at::TensorOptions(at::kDouble)), 3).choice, {0, 1, 2});
    near(routeTopK(row({1, 2, 2, 1, 2}), 2).choice, {1, 2});
    near(routeTopKSoftmaxBias(row({0, 0, 0}), row({0, 1, 1}), 2).choice, {1, 2});
    near(routeSigmoidTopK(row({3, 3, 3}), at::zeros({3}, at::TensorOptions(at::kDouble)), 1).choice, {0});
    near(routeTopP(at::zeros({1, 4}, at::TensorOptions(at::kDouble)), 0.5).dense(), {0.5, 0.5, 0, 0});
}

TEST(Routers, TiesGoToTheLowerIndexAmongManyToo)
{
    // 40 to choose from, by an order of pairs that has no ties: larger first, then lower index.
    for (const std::int64_t alike : {1, 2, 5, 40}) {
        std::vector<double> values;
        for (std::int64_t j = 0; j < 40; ++j)
            values.push_back(static_cast<double>((j * 17) % 40 / alike));
        std::vector<std::int64_t> order(40);
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
            return std::pair(-values[static_cast<std::size_t>(a)], a) <
                   std::pair(-values[static_cast<std::size_t>(b)], b);
        });
        const at::Tensor all = at::tensor(values, at::TensorOptions(at::kDouble)).unsqueeze(0);
        for (const std::int64_t k : {1, 8, 39, 40}) {
            const at::Tensor expected = at::tensor(order, at::TensorOptions(at::kLong)).narrow(0, 0, k);
            EXPECT_TRUE(stableTopK(all, k)[0].equal(expected)) << alike << ' ' << k;
        }
    }
}

TEST(Routers, TopPTakesTheFewestThatReachTheShare)
{
    near(routeTopP(logs({0.2, 0.5, 0.25, 0.05}), 0.7).dense(), {0, 0.5 / 0.75, 0.25 / 0.75, 0});
    near(routeTopP(logs({0.2, 0.5, 0.25, 0.05}), 0.76).dense(), {0.2 / 0.95, 0.5 / 0.95, 0.25 / 0.95, 0});
    near(routeTopP(logs({0.2, 0.8}), 0.01).dense(), {0, 1});
    near(routeTopP(logs({0.2, 0.8}), 1).dense(), {0.2, 0.8});
}

TEST(Routers, ABiasSelectsAndWeighs)
{
    // z + b = {1, 2, 0}: the two largest, softmax over them.
    const Routing routing = routeTopKSoftmaxBias(row({1, 0, 0}), row({0, 2, 0}), 2);
    const double e = std::exp(1.0);
    near(routing.choice, {1, 0});
    near(routing.dense(), {1 / (1 + e), e / (1 + e), 0});
}

TEST(Routers, SigmoidWeightsSumToK)
{
    // sigmoid(0) = 1/2, sigmoid(ln 3) = 3/4
    const Routing routing = routeSigmoidTopK(row({0, std::log(3.0), -50}), row({0, 0, 0}), 2);
    near(routing.dense(), {2 * 0.5 / 1.25, 2 * 0.75 / 1.25, 0});
}

TEST(Routers, RowWeightsFollowTheGroups)
{
    const at::Tensor logits =
        at::tensor(std::vector<double>{3, 2, 1, 1, 2, 3, 2, 3, 1}, at::kDouble).view({3, 3});
    for (const Routing& routing : {routeTopK(logits, 2), routeTopP(logits, 0.85)}) {
        const auto groups = routing.groups();
        const at::Tensor weights = routing.rowWeights(groups).squeeze(1);
        ASSERT_EQ(weights.size(0), groups.offsets.back());
        for (std::int64_t expert = 0; expert < groups.experts(); ++expert)
            for (std::int64_t m = groups.offsets[expert]; m < groups.offsets[expert + 1]; ++m)
                EXPECT_EQ(weights[m].item<double>(),
                          routing.dense()[groups.token[m].item<std::int64_t>()][expert].item<double>());
    }
    EXPECT_ANY_THROW((void)routeSoft(logits).groups());
}

TEST(BalanceLoss, IsKWhereAllExpertsAreUsedAlike)
{
    for (const std::int64_t k : {1, 2, 4}) {
        const at::Tensor uniform = at::full({10, 4}, 0.25, at::TensorOptions(at::kDouble));
        const at::Tensor load =
            at::full({4}, 10.0 * static_cast<double>(k) / 4, at::TensorOptions(at::kDouble));
        EXPECT_NEAR(balanceLoss(uniform, load).item<double>(), static_cast<double>(k), 1e-12);
    }
}

TEST(BalanceLoss, OfAHandMadeExample)
{
    // Two tokens, three experts, k = 1, both tokens on expert 0: f = {1, 0, 0}, P = {0.7, 0.2, 0.1}; 3 * 0.7.
    const at::Tensor p =
        at::tensor(std::vector<double>{0.8, 0.1, 0.1, 0.6, 0.3, 0.1}, at::kDouble).view({2, 3});
    EXPECT_NEAR(balanceLoss(p, at::tensor(std::vector<double>{2, 0, 0}, at::kDouble)).item<double>(), 2.1,
                1e-12);
}

TEST(ZLoss, IsTheMeanSquaredLogSumExp)
{
    // log(e^0 + e^0) = ln 2; log(1 + 3) = ln 4
    const at::Tensor logits =
        at::tensor(std::vector<double>{0, 0, 0, std::log(3.0)}, at::kDouble).view({2, 2});
    EXPECT_NEAR(zLoss(logits).item<double>(), (std::pow(std::log(2.0), 2) + std::pow(std::log(4.0), 2)) / 2,
                1e-12);
}

TEST(LossFreeBalance, LiftsTheIdleAndLowersTheBusy)
{
    at::Tensor bias = at::tensor(std::vector<double>{0.5, 0, 0, 0}, at::kDouble);
    updateBalanceBias(bias, at::tensor(std::vector<double>{7, 1, 4, 4}, at::kDouble), 0.01); // mean 4
    near(bias, {0.49, 0.01, 0, 0});
}

TEST(Jitter, OnlyPerturbsInTraining)
{
    const at::Tensor x = at::full({50, 50}, 2.0, at::TensorOptions(at::kDouble));
    EXPECT_TRUE(jitter(x, 0.1, false).equal(x));
    EXPECT_TRUE(jitter(x, 0, true).equal(x));
    const at::Tensor moved = jitter(x, 0.1, true);
    EXPECT_GE(moved.min().item<double>(), 1.8);
    EXPECT_LE(moved.max().item<double>(), 2.2);
    EXPECT_GT(moved.std().item<double>(), 0.05);
    EXPECT_NEAR(moved.mean().item<double>(), 2, 0.02);
}

} // namespace
} // namespace rankscope::adapter

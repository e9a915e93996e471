// SPDX-License-Identifier: Apache-2.0
// AdamW against the update of Loshchilov & Hutter (2019, algorithm 2), written out number by number in
// double.
#include "core/train/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

namespace rankscope::train
{
namespace
{

using adapter::Init;
using adapter::ParameterStore;

/// One number with its moments.
struct ScalarAdamW {
    double value = 0;
    double mean = 0;
    double square = 0;

    void step(int t, double gradient, double rate, const protocol::TrainingSpec& s)
    {
        value -= rate * s.weightDecay * value;
        mean = s.beta1 * mean + (1 - s.beta1) * gradient;
        square = s.beta2 * square + (1 - s.beta2) * gradient * gradient;
        const double meanHat = mean / (1 - std::pow(s.beta1, t));
        const double squareHat = square / (1 - std::pow(s.beta2, t));
        value -= rate * meanHat / (std::sqrt(squareHat) + s.epsilon);
    }
};

struct Tracked {
    at::Tensor tensor;
    double factor = 1;
    std::vector<ScalarAdamW> reference;
};

void setGradient(const at::Tensor& tensor, const std::vector<double>& values)
{
    const at::Tensor gradient = at::tensor(values, at::kDouble).view(tensor.sizes()).to(tensor.scalar_type());
    const_cast<at::Tensor&>(tensor).mutable_grad() = gradient;
}

double largestDifference(const Tracked& tracked)
{
    const at::Tensor values = tracked.tensor.detach().to(at::kDouble).contiguous().view(-1);
    double largest = 0;
    for (std::int64_t i = 0; i < values.size(0); ++i)
        largest =
            std::max(largest, std::abs(values.const_data_ptr<double>()[i] - tracked.reference[i].value));
    return largest;
}

double differenceAfter(at::ScalarType type, const protocol::TrainingSpec& training)
{
    ParameterStore store(type, at::kCPU, 3);
    std::vector<Tracked> all;
    all.push_back({store.add("a", {5, 7}, Init::normal(1)), 1, {}});
    all.push_back({store.add("b", {3}, Init::uniform(0.5), 16), 16, {}});
    all.push_back({store.add("never_reached", {4}, Init::normal(1)), 1, {}});
    for (auto& tracked : all) {
        const at::Tensor values = tracked.tensor.detach().to(at::kDouble).contiguous().view(-1);
        for (std::int64_t i = 0; i < values.size(0); ++i)
            tracked.reference.push_back({values.const_data_ptr<double>()[i]});
    }
    AdamW optimizer(store, training);
    std::mt19937_64 random(5);
    std::normal_distribution<double> normal;
    for (int t = 1; t <= 8; ++t) {
        const double rate = 0.01 / t;
        for (auto& tracked : all) {
            const bool reached = &tracked != &all.back();
            std::vector<double> gradient;
            for (auto& number : tracked.reference) {
                gradient.push_back(reached ? static_cast<float>(normal(random)) : 0.0);
                number.step(t, gradient.back(), rate * tracked.factor, training);
            }
            if (reached)
                setGradient(tracked.tensor, gradient);
        }
        optimizer.step(rate);
    }
    double largest = 0;
    for (const auto& tracked : all)
        largest = std::max(largest, largestDifference(tracked));
    return largest;
}

TEST(AdamW, IsThePublishedUpdate)
{
    protocol::TrainingSpec training;
    EXPECT_LT(differenceAfter(at::kDouble, training), 1e-14);
    EXPECT_LT(differenceAfter(at::kFloat, training), 1e-6);
}

TEST(AdamW, DecaysWeightsApartFromTheGradient)
{
    protocol::TrainingSpec training;
    training.weightDecay = 0.1;
    training.beta1 = 0.8;
    training.beta2 = 0.95;
    training.epsilon = 1e-4;
    EXPECT_LT(differenceAfter(at::kDouble, training), 1e-14);
    EXPECT_LT(differenceAfter(at::kFloat, training), 1e-6);
}

TEST(AdamW, ClipsTheNormOfAllGradientsTogether)
{
    ParameterStore store(at::kDouble, at::kCPU, 1);
    const at::Tensor a = store.add("a", {2}, Init::zeros());
    const at::Tensor b = store.add("b", {1, 1}, Init::zeros());
    AdamW optimizer(store, {});
    EXPECT_EQ(optimizer.clipGradients(1), 0) << "nothing has a gradient yet";
    setGradient(a, {2, -3});
    setGradient(b, {6});
    EXPECT_DOUBLE_EQ(optimizer.clipGradients(0), 7) << "0 never clips";
    EXPECT_DOUBLE_EQ(optimizer.clipGradients(7.5), 7);
    EXPECT_DOUBLE_EQ(b.grad().item<double>(), 6);
    EXPECT_DOUBLE_EQ(optimizer.clipGradients(3.5), 7);
    EXPECT_NEAR(b.grad().item<double>(), 3, 1e-6);
    EXPECT_NEAR(a.grad()[1].item<double>(), -1.5, 1e-6);
    EXPECT_NEAR(optimizer.clipGradients(0), 3.5, 1e-6);
    optimizer.zeroGradients();
    EXPECT_EQ(optimizer.clipGradients(1), 0);
}

TEST(AdamW, StateGoesToAnotherOptimizerWhole)
{
    protocol::TrainingSpec training;
    auto make = [] {
        ParameterStore store(at::kFloat, at::kCPU, 9);
        store.add("a", {3, 2}, Init::normal(1));
        return store;
    };
    ParameterStore first = make();
    AdamW one(first, training);
    setGradient(first.all()[0].tensor, {1, 2, 3, 4, 5, 6});
    one.step(0.1);
    one.step(0.1);

    ParameterStore second = make();
    ASSERT_TRUE(second.load({{"a", first.all()[0].tensor.detach().clone()}}));
    AdamW other(second, training);
    ASSERT_TRUE(other.load(one.state()));
    setGradient(second.all()[0].tensor, {1, 2, 3, 4, 5, 6});
    one.step(0.1);
    other.step(0.1);
    EXPECT_TRUE(first.all()[0].tensor.equal(second.all()[0].tensor));

    auto incomplete = one.state();
    incomplete.erase("a.exp_avg_sq");
    const auto refused = other.load(incomplete);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("a.exp_avg_sq"), std::string::npos);
}

} // namespace
} // namespace rankscope::train

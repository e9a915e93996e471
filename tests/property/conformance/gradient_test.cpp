// SPDX-License-Identifier: Apache-2.0
// Gradients of every trainable tensor, and of what comes in from below, against finite differences in
// float64.
#include "tests/property/conformance/subject.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <cmath>
#include <random>

namespace rankscope::conformance
{
namespace
{

class Gradients : public Conformance
{
protected:
    /// The auxiliary loss is weighted by about 1e-3 in the defaults: as visible as the rest.
    static at::Tensor loss(const Subject& subject)
    {
        return unevenLoss(subject, model::makePass(someRows(), true), 1000);
    }

    static void compare(const Subject& subject, at::Tensor tensor, const std::string& name, int probes)
    {
        ASSERT_TRUE(tensor.grad().defined()) << name << " receives no gradient";
        const at::NoGradGuard guard;
        auto* values = tensor.mutable_data_ptr<double>();
        const at::Tensor gradient = tensor.grad().contiguous();
        const auto* claimed = gradient.const_data_ptr<double>();
        std::mt19937_64 random(9);
        for (int probe = 0; probe < probes; ++probe) {
            auto index = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(tensor.numel()));
            // Most rows of an embedding table and all of an idle expert have a gradient of zero: look for
            // another.
            for (int tries = 0; tries < 50 && claimed[index] == 0; ++tries)
                index = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(tensor.numel()));
            constexpr double step = 2e-6;
            const double kept = values[index];
            values[index] = kept + step;
            const double above = loss(subject).item<double>();
            values[index] = kept - step;
            const double below = loss(subject).item<double>();
            values[index] = kept;
            const double slope = (above - below) / (2 * step);
            EXPECT_NEAR(slope, claimed[index], 2e-5 * std::max(1.0, std::abs(slope)))
                << name << " [" << index << "]";
        }
    }
};

TEST_P(Gradients, AgreeWithFiniteDifferences)
{
    if (plugin(GetParam().family).manifest.stopsGradient.holds(GetParam().settings))
        GTEST_SKIP() << "the definition's gradient is not the slope of the loss";
    const Subject subject = attach(GetParam());
    disturb(*subject.adapter, 100);
    // Tied: the output embedding is the input embedding, whose gradient is that of what enters the first
    // layer.
    at::Tensor embedding = subject.model->outputEmbedding();
    embedding.set_requires_grad(true);
    loss(subject).backward();
    for (const auto& parameter : subject.adapter->parameters().trainable())
        compare(subject, parameter.tensor, parameter.name, 2);
    compare(subject, embedding, "the input embedding", 6);
}

INSTANTIATE_TEST_SUITE_P(Every, Gradients, testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name(); });

} // namespace
} // namespace rankscope::conformance

// SPDX-License-Identifier: Apache-2.0
// The learning rate's factor against the closed form of each schedule.
#include "core/train/schedule.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numbers>

namespace rankscope::train
{
namespace
{

protocol::TrainingSpec spec(const std::string& schedule, std::int64_t steps, double warmup)
{
    protocol::TrainingSpec training;
    training.schedule = schedule;
    training.steps = steps;
    training.warmup = warmup;
    return training;
}

TEST(Schedule, WarmUpIsAShareOrANumberOfSteps)
{
    EXPECT_EQ(warmupSteps(spec("cosine", 200, 0.1)), 20);
    EXPECT_EQ(warmupSteps(spec("cosine", 200, 0)), 0);
    EXPECT_EQ(warmupSteps(spec("cosine", 200, 1)), 1);
    EXPECT_EQ(warmupSteps(spec("cosine", 200, 30)), 30);
    EXPECT_EQ(warmupSteps(spec("cosine", 10, 10)), 10);
    EXPECT_EQ(warmupSteps(spec("cosine", 3, 0.1)), 0);
}

TEST(Schedule, WarmUpRisesToOneWithoutAStepOfZero)
{
    for (const char* schedule : {"cosine", "linear", "constant"}) {
        const auto training = spec(schedule, 100, 10);
        for (int step = 0; step < 10; ++step)
            EXPECT_DOUBLE_EQ(scheduleFactor(training, step), (step + 1) / 10.0) << schedule;
        EXPECT_DOUBLE_EQ(scheduleFactor(training, 10), 1) << schedule;
    }
}

TEST(Schedule, AfterTheWarmUp)
{
    for (int step = 10; step < 110; ++step) {
        const double progress = (step - 10) / 100.0;
        EXPECT_DOUBLE_EQ(scheduleFactor(spec("constant", 110, 10), step), 1);
        EXPECT_NEAR(scheduleFactor(spec("linear", 110, 10), step), 1 - progress, 1e-15);
        EXPECT_NEAR(scheduleFactor(spec("cosine", 110, 10), step),
                    std::pow(std::cos(std::numbers::pi * progress / 2), 2), 1e-15);
    }
}

TEST(Schedule, AllWarmUp)
{
    const auto training = spec("cosine", 4, 4);
    for (int step = 0; step < 4; ++step)
        EXPECT_DOUBLE_EQ(scheduleFactor(training, step), (step + 1) / 4.0);
}

} // namespace
} // namespace rankscope::train

// SPDX-License-Identifier: Apache-2.0
#include "core/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace rankscope::train
{

std::int64_t warmupSteps(const protocol::TrainingSpec& training)
{
    const double steps =
        training.warmup < 1 ? training.warmup * static_cast<double>(training.steps) : training.warmup;
    return std::min(training.steps, static_cast<std::int64_t>(std::llround(steps)));
}

double scheduleFactor(const protocol::TrainingSpec& training, std::int64_t step)
{
    const std::int64_t warmup = warmupSteps(training);
    if (step < warmup)
        return static_cast<double>(step + 1) / static_cast<double>(warmup);
    if (training.schedule == "constant")
        return 1;
    const double progress = static_cast<double>(step - warmup) /
                            static_cast<double>(std::max<std::int64_t>(1, training.steps - warmup));
    if (training.schedule == "linear")
        return std::max(0.0, 1 - progress);
    return 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, progress)));
}

} // namespace rankscope::train

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/protocol/job.h"

#include <cstdint>

namespace rankscope::train
{

/// Optimizer steps of linear warm-up: `warmup` below 1 is a share of the steps, from 1 a number of steps.
std::int64_t warmupSteps(const protocol::TrainingSpec& training);

/// The factor on the learning rate at optimizer step `step` (from 0): linear from 0 to 1 over the warm-up
/// (first step 1/warmup), then "constant" 1, "linear" to 0, or "cosine" to 0 at the last step.
double scheduleFactor(const protocol::TrainingSpec& training, std::int64_t step);

} // namespace rankscope::train

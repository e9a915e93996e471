// SPDX-License-Identifier: GPL-3.0-or-later
// Runs as a fine-tune of SmolLM2-135M leaves them (30 layers, seven modules, eight experts, six tasks), with
// the measures of core/record/measures.md: closed formulas and a fixed pseudo-random sequence, so that tests
// know every number.
#pragma once

#include "core/record/run_record.h"

#include <cstdint>
#include <string>

namespace rankscope::tests
{

struct SampleOptions {
    std::string family = "mixlora"; ///< "mixlora", "opera" (with mpo/...) or "lora" (without routing/...)
    std::int64_t steps = 200;
    std::int64_t done = 200; ///< fewer than steps: a run that goes on
    std::int64_t every = 10; ///< steps between the measures of the inside
    int layers = 30;
    int experts = 8;
};

record::RunRecord sampleRun(const SampleOptions& options = {});
/// Appends the rows of step `step` (1 based) to a sample run, as a live run would.
void appendSampleStep(record::RunRecord& run, const SampleOptions& options, std::int64_t step);

/// What the sample holds, for the tests' expectations.
float sampleLoss(std::int64_t step);
float sampleRank(const std::string& measure, int layer, int module, int expert, std::int64_t step);
float sampleLoad(int layer, int expert, int task, std::int64_t step, const SampleOptions& options);

} // namespace rankscope::tests

// SPDX-License-Identifier: Apache-2.0
// A fine-tune of a few steps by the real trainer, with evaluation, live measures and checkpoints, of a family
// on a small random model.
#pragma once

#include "core/record/run_record.h"
#include "tests/property/conformance/subject.h"

#include <string>
#include <vector>

namespace rankscope::parity
{

struct RunOptions {
    at::Device device = at::kCPU;
    at::ScalarType base = at::kDouble;
    std::int64_t steps = 3;
    bool interrupted = false; ///< stopped after two steps, and resumed in a session of its own
    bool bare = false;        ///< training alone: no random numbers, no measures, no evaluation
};

struct ShortRun {
    record::RunRecord record;
    std::vector<std::string> answers; ///< decoded greedily with the trained adapter
};

/// What is random in training is on: dropout, jitter and noise.
ShortRun shortRun(const conformance::Variant& variant, const RunOptions& options);

} // namespace rankscope::parity

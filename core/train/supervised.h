// SPDX-License-Identifier: Apache-2.0
// From examples to a pass and the positions where there is something to predict.
#pragma once

#include "core/model/decoder.h"
#include "core/text/dataset.h"

#include <ATen/core/Tensor.h>
#include <vector>

namespace rankscope::train
{

struct SupervisedPass {
    model::Pass pass;
    at::Tensor positions; ///< [S] int64, tokens whose successor is part of an answer
    at::Tensor labels;    ///< [S] int64, those successors
    at::Tensor task;      ///< [S] int64, on the CPU
};

struct SupervisedOptions {
    bool training = false;
    /// The last token of a row is a label only and need not be computed, unless something counts or averages
    /// over the tokens of a row: routers, balance losses, SMEAR's mean.
    bool wholeRows = false;
};

/// Rows end to end.
SupervisedPass makeSupervisedPass(const std::vector<const text::Example*>& examples,
                                  const SupervisedOptions& options, at::Device device);

/// Answer tokens of these examples: what makeSupervisedPass would supervise.
std::int64_t supervisedTokens(const std::vector<const text::Example*>& examples);

} // namespace rankscope::train

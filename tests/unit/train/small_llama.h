// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/checkpoint/model_config.h"

namespace rankscope::tests
{

/// Two layers, wide enough for every kind of weight.
inline checkpoint::ModelConfig smallLlama(std::int64_t vocabulary)
{
    checkpoint::ModelConfig config;
    config.architecture = "llama";
    config.vocabulary = vocabulary;
    config.hidden = 16;
    config.feedForward = 24;
    config.layers = 2;
    config.heads = 4;
    config.kvHeads = 2;
    config.headDim = 4;
    config.maxPosition = 64;
    return config;
}

} // namespace rankscope::tests

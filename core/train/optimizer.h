// SPDX-License-Identifier: Apache-2.0
// AdamW with decoupled weight decay (Loshchilov & Hutter 2019), through LibTorch's fused step.
#pragma once

#include "core/adapter/parameter_store.h"
#include "core/protocol/job.h"

#include <ATen/core/Tensor.h>
#include <map>
#include <string>
#include <vector>

namespace rankscope::train
{

class AdamW
{
public:
    AdamW(const adapter::ParameterStore& parameters, const protocol::TrainingSpec& training);

    void zeroGradients();
    /// L2 norm of all gradients; they are scaled down to `maxNorm` if it is larger (0: never).
    double clipGradients(double maxNorm);
    /// One step with the given learning rate (each parameter's own factor applies).
    void step(double learningRate);

    /// Moments and step count by parameter name, for checkpoints.
    [[nodiscard]] std::map<std::string, at::Tensor> state() const;
    Status load(const std::map<std::string, at::Tensor>& state);

private:
    struct Group {
        double learningRateFactor = 1;
        std::vector<std::string> names;
        std::vector<at::Tensor> tensors;
        std::vector<at::Tensor> means;
        std::vector<at::Tensor> squares;
        std::vector<at::Tensor> steps;
    };

    protocol::TrainingSpec m_training;
    std::vector<Group> m_groups;
};

} // namespace rankscope::train

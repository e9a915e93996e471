// SPDX-License-Identifier: Apache-2.0
#include "core/train/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <cmath>

namespace rankscope::train
{

AdamW::AdamW(const adapter::ParameterStore& parameters, const protocol::TrainingSpec& training)
    : m_training(training)
{
    std::map<double, Group> groups;
    for (const auto& parameter : parameters.trainable()) {
        Group& group = groups[parameter.learningRateFactor];
        group.learningRateFactor = parameter.learningRateFactor;
        group.names.push_back(parameter.name);
        group.tensors.push_back(parameter.tensor);
        group.means.push_back(at::zeros_like(parameter.tensor, at::TensorOptions().requires_grad(false)));
        group.squares.push_back(at::zeros_like(parameter.tensor, at::TensorOptions().requires_grad(false)));
        group.steps.push_back(
            at::zeros({}, parameter.tensor.options().dtype(at::kFloat).requires_grad(false)));
    }
    for (auto& [factor, group] : groups)
        m_groups.push_back(std::move(group));
}

void AdamW::zeroGradients()
{
    for (auto& group : m_groups) {
        for (auto& tensor : group.tensors) {
            if (tensor.grad().defined())
                tensor.mutable_grad().zero_();
        }
    }
}

double AdamW::clipGradients(double maxNorm)
{
    const at::NoGradGuard guard;
    std::vector<at::Tensor> gradients;
    for (const auto& group : m_groups) {
        for (const auto& tensor : group.tensors) {
            if (tensor.grad().defined())
                gradients.push_back(tensor.grad());
        }
    }
    if (gradients.empty())
        return 0;
    const double norm = at::stack(at::_foreach_norm(gradients)).norm().item<double>();
    if (maxNorm > 0 && norm > maxNorm)
        at::_foreach_mul_(gradients, maxNorm / (norm + 1e-6));
    return norm;
}

void AdamW::step(double learningRate)
{
    const at::NoGradGuard guard;
    for (auto& group : m_groups) {
        // A tensor that no token reached has no gradient: for Adam that is a gradient of zero.
        std::vector<at::Tensor> gradients;
        for (auto& tensor : group.tensors) {
            if (!tensor.grad().defined())
                tensor.mutable_grad() = at::zeros_like(tensor, at::TensorOptions().requires_grad(false));
            gradients.push_back(tensor.grad());
        }
        at::_foreach_add_(group.steps, 1);
        at::_fused_adamw_(group.tensors, gradients, group.means, group.squares, /*max_exp_avg_sqs=*/{},
                          group.steps, learningRate * group.learningRateFactor, m_training.beta1,
                          m_training.beta2, m_training.weightDecay, m_training.epsilon, /*amsgrad=*/false,
                          /*maximize=*/false);
    }
}

std::map<std::string, at::Tensor> AdamW::state() const
{
    std::map<std::string, at::Tensor> state;
    for (const auto& group : m_groups) {
        for (std::size_t i = 0; i < group.names.size(); ++i) {
            state[group.names[i] + ".exp_avg"] = group.means[i];
            state[group.names[i] + ".exp_avg_sq"] = group.squares[i];
            state[group.names[i] + ".step"] = group.steps[i].reshape({1});
        }
    }
    return state;
}

Status AdamW::load(const std::map<std::string, at::Tensor>& state)
{
    const at::NoGradGuard guard;
    for (const auto& [name, target] : this->state()) {
        const auto found = state.find(name);
        if (found == state.end() || found->second.sizes() != target.sizes())
            return fail("the optimizer's state in the checkpoint has no tensor " + name +
                        " of the right shape");
    }
    for (auto& group : m_groups) {
        for (std::size_t i = 0; i < group.names.size(); ++i) {
            group.means[i].copy_(state.at(group.names[i] + ".exp_avg"));
            group.squares[i].copy_(state.at(group.names[i] + ".exp_avg_sq"));
            group.steps[i].copy_(state.at(group.names[i] + ".step").reshape({}));
        }
    }
    return {};
}

} // namespace rankscope::train

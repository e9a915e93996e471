// SPDX-License-Identifier: Apache-2.0
// One adapted linear of a small model: its tensors by name, and what it gives for given tokens.
#pragma once

#include "core/adapter/targets.h"
#include "tests/property/conformance/subject.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <functional>
#include <rapidcheck.h>

namespace rankscope::conformance
{

inline at::Tensor tokens(std::int64_t count, std::int64_t width, std::uint64_t seed)
{
    return randomLike(at::zeros({count, width}, at::TensorOptions(at::kDouble)), seed);
}

inline at::Tensor tensorOf(const Subject& subject, const std::string& path, const std::string& name)
{
    const auto* parameter = subject.adapter->parameters().find(adapter::tensorName(path, name));
    EXPECT_NE(parameter, nullptr) << path << ' ' << name;
    return parameter->tensor.detach();
}

/// A pass that stands for `count` tokens of one row.
inline model::Pass passOf(std::int64_t count, bool training = false)
{
    return model::makePass({std::vector<std::int32_t>(static_cast<std::size_t>(count), 1)}, training);
}

inline at::Tensor adapted(const Subject& subject, std::int64_t layer, const std::string& module,
                          const at::Tensor& x, bool training = false)
{
    const auto pass = passOf(x.size(0), training);
    subject.adapter->beginPass(pass);
    return subject.model->linear(layer, module)->forward(x, pass);
}

/// W x + bias, and on top what `change` says for each token alone.
inline at::Tensor byToken(const Subject& subject, std::int64_t layer, const std::string& module,
                          const at::Tensor& x, const std::function<at::Tensor(const at::Tensor&)>& change)
{
    const auto& base = subject.model->linear(layer, module)->base;
    std::vector<at::Tensor> rows;
    for (std::int64_t t = 0; t < x.size(0); ++t) {
        const at::Tensor own = at::mv(base.weight, x[t]) + change(x[t]);
        rows.push_back(base.bias.defined() ? own + base.bias : own);
    }
    return at::stack(rows);
}

} // namespace rankscope::conformance

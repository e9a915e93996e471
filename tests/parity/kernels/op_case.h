// SPDX-License-Identifier: Apache-2.0
// One object describes one op: how to draw its inputs, how to run it, and what plain tensor algebra says it
// is. The checks (values, gradients, types, the two implementations behind the dispatcher) are written once,
// for all.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace rankscope::parity
{

struct Input {
    at::Tensor value;
    bool differentiable = true;
    bool adapter = false; ///< float32 where the base computes in bfloat16
};

using Inputs = std::vector<Input>;

/// A call of an operator with several implementations: by schema name.
struct DispatchedCall {
    std::string op;
    std::vector<c10::IValue> arguments;
};

class OpCase
{
public:
    virtual ~OpCase() = default;

    [[nodiscard]] virtual std::string name() const = 0;
    /// Random shapes, values in float64. Called inside a RapidCheck property.
    virtual Inputs draw() = 0;
    [[nodiscard]] virtual at::Tensor run(const std::vector<at::Tensor>& inputs) const = 0;
    /// The same from plain ATen operations that autograd differentiates by itself.
    [[nodiscard]] virtual at::Tensor reference(const std::vector<at::Tensor>& inputs) const = 0;
    /// Calls whose fast implementation is to be compared with the plain one.
    [[nodiscard]] virtual std::vector<DispatchedCall> dispatched(const std::vector<at::Tensor>&) const
    {
        return {};
    }
};

/// Random numbers from RapidCheck's seed.
at::Tensor normal(const std::vector<std::int64_t>& shape);
std::int64_t between(std::int64_t low, std::int64_t high);

std::vector<std::unique_ptr<OpCase>> denseCases();
std::vector<std::unique_ptr<OpCase>> expertCases();

/// All checks of one op; false if one of them failed.
bool check(OpCase& op);

} // namespace rankscope::parity

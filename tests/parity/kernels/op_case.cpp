// SPDX-License-Identifier: Apache-2.0
#include "tests/parity/kernels/op_case.h"

#include "tests/parity/device/guarded_device.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/randn.h>
#include <c10/core/GradMode.h>
#include <cmath>
#include <rapidcheck.h>
#include <torch/csrc/autograd/autograd.h>

namespace rankscope::parity
{
namespace
{

constexpr int probes = 4; ///< elements of each input that are moved for the finite differences

std::vector<at::Tensor> valuesOf(const Inputs& inputs, at::ScalarType type, bool gradients)
{
    std::vector<at::Tensor> values;
    for (const auto& input : inputs) {
        at::Tensor value = input.value;
        if (value.defined() && value.is_floating_point()) {
            value = value.to(input.adapter && type == at::kBFloat16 ? at::kFloat : type).clone();
            value.set_requires_grad(gradients && input.differentiable);
        }
        values.push_back(value);
    }
    return values;
}

double largest(const at::Tensor& t)
{
    return t.numel() == 0 ? 0 : t.abs().max().item<double>();
}

void close(const at::Tensor& actual, const at::Tensor& expected, double tolerance, const std::string& what)
{
    RC_LOG() << what << '\n';
    RC_ASSERT(actual.sizes() == expected.sizes());
    const double error = largest(actual.to(at::kDouble) - expected.to(at::kDouble));
    RC_LOG() << "largest difference " << error << '\n';
    RC_ASSERT(error <= tolerance * std::max(1.0, largest(expected)));
}

/// Gradients of sum(out * direction) with respect to the differentiable inputs.
std::vector<at::Tensor> gradients(const at::Tensor& out, const at::Tensor& direction,
                                  const std::vector<at::Tensor>& inputs)
{
    std::vector<at::Tensor> wanted;
    for (const auto& input : inputs) {
        if (input.defined() && input.requires_grad())
            wanted.push_back(input);
    }
    return wanted.empty() ? wanted : torch::autograd::grad({out}, wanted, {direction.to(out.scalar_type())});
}

void checkType(const OpCase& op, const Inputs& inputs, const at::Tensor& direction, at::ScalarType type,
               double tolerance)
{
    const auto values = valuesOf(inputs, type, true);
    // What the op was really given, in float64: the rounding of the inputs is not its error.
    std::vector<at::Tensor> exact;
    for (const auto& value : values) {
        exact.push_back(value.defined() && value.is_floating_point()
                            ? value.detach().to(at::kDouble).set_requires_grad(value.requires_grad())
                            : value);
    }
    const at::Tensor out = op.run(values);
    const at::Tensor expected = op.reference(exact);
    const std::string typeName = c10::toString(type);
    close(out.detach(), expected.detach(), tolerance, op.name() + " values, " + typeName);
    const at::Tensor rounded = direction.to(out.scalar_type()).to(at::kDouble);
    const auto actual = gradients(out, rounded, values);
    const auto wanted = gradients(expected, rounded, exact);
    RC_ASSERT(actual.size() == wanted.size());
    for (std::size_t i = 0; i < actual.size(); ++i)
        close(actual[i], wanted[i], 2 * tolerance,
              op.name() + " gradient " + std::to_string(i) + ", " + typeName);
}

void checkFiniteDifferences(const OpCase& op, const Inputs& inputs, const at::Tensor& direction)
{
    const auto values = valuesOf(inputs, at::kDouble, true);
    const auto analytic = gradients(op.run(values), direction, values);
    std::size_t next = 0;
    for (const auto& value : values) {
        if (!value.defined() || !value.requires_grad())
            continue;
        const at::Tensor& gradient = analytic[next++];
        const at::NoGradGuard guard;
        auto* data = value.mutable_data_ptr<double>();
        for (int probe = 0; probe < probes && value.numel() > 0; ++probe) {
            const std::int64_t index = between(0, value.numel() - 1);
            const double kept = data[index];
            constexpr double step = 1e-5;
            auto at = [&](double offset) {
                data[index] = kept + offset;
                return (op.run(values) * direction).sum().item<double>();
            };
            const double slope = (at(step) - at(-step)) / (2 * step);
            data[index] = kept;
            const double claimed = gradient.reshape({-1})[index].item<double>();
            RC_LOG() << op.name() << " slope " << slope << ", gradient " << claimed << '\n';
            RC_ASSERT(std::abs(slope - claimed) <=
                      1e-6 * std::max(1.0, std::max(std::abs(slope), largest(direction))));
        }
    }
}

/// The implementation for the CPU against the one that any backend without its own falls back to.
void checkDispatched(const OpCase& op, const Inputs& inputs, at::ScalarType type, double tolerance)
{
    for (const auto& call : op.dispatched(valuesOf(inputs, type, false))) {
        const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(call.op.c_str(), "");
        torch::jit::Stack fast = call.arguments;
        torch::jit::Stack plain = call.arguments;
        handle.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), &fast);
        handle.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), &plain);
        RC_ASSERT(fast.size() == plain.size());
        for (std::size_t i = 0; i < fast.size(); ++i) {
            RC_ASSERT(fast[i].toTensor().scalar_type() == plain[i].toTensor().scalar_type());
            close(fast[i].toTensor(), plain[i].toTensor(), tolerance, call.op + ", " + c10::toString(type));
        }
    }
}

/// On a device whose memory the host cannot read, as on the CPU.
void checkElsewhere(const OpCase& op, const Inputs& inputs, const at::Tensor& direction, at::ScalarType type,
                    double tolerance)
{
    const auto here = valuesOf(inputs, type, true);
    std::vector<at::Tensor> there;
    for (const auto& value : here)
        there.push_back(value.defined()
                            ? value.detach().to(guardedDevice()).set_requires_grad(value.requires_grad())
                            : value);
    const at::Tensor expected = op.run(here);
    const at::Tensor out = op.run(there);
    RC_ASSERT(out.device() == guardedDevice());
    const std::string where = " elsewhere, " + std::string(c10::toString(type));
    close(out.detach().cpu(), expected.detach(), tolerance, op.name() + " values" + where);
    const auto wanted = gradients(expected, direction, here);
    const auto actual = gradients(out, direction.to(guardedDevice()), there);
    for (std::size_t i = 0; i < actual.size(); ++i)
        close(actual[i].cpu(), wanted[i], 2 * tolerance,
              op.name() + " gradient " + std::to_string(i) + where);
}

} // namespace

at::Tensor normal(const std::vector<std::int64_t>& shape)
{
    auto generator = at::make_generator<at::CPUGeneratorImpl>(*rc::gen::arbitrary<std::uint32_t>());
    return at::randn(shape, generator, at::TensorOptions(at::kDouble));
}

std::int64_t between(std::int64_t low, std::int64_t high)
{
    return *rc::gen::inRange<std::int64_t>(low, high + 1);
}

bool check(OpCase& op)
{
    return rc::check(op.name(), [&] {
        const Inputs inputs = op.draw();
        const at::Tensor direction = normal(op.run(valuesOf(inputs, at::kDouble, false)).sizes().vec());
        checkType(op, inputs, direction, at::kDouble, 1e-11);
        checkType(op, inputs, direction, at::kFloat, 2e-5);
        checkType(op, inputs, direction, at::kBFloat16, 2e-2);
        checkFiniteDifferences(op, inputs, direction);
        checkDispatched(op, inputs, at::kDouble, 1e-12);
        checkDispatched(op, inputs, at::kFloat, 1e-5);
        // The plain implementations round after every operation.
        checkDispatched(op, inputs, at::kBFloat16, 4e-2);
        checkElsewhere(op, inputs, direction, at::kDouble, 1e-11);
        checkElsewhere(op, inputs, direction, at::kBFloat16, 4e-2);
    });
}

} // namespace rankscope::parity

// SPDX-License-Identifier: Apache-2.0
#include "kernels/loss_head/op.h"
#include "kernels/rms_norm/op.h"
#include "kernels/rotary/op.h"
#include "kernels/swiglu/op.h"
#include "tests/parity/kernels/op_case.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/imag.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/real.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>

namespace rankscope::parity
{
namespace
{

class Swiglu : public OpCase
{
public:
    [[nodiscard]] std::string name() const override { return "swiglu"; }
    Inputs draw() override
    {
        const std::vector<std::int64_t> shape{between(1, 5), between(1, 70)};
        // Gates as in a trained model, or beyond the reach of exp() in either direction.
        const double size = between(0, 1) == 1 ? 3 : 500;
        return {{size * normal(shape)}, {normal(shape)}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::swiglu(in[0], in[1]);
    }
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        return in[0] * at::sigmoid(in[0]) * in[1];
    }
    [[nodiscard]] std::vector<DispatchedCall> dispatched(const std::vector<at::Tensor>& in) const override
    {
        return {{"rankscope::swiglu", {in[0], in[1]}}, {"rankscope::swiglu_backward", {in[1], in[0], in[1]}}};
    }
};

class RmsNorm : public OpCase
{
public:
    [[nodiscard]] std::string name() const override { return "rms_norm"; }
    Inputs draw() override
    {
        const std::int64_t width = between(1, 70);
        std::vector<std::int64_t> shape{between(1, 5), width};
        if (between(0, 1) == 1)
            shape.insert(shape.begin(), between(1, 4));
        return {{normal(shape)}, {1 + 0.3 * normal({width}), false}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::rmsNorm(in[0], in[1], epsilon);
    }
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        return in[0] / (in[0].pow(2).mean(-1, true) + epsilon).sqrt() * in[1];
    }
    [[nodiscard]] std::vector<DispatchedCall> dispatched(const std::vector<at::Tensor>& in) const override
    {
        const auto type = in[0].scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
        const at::Tensor scale = at::rsqrt(in[0].to(type).pow(2).mean(-1) + epsilon);
        return {{"rankscope::rms_norm", {in[0], in[1], epsilon}},
                {"rankscope::rms_norm_backward", {in[0] + 0.5, in[0], in[1], scale}}};
    }

private:
    // Large enough that a row of one near-zero number keeps a slope that finite differences can follow.
    static constexpr double epsilon = 1e-2;
};

class Rotary : public OpCase
{
public:
    [[nodiscard]] std::string name() const override { return "rotary"; }
    Inputs draw() override
    {
        const std::int64_t tokens = between(1, 6);
        const std::int64_t half = between(1, 20);
        const at::Tensor angle = 5 * normal({tokens, half});
        // The tables stay in float32 beside a bfloat16 model.
        return {{normal({tokens, between(1, 4), 2 * half})},
                {angle.cos(), false, true},
                {angle.sin(), false, true}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::rotary(in[0], in[1], in[2]);
    }
    /// A pair is a complex number, the rotation a product with e^(i angle).
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        const auto halves = in[0].chunk(2, -1);
        const at::Tensor turn = at::complex(in[1], in[2]).unsqueeze(1);
        const at::Tensor turned = at::complex(halves[0].contiguous(), halves[1].contiguous()) * turn;
        return at::cat({at::real(turned), at::imag(turned)}, -1);
    }
    [[nodiscard]] std::vector<DispatchedCall> dispatched(const std::vector<at::Tensor>& in) const override
    {
        return {{"rankscope::rotary", {in[0], in[1], in[2]}}};
    }
};

class LossHead : public OpCase
{
public:
    [[nodiscard]] std::string name() const override { return "loss_head"; }
    Inputs draw() override
    {
        const std::int64_t rows = between(1, 300); // more than one piece
        const std::int64_t width = between(1, 10);
        const std::int64_t vocabulary = between(2, 40);
        const at::Tensor labels = (normal({rows}).abs() * 1000).to(at::kLong).remainder(vocabulary);
        return {{normal({rows, width})}, {normal({vocabulary, width}), false}, {labels, false}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        const auto [sum, each] = kernels::lossHead(in[0], in[1], in[2]);
        // The sum carries the gradient, the numbers of each row the value: each is checked.
        return sum + (each.sum() - sum).detach();
    }
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        const at::Tensor logits = at::matmul(in[0], in[1].t());
        return -at::log_softmax(logits, 1).gather(1, in[2].unsqueeze(1)).sum();
    }
};

} // namespace

std::vector<std::unique_ptr<OpCase>> denseCases()
{
    std::vector<std::unique_ptr<OpCase>> cases;
    cases.push_back(std::make_unique<Swiglu>());
    cases.push_back(std::make_unique<RmsNorm>());
    cases.push_back(std::make_unique<Rotary>());
    cases.push_back(std::make_unique<LossHead>());
    return cases;
}

} // namespace rankscope::parity

// SPDX-License-Identifier: Apache-2.0
#include "tests/property/families/unrouted/unrouted.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <rapidcheck.h>

namespace rankscope::unrouted
{

Subject subject(const std::string& family, const base::Json& settings, std::uint64_t seed)
{
    return conformance::attach(conformance::variant(family, settings), seed);
}

at::Tensor tensor(const Subject& subject, const std::string& path)
{
    const auto* parameter = subject.adapter->parameters().find("base_model.model." + path);
    EXPECT_NE(parameter, nullptr) << path;
    return parameter ? parameter->tensor.detach() : at::Tensor();
}

void set(const Subject& subject, const std::string& path, const at::Tensor& values)
{
    const at::NoGradGuard guard;
    tensor(subject, path).copy_(values);
}

void follows(const Subject& subject, const Formula& weight)
{
    const at::NoGradGuard guard;
    const auto sites = subject.adapter->deltaSites();
    ASSERT_FALSE(sites.empty());
    for (const auto& site : sites) {
        const auto& base = subject.model->linear(site.layer, site.module)->base;
        const at::Tensor x = conformance::randomLike(at::zeros({3, base.shape.in}, at::kDouble), 41);
        const at::Tensor expected = weight(base);
        at::Tensor y = at::matmul(x, expected.t());
        if (base.bias.defined())
            y = y + base.bias;
        EXPECT_LT(conformance::distance(subject.adapter->expertForward(site.layer, site.module, 0, x), y),
                  1e-10)
            << base.shape.path;
        EXPECT_LT(
            conformance::distance(adapter::denseDelta(subject.adapter->delta(site.layer, site.module, 0)),
                                  expected - base.weight),
            1e-10)
            << base.shape.path;
    }
}

void agree(const Subject& one, const Subject& other, double tolerance)
{
    const at::NoGradGuard guard;
    EXPECT_LT(conformance::distance(one.run(conformance::someRows()), other.run(conformance::someRows())),
              tolerance);
}

std::int64_t between(std::int64_t low, std::int64_t high)
{
    return *rc::gen::inRange<std::int64_t>(low, high + 1);
}

double number(double low, double high)
{
    return low + (high - low) * static_cast<double>(between(0, 1000)) / 1000;
}

} // namespace rankscope::unrouted

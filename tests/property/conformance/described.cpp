// SPDX-License-Identifier: Apache-2.0
#include "tests/property/conformance/described.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace rankscope::conformance
{
namespace
{

at::Tensor dense(const adapter::Delta& delta)
{
    return adapter::denseDelta(delta).to(at::kDouble);
}

at::Tensor random(const std::vector<std::int64_t>& shape, std::uint64_t seed)
{
    return randomLike(at::zeros(shape, at::TensorOptions(at::kDouble)), seed);
}

/// The weights of a site's experts for each token of the last pass, [T, N].
at::Tensor weightsOf(const Subject& subject, const adapter::DeltaSite& site, std::int64_t tokens)
{
    for (const auto& trace : subject.adapter->routing()) {
        if (trace.layer == site.layer && trace.router == site.router)
            return trace.routing.dense();
    }
    EXPECT_EQ(site.experts, 1) << "nothing routes " << site.layer << ' ' << site.module;
    return at::ones({tokens, 1}, at::TensorOptions(at::kDouble));
}

} // namespace

double deltaError(const Subject& subject, const adapter::DeltaSite& site, std::int64_t expert)
{
    const auto& base = subject.model->linear(site.layer, site.module)->base;
    const at::Tensor delta = dense(subject.adapter->delta(site.layer, site.module, expert));
    const double length = site.linear ? 1 : 1e-6;
    const at::Tensor probes = length * at::eye(base.shape.in, at::TensorOptions(at::kDouble));
    const at::Tensor seen = subject.adapter->expertForward(site.layer, site.module, expert, probes);
    return relativeDistance((seen - base.forward(probes)) / length, delta.t());
}

double deltaTolerance(const adapter::DeltaSite& site)
{
    return site.linear ? rounding : 1e-4;
}

double meanDeltaError(const Subject& subject, const adapter::DeltaSite& site)
{
    const at::Tensor weights = random({site.experts}, 31).abs();
    const auto& shape = subject.model->linear(site.layer, site.module)->base.shape;
    at::Tensor expected = at::zeros({shape.out, shape.in}, at::TensorOptions(at::kDouble));
    for (std::int64_t expert = 0; expert < site.experts; ++expert)
        expected += dense(subject.adapter->delta(site.layer, site.module, expert)) * weights[expert];
    return relativeDistance(dense(subject.adapter->meanDelta(site, weights)), expected);
}

double mixtureError(const Subject& subject, const adapter::DeltaSite& site, const model::Pass& pass)
{
    const auto* linear = subject.model->linear(site.layer, site.module);
    const at::Tensor x = random({pass.tokens(), linear->base.shape.in}, 37);
    subject.adapter->beginPass(pass);
    const at::Tensor actual = linear->forward(x, pass);
    const at::Tensor weights = weightsOf(subject, site, pass.tokens());
    std::vector<at::Tensor> changes;
    for (std::int64_t token = 0; token < pass.tokens(); ++token)
        changes.push_back(
            at::matmul(x.narrow(0, token, 1), dense(subject.adapter->meanDelta(site, weights[token])).t()));
    return relativeDistance(actual, linear->base.forward(x) + at::cat(changes));
}

at::Tensor blockInput(const Subject& subject, const model::Pass& pass, std::uint64_t seed)
{
    return random({pass.tokens(), subject.model->config().hidden}, seed);
}

BlockOutput runBlock(const Subject& subject, const model::MlpBlock& block, const at::Tensor& x,
                     const model::Pass& pass)
{
    subject.adapter->beginPass(pass);
    const at::Tensor values = block.forward(x, pass);
    const auto traces = subject.adapter->routing();
    EXPECT_EQ(traces.size(), 1U) << "only this block has run since beginPass";
    EXPECT_EQ(traces.at(0).layer, block.layer);
    return {values, traces.at(0).routing.dense()};
}

at::Tensor projected(const Subject& subject, std::int64_t layer, const std::string& module,
                     std::int64_t expert, const at::Tensor& x)
{
    return subject.adapter->expertForward(layer, module, expert, x);
}

at::Tensor activated(const std::vector<at::Tensor>& in)
{
    const auto halves = in.size() == 2 ? in : in[0].chunk(2, -1);
    return halves[0] * at::sigmoid(halves[0]) * halves[1];
}

at::Tensor blockByFormula(const Subject& subject, const model::MlpBlock& block, const at::Tensor& weights,
                          const at::Tensor& x, bool fused)
{
    const std::int64_t experts = weights.size(1);
    const std::string down = block.down.base.shape.module;
    at::Tensor out = at::zeros_like(x);
    if (fused) {
        for (std::int64_t j = 0; j < experts; ++j) {
            std::vector<at::Tensor> in;
            for (const auto& site : block.inputs)
                in.push_back(projected(subject, block.layer, site.base.shape.module, j, x));
            out = out +
                  weights.select(1, j).unsqueeze(1) * projected(subject, block.layer, down, j, activated(in));
        }
        return out;
    }
    auto mixed = [&](const std::string& module, const at::Tensor& input) {
        at::Tensor sum;
        for (std::int64_t j = 0; j < experts; ++j) {
            const at::Tensor one =
                weights.select(1, j).unsqueeze(1) * projected(subject, block.layer, module, j, input);
            sum = sum.defined() ? sum + one : one;
        }
        return sum;
    };
    std::vector<at::Tensor> in;
    for (const auto& site : block.inputs)
        in.push_back(mixed(site.base.shape.module, x));
    return mixed(down, activated(in));
}

} // namespace rankscope::conformance

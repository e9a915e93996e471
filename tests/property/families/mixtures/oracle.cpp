// SPDX-License-Identifier: Apache-2.0
#include "tests/property/families/mixtures/oracle.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

namespace rankscope::conformance
{

at::Tensor Parts::base(const at::Tensor& x) const
{
    return bias.defined() ? at::matmul(x, weight.t()) + bias : at::matmul(x, weight.t());
}

at::Tensor inputOf(const Subject& subject, const std::string& module, const model::Pass& pass,
                   std::uint64_t seed)
{
    const std::int64_t in = subject.model->linear(0, module)->base.shape.in;
    return randomLike(at::empty({pass.tokens(), in}, at::TensorOptions(at::kDouble)), seed);
}

Parts partsOf(const Subject& subject, std::int64_t layer, const std::string& module, const model::Pass& pass)
{
    const auto& base = subject.model->linear(layer, module)->base;
    Parts parts{{}, base.weight, base.bias, pass};
    for (const auto& parameter : subject.adapter->parameters().all()) {
        for (const std::string& prefix :
             {"base_model.model." + base.shape.path + ".", std::string("base_model.model.shared.")}) {
            if (parameter.name.starts_with(prefix))
                parts.tensors[parameter.name.substr(prefix.size())] =
                    parameter.tensor.detach().clone().set_requires_grad(parameter.trainable);
        }
    }
    return parts;
}

at::Tensor adapted(const Subject& subject, std::int64_t layer, const std::string& module, const at::Tensor& x,
                   const model::Pass& pass)
{
    return subject.model->linear(layer, module)->forward(x, pass);
}

double disagreement(const Subject& subject, std::int64_t layer, const std::string& module,
                    const model::Pass& pass, const Formula& formula)
{
    const Parts parts = partsOf(subject, layer, module, pass);
    const at::Tensor x = inputOf(subject, module, pass, 31).set_requires_grad(true);
    const at::Tensor twin = x.detach().clone().set_requires_grad(true);
    for (const auto& parameter : subject.adapter->parameters().all())
        parameter.tensor.mutable_grad() = at::Tensor();
    const at::Tensor actual = adapted(subject, layer, module, x, pass);
    const at::Tensor expected = formula(parts, twin);
    double worst = distance(actual, expected);
    const at::Tensor direction = randomLike(actual, 32);
    (actual * direction).sum().backward();
    (expected * direction).sum().backward();
    auto compare = [&](const at::Tensor& left, const at::Tensor& right, const at::Tensor& like) {
        worst = std::max(worst, distance(left.defined() ? left : at::zeros_like(like),
                                         right.defined() ? right : at::zeros_like(like)));
    };
    compare(x.grad(), twin.grad(), x);
    const std::string path = subject.model->linear(layer, module)->base.shape.path;
    for (const auto& [name, tensor] : parts.tensors) {
        const auto* own = subject.adapter->parameters().find("base_model.model." + path + "." + name);
        if (!own)
            own = subject.adapter->parameters().find("base_model.model.shared." + name);
        compare(own->tensor.grad(), tensor.grad(), tensor);
    }
    return worst;
}

at::Tensor mixed(const at::Tensor& gates, const at::Tensor& a, const at::Tensor& b, double scale,
                 const at::Tensor& x)
{
    at::Tensor sum = at::zeros({x.size(0), b.size(1)}, x.options().requires_grad(false));
    for (std::int64_t j = 0; j < b.size(0); ++j)
        sum = sum + gates.select(1, j).unsqueeze(1) * scale * at::matmul(at::matmul(x, a[j].t()), b[j].t());
    return sum;
}

at::Tensor topKRenormalised(const at::Tensor& p, std::int64_t k)
{
    const at::Tensor best = std::get<1>(at::topk(p.detach(), k, -1));
    const at::Tensor kept = p * at::zeros_like(p.detach()).scatter(-1, best, 1.0);
    return kept / kept.sum(-1, true);
}

void copySameNames(const Subject& from, const Subject& to)
{
    const at::NoGradGuard guard;
    for (const auto& parameter : to.adapter->parameters().all()) {
        if (const auto* source = from.adapter->parameters().find(parameter.name)) {
            at::Tensor tensor = parameter.tensor;
            tensor.copy_(source->tensor.reshape(tensor.sizes()));
        }
    }
}

} // namespace rankscope::conformance

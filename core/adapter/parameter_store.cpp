// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/parameter_store.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <cmath>

namespace rankscope::adapter
{

ParameterStore::ParameterStore(at::ScalarType dtype, at::Device device, std::uint64_t seed)
    : m_dtype(dtype),
      m_device(device),
      m_generator(at::make_generator<at::CPUGeneratorImpl>(seed))
{
}

at::Tensor ParameterStore::make(const std::vector<std::int64_t>& shape, const Init& init)
{
    TORCH_CHECK(!shape.empty(), "an adapter tensor needs at least one dimension");
    // Drawn in float64 on the CPU: the same numbers for every type and device.
    const auto options = at::TensorOptions(at::kDouble);
    at::Tensor values;
    const auto fanIn = static_cast<double>(shape.back());
    auto uniform = [&](double halfWidth) {
        values = at::empty(shape, options);
        values.uniform_(-halfWidth, halfWidth, m_generator);
    };
    switch (init.kind) {
    case Init::Kind::Zeros:
        values = at::zeros(shape, options);
        break;
    case Init::Kind::Ones:
        values = at::ones(shape, options);
        break;
    case Init::Kind::KaimingUniform:
        uniform(1.0 / std::sqrt(fanIn));
        break;
    case Init::Kind::Uniform:
        uniform(init.value);
        break;
    case Init::Kind::XavierUniform: {
        const auto fanOut = static_cast<double>(shape.size() > 1 ? shape[shape.size() - 2] : 1);
        uniform(init.value * std::sqrt(6.0 / (fanIn + fanOut)));
        break;
    }
    case Init::Kind::Normal:
        values = at::empty(shape, options);
        values.normal_(0, init.value, m_generator);
        break;
    case Init::Kind::SparseNormal: {
        // The places of the smallest of random numbers: any set of that many is as likely as any other.
        values = at::empty(shape, options);
        values.uniform_(0, 1, m_generator);
        const at::Tensor places = std::get<1>(at::topk(values, init.nonZeros, -1, /*largest=*/false));
        at::Tensor drawn = at::empty(places.sizes(), options);
        drawn.normal_(0, init.value, m_generator);
        values.zero_().scatter_(-1, places, drawn);
        break;
    }
    case Init::Kind::Given:
        TORCH_CHECK(init.given.sizes() == at::IntArrayRef(shape), "the given tensor has another shape");
        values = init.given.detach().clone();
        break;
    }
    return values.to(m_device, m_dtype).contiguous();
}

at::Tensor ParameterStore::insert(const std::string& name, const std::vector<std::int64_t>& shape,
                                  const Init& init, Parameter parameter)
{
    TORCH_CHECK(!m_index.contains(name), "two adapter tensors are named ", name);
    parameter.name = name;
    parameter.tensor = make(shape, init);
    parameter.tensor.set_requires_grad(parameter.trainable && parameter.reached);
    m_index[name] = m_parameters.size();
    m_parameters.push_back(parameter);
    return parameter.tensor;
}

at::Tensor ParameterStore::add(const std::string& name, const std::vector<std::int64_t>& shape,
                               const Init& init, double learningRateFactor)
{
    return insert(name, shape, init, {{}, {}, true, true, learningRateFactor});
}

at::Tensor ParameterStore::addUnreached(const std::string& name, const std::vector<std::int64_t>& shape,
                                        const Init& init)
{
    return insert(name, shape, init, {{}, {}, true, false, 1.0});
}

at::Tensor ParameterStore::addBuffer(const std::string& name, const std::vector<std::int64_t>& shape,
                                     const Init& init)
{
    return insert(name, shape, init, {{}, {}, false, false, 1.0});
}

std::vector<Parameter> ParameterStore::trainable() const
{
    std::vector<Parameter> result;
    for (const auto& parameter : m_parameters) {
        if (parameter.trainable && parameter.reached)
            result.push_back(parameter);
    }
    return result;
}

const Parameter* ParameterStore::find(const std::string& name) const
{
    const auto found = m_index.find(name);
    return found == m_index.end() ? nullptr : &m_parameters[found->second];
}

std::int64_t ParameterStore::trainableElements() const
{
    std::int64_t total = 0;
    for (const auto& parameter : m_parameters) {
        if (parameter.trainable)
            total += parameter.tensor.numel();
    }
    return total;
}

Status ParameterStore::load(const std::map<std::string, at::Tensor>& tensors)
{
    for (const auto& [name, tensor] : tensors) {
        const Parameter* parameter = find(name);
        if (!parameter)
            return fail("the saved adapter has a tensor " + name +
                        " that this family with these settings does not have");
        if (parameter->tensor.sizes() != tensor.sizes())
            return fail("the saved tensor " + name +
                        " has another shape than this family with these settings gives it");
    }
    for (const auto& parameter : m_parameters) {
        if (!tensors.contains(parameter.name))
            return fail("the saved adapter has no tensor " + parameter.name);
    }
    const at::NoGradGuard guard;
    for (auto& parameter : m_parameters) {
        at::Tensor target = parameter.tensor;
        target.copy_(tensors.at(parameter.name));
    }
    return {};
}

} // namespace rankscope::adapter

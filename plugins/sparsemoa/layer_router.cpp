// SPDX-License-Identifier: Apache-2.0
#include "plugins/sparsemoa/layer_router.h"

#include "core/adapter/targets.h"
#include "kernels/low_rank/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <cmath>

namespace rankscope::plugins
{

using adapter::Init;

std::int64_t LayerRouter::Shape::count() const
{
    const std::int64_t c = inner();
    return 2 * (hidden * c + c) + c * adapters + adapters + (sparse ? hidden + 1 : 0);
}

LayerRouter::LayerRouter(adapter::ParameterStore& store, std::int64_t layer, const Shape& shape)
    : m_shape(shape)
{
    const std::string path = "model.layers." + std::to_string(layer);
    auto name = [&](const char* tensor) {
        return adapter::tensorName(path, std::string("router.") + tensor);
    };
    const std::int64_t c = shape.inner();
    m_gate = store.add(name("w1.weight"), {c, shape.hidden}, Init::kaimingUniform());
    m_gateBias = store.add(name("w1.bias"), {c}, Init::zeros());
    m_up = store.add(name("w3.weight"), {c, shape.hidden}, Init::kaimingUniform());
    m_upBias = store.add(name("w3.bias"), {c}, Init::zeros());
    m_down = store.add(name("w2.weight"), {shape.adapters, c}, Init::kaimingUniform());
    m_downBias = store.add(name("w2.bias"), {shape.adapters}, Init::zeros());
    if (shape.sparse) {
        // A hard comparison lets no gradient through: both are counted and stay as they start.
        m_threshold = store.addUnreached(name("threshold.weight"), {1, shape.hidden}, Init::kaimingUniform());
        m_thresholdBias = store.addUnreached(name("threshold.bias"), {1},
                                             Init::uniform(1 / std::sqrt(static_cast<double>(shape.hidden))));
    }
}

void LayerRouter::enter(const at::Tensor& normed, const model::Pass&)
{
    const at::Tensor inner = at::silu(kernels::lowRankDown(normed, m_gate) + m_gateBias) *
                             (kernels::lowRankDown(normed, m_up) + m_upBias);
    at::Tensor threshold;
    if (m_shape.sparse)
        threshold =
            m_shape.thresholdMaximum * at::sigmoid(at::linear(normed.detach().to(m_threshold.scalar_type()),
                                                              m_threshold, m_thresholdBias));
    m_last = adapter::routeSigmoidThreshold(at::linear(inner, m_down, m_downBias), threshold);
    if (m_last.kept.defined())
        m_used = m_last.groups();
}

at::Tensor LayerRouter::add(at::Tensor output, const at::Tensor& x, std::int64_t index,
                            const Change& change) const
{
    const at::Tensor weight = m_last.weights.select(1, index).unsqueeze(1);
    if (!m_last.kept.defined())
        return output.add_(change(x, weight)); // in the adapter's type, rounded once
    const auto begin = static_cast<std::size_t>(index);
    const std::int64_t first = m_used.offsets[begin];
    const at::Tensor used = m_used.token.narrow(0, first, m_used.offsets[begin + 1] - first);
    if (used.size(0) == x.size(0))
        return output.add_(change(x, weight));
    const at::Tensor update = change(x.index_select(0, used), weight.index_select(0, used));
    if (update.scalar_type() == output.scalar_type())
        return output.index_add_(0, used, update);
    return output.index_copy_(0, used, (output.index_select(0, used) + update).to(output.scalar_type()));
}

} // namespace rankscope::plugins

// SPDX-License-Identifier: Apache-2.0
// SparseMoA's router: one of each decoder layer, for all of the layer's adapters.
#pragma once

#include "core/adapter/parameter_store.h"
#include "core/adapter/routing.h"
#include "core/model/sites.h"

#include <cstdint>
#include <functional>
#include <string>

namespace rankscope::plugins
{

/// q = sigmoid(W2 (silu(W1 x) * (W3 x))), threshold tau = tau_max sigmoid(Wt x + bt), x the layer's attention
/// norm's output.
class LayerRouter : public model::LayerAdapter
{
public:
    struct Shape {
        std::int64_t adapters = 6;
        std::int64_t hidden = 0; ///< of the model
        bool sparse = true;      ///< with a threshold
        double thresholdMaximum = 0.5;

        [[nodiscard]] std::int64_t inner() const { return 4 * adapters; }
        [[nodiscard]] std::int64_t count() const;
    };

    LayerRouter(adapter::ParameterStore& store, std::int64_t layer, const Shape& shape);

    void enter(const at::Tensor& normed, const model::Pass& pass) override;

    /// What an adapter adds for some tokens: their inputs [M, in] and weights [M, 1] -> [M, out] in the
    /// adapter's type.
    using Change = std::function<at::Tensor(const at::Tensor&, const at::Tensor&)>;
    /// Adds to `output` [T, out] what adapter `index` changes, computed for the tokens that use it alone.
    [[nodiscard]] at::Tensor add(at::Tensor output, const at::Tensor& x, std::int64_t index,
                                 const Change& change) const;

    void forget() { m_last = adapter::Routing{}; }
    [[nodiscard]] const adapter::Routing& routing() const { return m_last; }

private:
    Shape m_shape;
    at::Tensor m_gate; ///< W1 [c, hidden]
    at::Tensor m_up;   ///< W3 [c, hidden]
    at::Tensor m_down; ///< W2 [n, c]
    at::Tensor m_gateBias;
    at::Tensor m_upBias;
    at::Tensor m_downBias;
    at::Tensor m_threshold;     ///< Wt [1, hidden]; undefined without a threshold
    at::Tensor m_thresholdBias; ///< bt [1]
    adapter::Routing m_last;
    kernels::ExpertGroups m_used; ///< the tokens of each adapter, where there is a threshold
};

} // namespace rankscope::plugins

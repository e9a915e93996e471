// SPDX-License-Identifier: Apache-2.0
// DoRA's half of an update (Liu et al. 2024): a trained length for each row of the weight, whose direction a
// low-rank update turns. Shared by DoRA and by MoG's DoRA form.
#pragma once

#include "core/adapter/delta.h"
#include "core/adapter/derived.h"
#include "core/adapter/parameter_store.h"
#include "core/model/sites.h"

#include <functional>
#include <vector>

namespace rankscope::adapter
{

/// m [out], starting as the row norms of W; V = W + update.
class Magnitude
{
public:
    Magnitude(ParameterStore& store, const model::FrozenLinear& base);

    /// (m / ||V||_row) v + bias for v = V x without bias, in the update's type; rounded to the base's. The
    /// norm is a constant to the gradient (section 4.3 of the paper); it is computed again only once a tensor
    /// of `trained`, which `update` is made of, has changed.
    at::Tensor apply(const at::Tensor& v, const model::FrozenLinear& base,
                     const std::vector<at::Tensor>& trained, const std::function<LowRankDelta()>& update);
    /// (m / ||V||_row) V - W.
    [[nodiscard]] MagnitudeDelta delta(const LowRankDelta& update) const;
    /// |m - m0| / m0 of each row, float64; 0 for a row of W that is zero.
    [[nodiscard]] at::Tensor drift() const;
    void forget() { m_norm.forget(); }

private:
    at::Tensor m_weight;
    at::Tensor m_initial; ///< ||W||_row
    at::Tensor m_magnitude;
    Derived<at::Tensor> m_norm;
};

} // namespace rankscope::adapter

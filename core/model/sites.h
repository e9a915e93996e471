// SPDX-License-Identifier: Apache-2.0
// The places of a frozen base model where an adapter can take part: a linear, an MLP block, a decoder layer.
#pragma once

#include "core/checkpoint/model_config.h"
#include "core/model/pass.h"

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>
#include <vector>

namespace rankscope::model
{

/// A frozen weight [out, in] with optional bias [out]; y = W x + b. Never requires a gradient.
struct FrozenLinear {
    checkpoint::LinearShape shape;
    at::Tensor weight;
    at::Tensor bias; ///< undefined if there is none

    /// x [..., in] -> [..., out], in the weight's type.
    [[nodiscard]] at::Tensor forward(const at::Tensor& x) const;
};

/// What an adapter makes of one linear. x [T, in] -> [T, out], both in the base's type.
class LinearAdapter
{
public:
    virtual ~LinearAdapter() = default;
    virtual at::Tensor forward(const at::Tensor& x, const FrozenLinear& base, const Pass& pass) = 0;
};

/// A linear of the base model and, if one is attached, its adapter (owned by the adapter's own family
/// object).
struct LinearSite {
    FrozenLinear base;
    LinearAdapter* adapter = nullptr;

    [[nodiscard]] at::Tensor forward(const at::Tensor& x, const Pass& pass) const
    {
        return adapter && !pass.bare ? adapter->forward(x, base, pass) : base.forward(x);
    }
};

struct MlpBlock;

/// What an adapter makes of a whole MLP block. x [T, hidden] (already normed) -> [T, hidden].
class MlpAdapter
{
public:
    virtual ~MlpAdapter() = default;
    virtual at::Tensor forward(const at::Tensor& x, const MlpBlock& block, const Pass& pass) = 0;
};

/// down( silu(gate x) * (up x) ). A model with fused projections has one input projection whose output is
/// [gate; up].
struct MlpBlock {
    std::int64_t layer = 0;
    std::vector<LinearSite> inputs; ///< {gate, up} or {gate_up}
    LinearSite down;
    MlpAdapter* adapter = nullptr;

    [[nodiscard]] at::Tensor forward(const at::Tensor& x, const Pass& pass) const;
    /// The block with its own linears (and their adapters), without the block's adapter.
    [[nodiscard]] at::Tensor forwardLinears(const at::Tensor& x, const Pass& pass) const;
    /// silu(gate) * up of what the input projections gave.
    [[nodiscard]] static at::Tensor activate(const std::vector<at::Tensor>& projected);
};

/// Sees the attention norm's output of its layer before anything in the layer is computed (SparseMoA's
/// router).
class LayerAdapter
{
public:
    virtual ~LayerAdapter() = default;
    virtual void enter(const at::Tensor& normed, const Pass& pass) = 0;
};

} // namespace rankscope::model

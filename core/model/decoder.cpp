// SPDX-License-Identifier: Apache-2.0
#include "core/model/decoder.h"

#include "kernels/rms_norm/op.h"
#include "kernels/rotary/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <cmath>

namespace rankscope::model
{
namespace
{

/// Neighbouring rows of equal length are one batched attention; rows come sorted by length, so there are few
/// groups.
struct RowGroup {
    std::int64_t rows = 0;
    std::int64_t length = 0;
};

std::vector<RowGroup> groupRows(const Pass& pass)
{
    std::vector<RowGroup> groups;
    for (std::int64_t row = 0; row < pass.rows(); ++row) {
        const std::int64_t length = pass.starts[row + 1] - pass.starts[row];
        if (length == 0)
            continue;
        if (groups.empty() || groups.back().length != length)
            groups.push_back({0, length});
        ++groups.back().rows;
    }
    return groups;
}

at::Tensor causalAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Pass& pass)
{
    const auto groups = groupRows(pass);
    std::vector<std::int64_t> sizes;
    for (const auto& group : groups)
        sizes.push_back(group.rows * group.length);
    const bool shareKeys = q.size(1) != k.size(1);
    const auto qs = q.split_with_sizes(sizes);
    const auto ks = k.split_with_sizes(sizes);
    const auto vs = v.split_with_sizes(sizes);
    std::vector<at::Tensor> parts;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        auto rows = [&](const at::Tensor& t) {
            return t.view({groups[i].rows, groups[i].length, t.size(1), t.size(2)}).transpose(1, 2);
        };
        const at::Tensor out = at::scaled_dot_product_attention(
            rows(qs[i]), rows(ks[i]), rows(vs[i]), std::nullopt, 0.0, true, std::nullopt, shareKeys);
        parts.push_back(out.transpose(1, 2).reshape({sizes[i], -1}));
    }
    return parts.size() == 1 ? parts.front() : at::cat(parts);
}

/// One new token in each row, against all keys held: one batched attention under a length mask.
at::Tensor stepAttention(const at::Tensor& q, const KvCache& cache, std::int64_t layer, const Pass& pass)
{
    const auto& held = cache.lengths();
    std::int64_t longest = 0;
    for (const std::int64_t length : held)
        longest = std::max(longest, length + 1);
    const at::Tensor& lengths = cache.lengthsOnDevice();
    const at::Tensor mask = (at::arange(longest, lengths.options()).unsqueeze(0) <= lengths.unsqueeze(1))
                                .view({pass.rows(), 1, 1, longest});
    const at::Tensor out = at::scaled_dot_product_attention(
        q.unsqueeze(2), cache.keys(layer).narrow(2, 0, longest), cache.values(layer).narrow(2, 0, longest),
        mask, 0.0, false, std::nullopt, q.size(1) != cache.keys(layer).size(1));
    return out.reshape({pass.rows(), -1});
}

/// Several new tokens behind what is held, row by row.
at::Tensor extendAttention(const at::Tensor& q, const KvCache& cache, std::int64_t layer, const Pass& pass)
{
    std::vector<at::Tensor> parts;
    for (std::int64_t row = 0; row < pass.rows(); ++row) {
        const std::int64_t held = cache.lengths()[row];
        const std::int64_t count = pass.starts[row + 1] - pass.starts[row];
        const auto options = at::TensorOptions(at::kLong).device(q.device());
        const at::Tensor mask = at::arange(held + count, options).unsqueeze(0) <=
                                (at::arange(count, options) + held).unsqueeze(1);
        const at::Tensor out = at::scaled_dot_product_attention(
            q.narrow(0, pass.starts[row], count).transpose(0, 1).unsqueeze(0),
            cache.keys(layer)[row].narrow(1, 0, held + count).unsqueeze(0),
            cache.values(layer)[row].narrow(1, 0, held + count).unsqueeze(0),
            mask.view({1, 1, count, held + count}), 0.0, false, std::nullopt,
            q.size(1) != cache.keys(layer).size(1));
        parts.push_back(out.squeeze(0).transpose(0, 1).reshape({count, q.size(1) * q.size(2)}));
    }
    return at::cat(parts);
}

bool isEmpty(const KvCache& cache)
{
    for (const std::int64_t length : cache.lengths()) {
        if (length != 0)
            return false;
    }
    return true;
}

bool isOneTokenEach(const Pass& pass)
{
    for (std::int64_t row = 0; row < pass.rows(); ++row) {
        if (pass.starts[row + 1] - pass.starts[row] != 1)
            return false; // the number of tokens alone does not tell: one row may wait while another goes two
    }
    return true;
}

} // namespace

at::Tensor Decoder::attention(const DecoderLayer& layer, const at::Tensor& normed, const Pass& pass,
                              const at::Tensor& cosine, const at::Tensor& sine) const
{
    const std::int64_t tokens = normed.size(0);
    const std::int64_t dim = m_config.headDim;
    at::Tensor q;
    at::Tensor k;
    at::Tensor v;
    if (layer.attentionInputs.size() == 3) {
        q = layer.attentionInputs[0].forward(normed, pass);
        k = layer.attentionInputs[1].forward(normed, pass);
        v = layer.attentionInputs[2].forward(normed, pass);
    } else {
        const auto parts =
            layer.attentionInputs[0]
                .forward(normed, pass)
                .split_with_sizes({m_config.heads * dim, m_config.kvHeads * dim, m_config.kvHeads * dim}, 1);
        q = parts[0];
        k = parts[1];
        v = parts[2];
    }
    q = q.reshape({tokens, m_config.heads, dim});
    k = k.reshape({tokens, m_config.kvHeads, dim});
    v = v.reshape({tokens, m_config.kvHeads, dim});
    if (layer.queryNorm.defined()) {
        q = kernels::rmsNorm(q, layer.queryNorm, m_config.normEpsilon);
        k = kernels::rmsNorm(k, layer.keyNorm, m_config.normEpsilon);
    }
    q = kernels::rotary(q, cosine, sine);
    k = kernels::rotary(k, cosine, sine);
    at::Tensor mixed;
    if (!pass.cache) {
        mixed = causalAttention(q, k, v, pass);
    } else {
        const bool fresh = isEmpty(*pass.cache);
        pass.cache->store(layer.index, pass, k, v);
        if (fresh)
            mixed = causalAttention(q, k, v, pass);
        else if (isOneTokenEach(pass))
            mixed = stepAttention(q, *pass.cache, layer.index, pass);
        else
            mixed = extendAttention(q, *pass.cache, layer.index, pass);
    }
    return layer.attentionOutput.forward(mixed, pass);
}

at::Tensor Decoder::layerForward(const DecoderLayer& layer, const at::Tensor& x, const Pass& pass,
                                 const at::Tensor& cosine, const at::Tensor& sine) const
{
    const at::Tensor normed = kernels::rmsNorm(x, layer.attentionNorm, m_config.normEpsilon);
    if (layer.adapter && !pass.bare)
        layer.adapter->enter(normed, pass);
    const at::Tensor attended = x + attention(layer, normed, pass, cosine, sine);
    return attended +
           layer.mlp.forward(kernels::rmsNorm(attended, layer.mlpNorm, m_config.normEpsilon), pass);
}

at::Tensor Decoder::forward(const Pass& pass) const
{
    at::Tensor position = at::tensor(pass.positions, at::kDouble);
    if (pass.cache) {
        auto* value = position.mutable_data_ptr<double>();
        for (std::int64_t row = 0; row < pass.rows(); ++row) {
            for (std::int64_t t = pass.starts[row]; t < pass.starts[row + 1]; ++t)
                value[t] += static_cast<double>(pass.cache->lengths()[row]);
        }
    }
    // Angles in float64: position * frequency loses a digit in float32 beyond a few thousand tokens.
    const auto type = m_dtype == at::kDouble ? at::kDouble : at::kFloat;
    const at::Tensor angle = position.unsqueeze(1) * m_inverseFrequencies.unsqueeze(0);
    const at::Tensor cosine = angle.cos().to(m_device, type);
    const at::Tensor sine = angle.sin().to(m_device, type);

    at::Tensor x = at::embedding(m_embedding, pass.ids);
    for (const auto& layer : m_layers)
        x = layerForward(layer, x, pass, cosine, sine);
    if (pass.cache)
        pass.cache->advance(pass);
    return kernels::rmsNorm(x, m_finalNorm, m_config.normEpsilon);
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const
{
    return at::linear(hidden, m_outputEmbedding).to(m_dtype == at::kDouble ? at::kDouble : at::kFloat);
}

LinearSite* Decoder::linear(std::int64_t layer, const std::string& module)
{
    if (layer < 0 || layer >= static_cast<std::int64_t>(m_layers.size()))
        return nullptr;
    DecoderLayer& found = m_layers[layer];
    auto matches = [&](LinearSite& site) { return site.base.shape.module == module; };
    for (auto& site : found.attentionInputs) {
        if (matches(site))
            return &site;
    }
    if (matches(found.attentionOutput))
        return &found.attentionOutput;
    for (auto& site : found.mlp.inputs) {
        if (matches(site))
            return &site;
    }
    return matches(found.mlp.down) ? &found.mlp.down : nullptr;
}

} // namespace rankscope::model

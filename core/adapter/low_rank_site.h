// SPDX-License-Identifier: Apache-2.0
// A plain LoRA pair on one linear, and a set of them: the LoRA family, and the attention of the MLP-block families.
#pragma once

#include "core/adapter/delta.h"
#include "core/adapter/parameter_store.h"
#include "core/model/decoder.h"

#include <memory>
#include <string>
#include <vector>

namespace rankscope::adapter {

struct LowRankOptions {
    std::int64_t rank = 16;
    double alpha = 16;
    double dropout = 0;
    double bLearningRateFactor = 1; ///< LoRA+ (Hayou et al. 2024): B learns faster than A

    [[nodiscard]] double scale() const { return alpha / static_cast<double>(rank); }
};

/// y = W x + (alpha / r) B A drop(x) (Hu et al. 2021). A Kaiming-uniform, B zero.
class LowRankSite : public model::LinearAdapter
{
public:
    LowRankSite(ParameterStore& store, const checkpoint::LinearShape& shape, const LowRankOptions& options);

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) override;

    [[nodiscard]] LowRankDelta delta() const { return {m_b, m_a, {}, m_options.scale()}; }
    [[nodiscard]] const checkpoint::LinearShape& shape() const { return m_shape; }

private:
    checkpoint::LinearShape m_shape;
    LowRankOptions m_options;
    at::Tensor m_a; ///< [r, in]
    at::Tensor m_b; ///< [out, r]
};

/// Pairs on many linears. Attaches them, finds them again, detaches them.
class LowRankSites
{
public:
    LowRankSites() = default;
    LowRankSites(model::Decoder& model, ParameterStore& store, const std::vector<checkpoint::LinearShape>& linears,
                 const LowRankOptions& options);
    ~LowRankSites();
    LowRankSites(const LowRankSites&) = delete;
    LowRankSites& operator=(const LowRankSites&) = delete;

    /// Elements of these pairs, from shapes alone: r (in + out) each.
    static std::int64_t count(const std::vector<checkpoint::LinearShape>& linears, std::int64_t rank);

    [[nodiscard]] const LowRankSite* find(std::int64_t layer, const std::string& module) const;
    [[nodiscard]] std::vector<DeltaSite> deltaSites() const;
    [[nodiscard]] at::Tensor forward(const LowRankSite& site, const at::Tensor& x) const;

private:
    model::Decoder* m_model = nullptr;
    std::vector<std::unique_ptr<LowRankSite>> m_sites;
};

/// Dropout in the type the adapter computes in; x itself where nothing is dropped.
at::Tensor dropout(const at::Tensor& x, double p, bool training);

} // namespace rankscope::adapter

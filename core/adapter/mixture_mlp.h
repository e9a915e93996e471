// SPDX-License-Identifier: Apache-2.0
// The MLP block as a mixture of experts that share the frozen block (MixLoRA, Li et al. 2024): one router for
// the block, every chosen expert runs the whole block with its own update on each projection. What the update
// is, is the family's.
#pragma once

#include "core/adapter/family.h"
#include "core/adapter/low_rank_site.h"
#include "core/adapter/routing.h"
#include "core/model/decoder.h"

#include <memory>
#include <string>
#include <vector>

namespace rankscope::adapter
{

/// How tokens are sent to experts; the settings every MLP-block family has.
struct MixtureRouting {
    enum class Kind { TopK, TopP, Switch };
    Kind kind = Kind::TopK;
    std::int64_t experts = 8;
    std::int64_t topK = 2; ///< experts of one token; of top-p, what it takes of an even router
    double topP = 0.8;
    std::int64_t capacity = 0; ///< Switch: tokens of one row that one expert takes at most; 0: any number
    double routerStd = 0.02;   ///< of the router's normal initial values
    double jitter = 0;         ///< perturbs router and experts' input in training
    double balanceCoefficient = 1e-3;
    double zCoefficient = 0;
    bool fused = true; ///< each expert runs the whole block; false: experts are summed after each projection

    /// Elements kept for one token by a mixture: each chosen expert's rows through the block.
    [[nodiscard]] std::int64_t activationsPerToken(const checkpoint::ModelConfig& model) const
    {
        return model.layers * topK * (3 * model.feedForward + 2 * model.hidden);
    }

    /// Experts that a token does not use; 0 where their number varies.
    [[nodiscard]] std::int64_t idle() const { return kind == Kind::TopP ? 0 : experts - topK; }

    /// Reads router, experts, topK, topP, capacity, routerStd, jitter, balanceCoefficient, zLossCoefficient.
    static Result<MixtureRouting> read(const Settings& settings);
};

/// The experts' updates of one MLP block.
class BlockExperts
{
public:
    virtual ~BlockExperts() = default;
    /// The projection `module` for rows sorted by expert. `x` [M, in] is each row's input. `base` [M, out] is
    /// what the frozen projection gives for each row. Returns [M, out].
    virtual at::Tensor project(const model::FrozenLinear& linear, const at::Tensor& base, const at::Tensor& x,
                               const kernels::ExpertGroups& groups, const model::Pass& pass) = 0;
    [[nodiscard]] virtual Delta delta(const std::string& module, std::int64_t expert) const = 0;
    /// The part of `base` in what project() returns.
    [[nodiscard]] virtual double baseShare() const { return 1; }
    /// A training pass begins: what was kept to evaluate faster makes room.
    virtual void forget() {}
};

/// One block: router, dispatch, experts, weighted sum.
class MixtureMlp : public model::MlpAdapter
{
public:
    MixtureMlp(ParameterStore& store, const model::MlpBlock& block, const MixtureRouting& routing,
               std::unique_ptr<BlockExperts> experts);

    at::Tensor forward(const at::Tensor& x, const model::MlpBlock& block, const model::Pass& pass) override;

    [[nodiscard]] BlockExperts& experts() const { return *m_experts; }
    void forget();
    /// Of the last pass; its tensors carry gradients. Nothing defined before the first.
    [[nodiscard]] const Routing& routing() const { return m_last; }
    [[nodiscard]] const at::Tensor& logits() const { return m_logits; }
    /// Tokens that chose each expert, [N]: what the balance loss counts. Switch's capacity comes after the
    /// choice; were dropped tokens not counted, a collapse onto one expert would cost nothing.
    [[nodiscard]] at::Tensor chosenLoad() const;

private:
    [[nodiscard]] Routing route(const at::Tensor& logits, const model::Pass& pass) const;

    MixtureRouting m_routing;
    std::unique_ptr<BlockExperts> m_experts;
    at::Tensor m_router; ///< [N, hidden]
    Routing m_last;
    at::Tensor m_logits; ///< [T, N]
};

/// A mixture in every layer's MLP block, plain LoRA on attention, and the balance losses over all layers
/// together.
class MixtureAdapter : public Adapter
{
public:
    using MakeExperts =
        std::function<Result<std::unique_ptr<BlockExperts>>(ParameterStore&, const model::MlpBlock&)>;

    /// `attention`: the linears that receive a plain LoRA pair.
    static Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const AttachOptions& options,
                                                   const MixtureRouting& routing,
                                                   const std::vector<checkpoint::LinearShape>& attention,
                                                   const LowRankOptions& attentionOptions,
                                                   const MakeExperts& make);
    ~MixtureAdapter() override;

    void beginPass(const model::Pass& pass) override;
    at::Tensor auxiliaryLoss() override;
    [[nodiscard]] std::vector<DeltaSite> deltaSites() const override;
    [[nodiscard]] Delta delta(std::int64_t layer, const std::string& module,
                              std::int64_t expert) const override;
    [[nodiscard]] at::Tensor expertForward(std::int64_t layer, const std::string& module, std::int64_t expert,
                                           const at::Tensor& x) const override;
    [[nodiscard]] std::vector<RoutingTrace> routing() const override;

private:
    MixtureAdapter(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                   const MixtureRouting& routing);

    model::Decoder& m_model;
    MixtureRouting m_routing;
    std::unique_ptr<ModuleSites> m_attention;
    std::vector<std::unique_ptr<MixtureMlp>> m_blocks;
};

/// The three (or, fused, two) linears of each MLP block, and the attention linears named in the settings
/// (`attentionTargets`; empty: none).
struct MixtureShapes {
    std::vector<checkpoint::LinearShape> mlp;
    std::vector<checkpoint::LinearShape> attention;
    static Result<MixtureShapes> read(const checkpoint::ModelConfig& model, const Settings& settings);
};

} // namespace rankscope::adapter

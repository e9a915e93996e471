// SPDX-License-Identifier: Apache-2.0
// A mixture of LoRA pairs on one linear, routed at that linear: MoELoRA, MoLoRA, MoLA, AdaMoLE, and with one
// shared A HydraLoRA, and with parameters merged before they are used SMEAR. What a family is beyond its
// router is an option here.
#pragma once

#include "core/adapter/expert_stack.h"
#include "core/adapter/module_adapter.h"

#include <functional>
#include <memory>

namespace rankscope::adapter
{

/// Which experts the tokens of one linear use. Owns the router's tensors.
class ModuleRouter
{
public:
    virtual ~ModuleRouter() = default;
    /// x [T, in] as it enters the linear: a router never sees what dropout made of it.
    virtual Routing route(const at::Tensor& x, const model::Pass& pass) = 0;
};

/// Logits z = Wg x, Wg [N, in], in the adapter's type, and a rule that makes a routing of them.
class LinearRouter : public ModuleRouter
{
public:
    using Rule = std::function<Routing(const at::Tensor& logits, const model::Pass& pass)>;

    LinearRouter(ParameterStore& store, const checkpoint::LinearShape& shape, std::int64_t experts,
                 const Init& init, Rule rule);
    Routing route(const at::Tensor& x, const model::Pass& pass) override;

private:
    at::Tensor m_weight;
    Rule m_rule;
};

struct LoraMixtureOptions {
    enum class Mix {
        Outputs,   ///< sum_j G_j B_j A_j x
        Heads,     ///< sum_j G_j B_j A x: one A for all
        Parameters ///< (sum_j G_j B_j) (sum_k G_k A_k) x
    };
    Mix mix = Mix::Outputs;
    std::int64_t experts = 2;
    std::int64_t used = 0; ///< experts of one token; 0: all, or a number that varies
    std::int64_t rank = 8; ///< of each expert
    double scale = 1;
    double dropout = 0;
    bool dropoutPerExpert = false; ///< each expert drops for itself; false: one drop(x) for all
    Init a = Init::kaimingUniform();
    double bLearningRateFactor = 1;

    /// Reads rank, alpha, dropout and bLearningRateFactor.
    static LoraMixtureOptions read(const Settings& settings);
    /// Elements of the pairs on one linear.
    [[nodiscard]] std::int64_t count(const checkpoint::LinearShape& shape) const;
    /// Those of them that one token does not use.
    [[nodiscard]] std::int64_t idle(const checkpoint::LinearShape& shape) const;
    /// Elements kept of one token for the backward pass.
    [[nodiscard]] std::int64_t activations() const;
};

/// y = W x + scale * (the mixture).
class LoraMixtureSite : public ModuleSite
{
public:
    LoraMixtureSite(ParameterStore& store, const checkpoint::LinearShape& shape,
                    const LoraMixtureOptions& options, std::unique_ptr<ModuleRouter> router);

    at::Tensor forward(const at::Tensor& x, const model::FrozenLinear& base,
                       const model::Pass& pass) override;

    [[nodiscard]] std::int64_t experts() const override { return m_options.experts; }
    [[nodiscard]] Delta delta(std::int64_t expert) const override
    {
        return m_pairs.delta(expert, m_options.scale);
    }
    [[nodiscard]] Delta meanDelta(const at::Tensor& weights) const override;
    [[nodiscard]] at::Tensor expertForward(std::int64_t expert, const at::Tensor& x,
                                           const model::FrozenLinear& base) override
    {
        return m_pairs.alone(x, base, expert, m_options.scale);
    }

    void beginPass() override { m_last = Routing{}; }
    [[nodiscard]] const Routing* routing() const override { return &m_last; }
    [[nodiscard]] const ModuleRouter& router() const { return *m_router; }

private:
    /// All experts for all tokens, as one product over all ranks; the gates between A and B are 0 where one
    /// is unused.
    at::Tensor dense(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) const;
    /// Each expert for its own tokens only.
    at::Tensor sorted(const at::Tensor& x, const model::FrozenLinear& base, const model::Pass& pass) const;
    /// Are so many ranks idle that sorting tokens costs less than computing them?
    [[nodiscard]] bool mostlyIdle() const;

    LoraMixtureOptions m_options;
    ExpertStack m_pairs;
    std::unique_ptr<ModuleRouter> m_router;
    Routing m_last;
};

/// A family that puts such a site on each of its `targets`.
class LoraMixtureFamily : public Family
{
public:
    using MakeRouter = std::function<std::unique_ptr<ModuleRouter>(
        ParameterStore&, const checkpoint::LinearShape&, const LoraMixtureOptions&)>;

    [[nodiscard]] Result<Plan> plan(const checkpoint::ModelConfig& model,
                                    const Settings& settings) const override;
    [[nodiscard]] Result<std::unique_ptr<Adapter>> attach(model::Decoder& model, const Settings& settings,
                                                          const AttachOptions& options) const override;

protected:
    /// What stands on one linear. Here: experts, rank, alpha / rank, dropout and bLearningRateFactor as the
    /// settings of those names say. Errors: settings that do not go together.
    [[nodiscard]] virtual Result<LoraMixtureOptions> options(const checkpoint::ModelConfig& model,
                                                             const Settings& settings,
                                                             const checkpoint::LinearShape& shape) const;
    /// The routers of one adapter, made linear by linear; what they share is made with the first.
    [[nodiscard]] virtual MakeRouter routers(const Settings& settings) const = 0;
    /// Elements of the router of one linear; here Wg [N, in].
    [[nodiscard]] virtual std::int64_t routerCount(const checkpoint::LinearShape& shape, std::int64_t experts,
                                                   const Settings&) const
    {
        return experts * shape.in;
    }
    /// Elements that all routers share.
    [[nodiscard]] virtual std::int64_t sharedCount(const Settings&) const { return 0; }
    /// An adapter of these sites; a family with a loss or measures of its own makes its own.
    [[nodiscard]] virtual std::unique_ptr<Adapter> make(model::Decoder& model,
                                                        std::unique_ptr<ParameterStore> store,
                                                        const std::vector<checkpoint::LinearShape>& linears,
                                                        const ModuleSites::Make& site,
                                                        const Settings& settings) const;
};

} // namespace rankscope::adapter

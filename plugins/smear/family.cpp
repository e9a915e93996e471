// SPDX-License-Identifier: Apache-2.0
// SMEAR: experts are merged before they are used, y = W x + s (sum_j g_j B_j) (sum_j g_j A_j) drop(x), with
// one g for all tokens of a sequence.
#include "core/adapter/inside_measures.h"
#include "core/adapter/lora_mixture.h"
#include "core/adapter/targets.h"
#include "core/model/kv_cache.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <algorithm>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

struct RouterOptions {
    bool perToken = false;   ///< g for each token instead of each row
    bool promptOnly = false; ///< pool the prompt's tokens only
    bool normalised = false; ///< layer norms on pooled input and expert vectors, and a bias
    double expertDropout = 0;

    static RouterOptions read(const Settings& settings)
    {
        return {settings.text("level") == "token", settings.text("pool") == "prompt_only",
                settings.boolean("normaliseRouter"), settings.number("expertDropout")};
    }
};

class SmearRouter : public ModuleRouter
{
public:
    SmearRouter(ParameterStore& store, const checkpoint::LinearShape& shape, std::int64_t experts,
                const RouterOptions& options)
        : m_options(options),
          m_weight(
              store.add(tensorName(shape.path, "router.weight"), {experts, shape.in}, Init::kaimingUniform()))
    {
        if (!options.normalised)
            return;
        // The released router's scale: of the norm over the expert vectors, not of the one over the input.
        const Init small = Init::from(at::full({shape.in}, 0.01, at::TensorOptions(at::kDouble)));
        auto add = [&](const char* name, std::int64_t size, const Init& init) {
            return store.add(tensorName(shape.path, name), {size}, init);
        };
        m_inputScale = add("router.input_norm.weight", shape.in, Init::ones());
        m_inputShift = add("router.input_norm.bias", shape.in, Init::zeros());
        m_expertScale = add("router.expert_norm.weight", shape.in, small);
        m_expertShift = add("router.expert_norm.bias", shape.in, Init::zeros());
        m_bias = add("router.bias", experts, Init::zeros());
    }

    Routing route(const at::Tensor& x, const model::Pass& pass) override
    {
        if (m_options.perToken) {
            const at::Tensor p = at::softmax(logits(x), -1);
            m_gates = dropExperts(p, pass);
            return {p, {}, {}, m_gates};
        }
        m_gates = rowGates(x, pass);
        return routeRows(m_gates, pass.rowOfToken());
    }

    /// Of the last pass: [rows, N], or [T, N] with one for each token.
    [[nodiscard]] const at::Tensor& gates() const { return m_gates; }

private:
    [[nodiscard]] at::Tensor logits(const at::Tensor& x) const
    {
        if (!m_options.normalised)
            return kernels::lowRankDown(x, m_weight);
        const at::IntArrayRef width = m_inputScale.sizes();
        const at::Tensor input =
            at::layer_norm(x.to(m_weight.scalar_type()), width, m_inputScale, m_inputShift);
        return at::linear(input, at::layer_norm(m_weight, width, m_expertScale, m_expertShift), m_bias);
    }

    [[nodiscard]] at::Tensor rowGates(const at::Tensor& x, const model::Pass& pass) const
    {
        if (!pass.cache)
            return dropExperts(at::softmax(logits(pooled(sums(x, pass))), -1), pass);
        // Decoding. The prompt's gates hold for what follows it; a pool over the sequence takes in what is
        // new, so it is the mean of all tokens so far.
        at::Tensor& state = pass.cache->adapterState[this];
        if (m_options.promptOnly) {
            if (!state.defined())
                state = at::softmax(logits(pooled(sums(x, pass))), -1);
            return state;
        }
        const at::Tensor seen = sums(x, pass);
        state = state.defined() ? state + seen : seen;
        return at::softmax(logits(pooled(state)), -1);
    }

    /// The pool of each row as sum and number of its tokens, [rows, in + 1].
    [[nodiscard]] at::Tensor sums(const at::Tensor& x, const model::Pass& pass) const
    {
        const auto type = m_weight.scalar_type();
        if (!m_options.promptOnly || pass.promptLengths.empty())
            return summed(x.to(type), pass.rowOfToken(), pass.rows());
        std::vector<std::int64_t> token;
        std::vector<std::int64_t> row;
        for (std::int64_t b = 0; b < pass.rows(); ++b) {
            // A row without a prompt is pooled over its first token, which every token of it may see.
            const std::int64_t count = std::min(pass.starts[b + 1] - pass.starts[b],
                                                std::max<std::int64_t>(1, pass.promptLengths[b]));
            for (std::int64_t t = 0; t < count; ++t) {
                token.push_back(pass.starts[b] + t);
                row.push_back(b);
            }
        }
        const auto index = [&](const std::vector<std::int64_t>& values) {
            return at::tensor(values, at::kLong).to(x.device());
        };
        const bool all = static_cast<std::int64_t>(token.size()) == x.size(0);
        return summed((all ? x : x.index_select(0, index(token))).to(type), index(row), pass.rows());
    }

    static at::Tensor summed(const at::Tensor& tokens, const at::Tensor& row, std::int64_t rows)
    {
        const at::Tensor sum = at::zeros({rows, tokens.size(1)}, tokens.options().requires_grad(false));
        return at::cat({sum.index_add(0, row, tokens),
                        kernels::countEach(row, rows).to(tokens.scalar_type()).unsqueeze(1)},
                       1);
    }

    static at::Tensor pooled(const at::Tensor& sums)
    {
        const std::int64_t width = sums.size(1) - 1;
        return sums.narrow(1, 0, width) / sums.narrow(1, width, 1).clamp_min(1);
    }

    /// Training: each expert is left out with a probability, and the rest renormalised; where all would be,
    /// none is.
    [[nodiscard]] at::Tensor dropExperts(const at::Tensor& p, const model::Pass& pass) const
    {
        if (!pass.training || m_options.expertDropout == 0)
            return p;
        // Drawn on the CPU, whose generator a checkpoint keeps.
        at::Tensor kept = at::rand(p.sizes(), at::TensorOptions(at::kDouble)) >= m_options.expertDropout;
        kept = kept.logical_or(kept.any(-1, true).logical_not());
        const at::Tensor weights = p * kept.to(p.device(), p.scalar_type());
        return weights / weights.sum(-1, true);
    }

    RouterOptions m_options;
    at::Tensor m_weight;     ///< [N, in]
    at::Tensor m_inputScale; ///< [in], as the next three; defined where the router is normalised
    at::Tensor m_inputShift;
    at::Tensor m_expertScale;
    at::Tensor m_expertShift;
    at::Tensor m_bias; ///< [N]
    at::Tensor m_gates;
};

const at::Tensor& gatesOf(const ModuleSite& site)
{
    const auto& router = static_cast<const LoraMixtureSite&>(site).router();
    return static_cast<const SmearRouter&>(router).gates();
}

class Smear : public ModuleAdapter
{
public:
    using ModuleAdapter::ModuleAdapter;

    [[nodiscard]] std::vector<InsideMeasure> inside() const override
    {
        if (sites().all().empty() || !gatesOf(*sites().all().front()).defined())
            return {};
        const auto experts = numberedAxis("expert", sites().all().front()->experts());
        return {
            siteMeasure(
                sites(),
                {"smear/pooled_weights",
                 "Merging weights",
                 "",
                 "Mean over the last pass's sequences (tokens with level = token) of g_j, the share of "
                 "expert j in the merged pair.",
                 {experts},
                 {}},
                [](const ModuleSite& site) { return gatesOf(site).detach().mean(0); }),
            siteMeasure(
                sites(),
                {"smear/weight_spread",
                 "Spread of the merging weights",
                 "",
                 "Standard deviation of g_j between the sequences of the last pass; 0: every sequence "
                 "merges alike.",
                 {experts},
                 {}},
                [](const ModuleSite& site) { return gatesOf(site).detach().std(0, /*unbiased=*/false); })};
    }
};

class SmearFamily : public LoraMixtureFamily
{
protected:
    [[nodiscard]] Result<LoraMixtureOptions> options(const checkpoint::ModelConfig& model,
                                                     const Settings& settings,
                                                     const checkpoint::LinearShape& shape) const override
    {
        RANKSCOPE_TRY(auto options, LoraMixtureFamily::options(model, settings, shape));
        options.mix = LoraMixtureOptions::Mix::Parameters;
        return options;
    }

    [[nodiscard]] MakeRouter routers(const Settings& settings) const override
    {
        return [options = RouterOptions::read(settings)](ParameterStore& store,
                                                         const checkpoint::LinearShape& shape,
                                                         const LoraMixtureOptions& mixture) {
            return std::make_unique<SmearRouter>(store, shape, mixture.experts, options);
        };
    }

    [[nodiscard]] std::int64_t routerCount(const checkpoint::LinearShape& shape, std::int64_t experts,
                                           const Settings& settings) const override
    {
        return experts * shape.in + (settings.boolean("normaliseRouter") ? 4 * shape.in + experts : 0);
    }

    [[nodiscard]] std::unique_ptr<Adapter> make(model::Decoder& model, std::unique_ptr<ParameterStore> store,
                                                const std::vector<checkpoint::LinearShape>& linears,
                                                const ModuleSites::Make& site, const Settings&) const override
    {
        return std::make_unique<Smear>(model, std::move(store), linears, site);
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::SmearFamily)

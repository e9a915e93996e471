// SPDX-License-Identifier: Apache-2.0
// Routers and matrix-product operators at random shapes against their closed forms.
#include "core/adapter/delta.h"
#include "core/adapter/routing.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <algorithm>
#include <numeric>
#include <rapidcheck.h>

using namespace rankscope::adapter;

namespace
{

std::int64_t between(std::int64_t low, std::int64_t high)
{
    return *rc::gen::inRange<std::int64_t>(low, high + 1);
}

at::Tensor normal(const std::vector<std::int64_t>& shape)
{
    auto generator = at::make_generator<at::CPUGeneratorImpl>(*rc::gen::arbitrary<std::uint32_t>());
    return at::randn(shape, generator, at::TensorOptions(at::kDouble));
}

bool same(const at::Tensor& a, const at::Tensor& b, double tolerance = 1e-11)
{
    return a.sizes() == b.sizes() && (a.numel() == 0 || (a - b).abs().max().item<double>() <= tolerance);
}

/// The k largest of one row, ties to the lower index, by plain sorting.
std::vector<std::int64_t> largest(const at::Tensor& row, std::int64_t k)
{
    std::vector<std::int64_t> order(static_cast<std::size_t>(row.numel()));
    std::iota(order.begin(), order.end(), 0);
    const auto* value = row.const_data_ptr<double>();
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return value[a] > value[b]; });
    order.resize(static_cast<std::size_t>(k));
    return order;
}

/// Logits with many ties: few different values.
at::Tensor drawLogits(std::int64_t tokens, std::int64_t experts)
{
    const at::Tensor z = normal({tokens, experts});
    return between(0, 1) == 1 ? z : z.round();
}

void routers()
{
    const std::int64_t tokens = between(1, 6);
    const std::int64_t experts = between(1, 9);
    const std::int64_t k = between(1, experts);
    const at::Tensor z = drawLogits(tokens, experts);
    const at::Tensor bias = normal({experts}).round() / 2;
    const Routing renormalised = routeTopK(z, k);
    const Routing raw = routeTopK(z, k, false);
    const Routing biased = routeTopKSoftmaxBias(z, bias, k);
    const Routing sigmoid = routeSigmoidTopK(z, bias.abs(), k);
    RC_ASSERT(same(routeSoft(z).dense().sum(-1), at::ones({tokens}, z.options())));
    RC_ASSERT(same(routeSoft(z).dense(), at::softmax(z, -1)));
    for (std::int64_t t = 0; t < tokens; ++t) {
        auto check = [&](const Routing& routing, const at::Tensor& ranked, auto weight, double sum) {
            const auto chosen = largest(ranked, k);
            at::Tensor expected = at::zeros({experts}, z.options());
            double total = 0;
            for (const auto e : chosen)
                total += weight(e);
            for (const auto e : chosen)
                expected[e] = sum == 0 ? weight(e) : weight(e) / total * sum;
            RC_ASSERT(same(routing.dense()[t], expected));
            for (std::int64_t i = 0; i < k; ++i)
                RC_ASSERT(routing.choice[t][i].item<std::int64_t>() == chosen[static_cast<std::size_t>(i)]);
        };
        // Softmax over the kept logits.
        check(
            renormalised, z[t].contiguous(), [&](std::int64_t e) { return std::exp(z[t][e].item<double>()); },
            1);
        check(
            raw, z[t].contiguous(), [&](std::int64_t e) { return at::softmax(z[t], -1)[e].item<double>(); },
            0);
        const at::Tensor zb = (z[t] + bias).contiguous();
        check(
            biased, zb, [&](std::int64_t e) { return std::exp(zb[e].item<double>()); }, 1);
        const at::Tensor q = (at::sigmoid(z[t]) + bias.abs()).contiguous();
        check(
            sigmoid, q, [&](std::int64_t e) { return q[e].item<double>(); }, static_cast<double>(k));
    }
    RC_ASSERT(renormalised.load().sum().item<double>() == static_cast<double>(k * tokens));
}

/// Units that share a score tie: the lower index wins, wherever rounding would put the others.
void sharedScores()
{
    const std::int64_t tokens = between(1, 6);
    const std::int64_t groups = between(1, 5);
    const std::int64_t sharing = between(1, 5);
    const std::int64_t k = between(1, groups * sharing);
    const at::Tensor z = normal({tokens, groups}).to(between(0, 1) == 1 ? at::kDouble : at::kFloat);
    const at::Tensor bias = at::zeros({groups * sharing}, z.options());
    const Routing softmax = routeTopKSoftmaxBias(z, bias, k);
    const Routing sigmoid = routeSigmoidTopK(z, bias, k);
    for (std::int64_t t = 0; t < tokens; ++t) {
        const auto chosen = largest(z[t].to(at::kDouble).repeat_interleave(sharing).contiguous(), k);
        for (std::int64_t i = 0; i < k; ++i) {
            RC_ASSERT(softmax.choice[t][i].item<std::int64_t>() == chosen[static_cast<std::size_t>(i)]);
            RC_ASSERT(sigmoid.choice[t][i].item<std::int64_t>() == chosen[static_cast<std::size_t>(i)]);
        }
    }
}

void topP()
{
    const std::int64_t tokens = between(1, 6);
    const std::int64_t experts = between(1, 9);
    const double share = static_cast<double>(between(1, 100)) / 100;
    // Steep ones too, of which some experts' probabilities are nothing next to 1.
    const at::Tensor z = normal({tokens, experts}) * static_cast<double>(between(0, 1) == 1 ? 1 : 30);
    const Routing routing = routeTopP(z, share);
    for (std::int64_t t = 0; t < tokens; ++t) {
        const at::Tensor p = at::softmax(z[t], -1).contiguous();
        double reached = 0;
        at::Tensor expected = at::zeros({experts}, z.options());
        for (const auto e : largest(p, experts)) {
            if (share < 1 && reached >= share)
                break;
            reached += p[e].item<double>();
            expected[e] = p[e];
        }
        RC_ASSERT(same(routing.dense()[t], expected / reached));
    }
    RC_ASSERT(routing.load().equal((routing.dense() > 0).sum(0).to(at::kDouble)));
}

MpoLegs drawLegs()
{
    const std::int64_t cores = 2 * between(1, 3) + 1;
    MpoLegs legs;
    for (std::int64_t k = 0; k < cores; ++k) {
        legs.rows.push_back(between(1, 3));
        legs.columns.push_back(between(1, 3));
    }
    return legs;
}

std::int64_t product(const std::vector<std::int64_t>& values)
{
    return std::accumulate(values.begin(), values.end(), std::int64_t{1}, std::multiplies<>());
}

void mpo()
{
    const MpoLegs legs = drawLegs();
    const bool transposed = between(0, 1) == 1;
    const std::int64_t rows = product(legs.rows);
    const std::int64_t columns = product(legs.columns);
    const at::Tensor weight = transposed ? normal({columns, rows}) : normal({rows, columns});
    const auto cores = sideCores(weight, legs, transposed);
    const auto d = legs.bonds();
    RC_ASSERT(cores.size() == legs.cores());
    std::int64_t side = 0;
    for (std::size_t k = 0; k < cores.size(); ++k) {
        if (k == legs.centre()) {
            RC_ASSERT(!cores[k].defined());
            continue;
        }
        RC_ASSERT(cores[k].sizes() == at::IntArrayRef({d[k], legs.rows[k], legs.columns[k], d[k + 1]}));
        side += cores[k].numel();
        const bool left = k < legs.centre();
        const at::Tensor matrix = left ? cores[k].reshape({-1, d[k + 1]}) : cores[k].reshape({d[k], -1}).t();
        RC_ASSERT(same(at::matmul(matrix.t(), matrix), at::eye(matrix.size(1), matrix.options())));
    }
    RC_ASSERT(side == legs.sideElements());
    // The initial cores give W back.
    const MpoDelta initial{legs, cores, cores, weight, transposed, 0.5};
    RC_ASSERT(same(initial.expertMatrix(), weight));
    RC_ASSERT(same(denseDelta(initial), at::zeros_like(weight)));
    // E is linear in each core: three times the first one gives 3 W, and (3 W - W) / 2 = W.
    auto scaled = cores;
    scaled[0] = cores[0] * 3;
    RC_ASSERT(same(denseDelta(MpoDelta{legs, scaled, cores, weight, transposed, 0.5}), weight));
}

} // namespace

int main()
{
    bool held = rc::check("routers that keep k experts", routers);
    held = rc::check("units that share a score", sharedScores) && held;
    held = rc::check("top-p", topP) && held;
    held = rc::check("matrix-product operators", mpo) && held;
    return held ? 0 : 1;
}

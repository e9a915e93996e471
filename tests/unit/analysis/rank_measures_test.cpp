// SPDX-License-Identifier: Apache-2.0
// Rank measures against closed forms, and singular values from factors against a dense decomposition.
#include "core/analysis/rank_measures.h"
#include "tests/unit/analysis/given_adapter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/diag_embed.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

namespace rankscope::analysis
{
namespace
{

using adapter::DenseDelta;
using adapter::LowRankDelta;

RankMeasures of(const std::vector<double>& spectrum)
{
    return rankMeasures(at::tensor(spectrum, at::kDouble));
}

TEST(RankMeasures, OfTheIdentityAreItsSize)
{
    const RankMeasures ranks =
        rankMeasures(singularValues(DenseDelta{at::eye(7, at::TensorOptions(at::kDouble))}));
    EXPECT_NEAR(ranks.entropy, 7, 1e-9);
    EXPECT_NEAR(ranks.stable, 7, 1e-9);
    EXPECT_NEAR(ranks.nuclear, 7, 1e-9);
}

TEST(RankMeasures, OfRankOneAreOne)
{
    const LowRankDelta one{normal({9, 1}, 1), normal({1, 6}, 2), {}, 3};
    const RankMeasures ranks = rankMeasures(singularValues(one));
    EXPECT_NEAR(ranks.entropy, 1, 1e-9);
    EXPECT_NEAR(ranks.stable, 1, 1e-9);
    EXPECT_NEAR(ranks.nuclear, 1, 1e-9);
    // The same hidden in factors of rank 8, and in a dense matrix.
    const at::Tensor b = at::matmul(normal({9, 1}, 1), normal({1, 8}, 5));
    const LowRankDelta hidden{b, normal({8, 6}, 6), {}, 3};
    EXPECT_NEAR(rankMeasures(singularValues(hidden)).entropy, 1, 1e-5);
    EXPECT_NEAR(rankMeasures(singularValues(DenseDelta{adapter::denseDelta(hidden)})).stable, 1, 1e-9);
}

TEST(RankMeasures, OfKnownSpectra)
{
    const RankMeasures ranks = of({4, 2, 2});
    // p = {1/2, 1/4, 1/4}: entropy 1.5 ln 2; 24 / 16; 8 / 4.
    EXPECT_NEAR(ranks.entropy, std::exp2(1.5), 1e-12);
    EXPECT_NEAR(ranks.stable, 1.5, 1e-12);
    EXPECT_NEAR(ranks.nuclear, 2, 1e-12);
    EXPECT_NEAR(of({2, 4, 2}).entropy, ranks.entropy, 1e-12) << "in any order";
    EXPECT_NEAR(of({4e9, 2e9, 2e9}).entropy, ranks.entropy, 1e-12) << "of any scale";
    EXPECT_NEAR(of({4, 2, 2, 0, 0}).entropy, ranks.entropy, 1e-12) << "zeros add nothing";
}

TEST(RankMeasures, OfAZeroUpdateAreNotMeasured)
{
    const LowRankDelta fresh{at::zeros({5, 3}), at::ones({3, 4}), {}, 2};
    for (const RankMeasures& ranks : {of({0, 0}), rankMeasures(singularValues(fresh)),
                                      rankMeasures(singularValues(DenseDelta{at::zeros({4, 4})}))}) {
        EXPECT_TRUE(std::isnan(ranks.entropy));
        EXPECT_TRUE(std::isnan(ranks.stable));
        EXPECT_TRUE(std::isnan(ranks.nuclear));
    }
}

/// Largest first, and equal to the dense decomposition's as far as it goes; beyond the rank there is nothing.
void agrees(const at::Tensor& actual, const at::Tensor& dense, const std::string& what)
{
    const at::Tensor expected = at::linalg_svdvals(dense.to(at::kDouble));
    EXPECT_EQ(actual.scalar_type(), at::kDouble);
    const double tolerance = 1e-7 * std::max(1.0, expected[0].item<double>());
    const std::int64_t count = std::min(actual.numel(), expected.numel());
    EXPECT_LT((actual.narrow(0, 0, count) - expected.narrow(0, 0, count)).abs().max().item<double>(),
              tolerance)
        << what;
    for (const at::Tensor& rest : {actual.narrow(0, count, actual.numel() - count),
                                   expected.narrow(0, count, expected.numel() - count)}) {
        if (rest.numel() > 0) {
            EXPECT_LT(rest.abs().max().item<double>(), tolerance) << what;
        }
    }
    for (std::int64_t i = 1; i < actual.numel(); ++i)
        EXPECT_GE(actual[i - 1].item<double>(), actual[i].item<double>()) << what;
}

LowRankDelta anyUpdate(std::mt19937_64& random)
{
    auto size = [&](std::uint64_t most) { return static_cast<std::int64_t>(1 + random() % most); };
    const std::int64_t rank = size(10); // may exceed both sides
    LowRankDelta delta{normal({size(14), rank}, random()),
                       normal({rank, size(14)}, random()),
                       {},
                       (random() % 2 ? 1 : -1) * (0.1 + static_cast<double>(random() % 40))};
    if (const auto kind = random() % 3; kind == 1)
        delta.core = normal({rank, rank}, random());
    else if (kind == 2)
        delta.core = normal({rank}, random());
    return delta;
}

TEST(SingularValues, OfFactorsAreThoseOfTheirProduct)
{
    std::mt19937_64 random(3);
    for (int i = 0; i < 200; ++i) {
        const LowRankDelta delta = anyUpdate(random);
        at::Tensor core = at::eye(delta.a.size(0), delta.a.options());
        if (delta.core.defined())
            core = delta.core.dim() == 1 ? at::diag_embed(delta.core) : delta.core;
        agrees(singularValues(delta), delta.scale * at::matmul(delta.b, at::matmul(core, delta.a)),
               std::to_string(i));
    }
}

TEST(SingularValues, OfManyUpdatesAreThoseOfEach)
{
    std::mt19937_64 random(4);
    std::vector<LowRankDelta> deltas;
    for (int i = 0; i < 30; ++i) {
        deltas.push_back(anyUpdate(random));
        // The same shape once more, with and without a core: one batch must not mix them up.
        LowRankDelta twin = deltas.back();
        twin.b = normal(twin.b.sizes().vec(), random());
        twin.core = twin.core.defined() ? at::Tensor() : normal({twin.a.size(0)}, random());
        deltas.push_back(twin);
    }
    const auto values = singularValues(deltas);
    ASSERT_EQ(values.size(), deltas.size());
    for (std::size_t i = 0; i < deltas.size(); ++i)
        agrees(values[i], adapter::denseDelta(deltas[i]), std::to_string(i));
}

TEST(SingularValues, OfDenseUpdatesAreThoseOfTheMatrix)
{
    for (const auto& shape :
         std::vector<std::vector<std::int64_t>>{{6, 11}, {11, 6}, {8, 8}, {1, 5}, {5, 1}}) {
        const at::Tensor matrix = normal(shape, 12);
        agrees(singularValues(DenseDelta{matrix}), matrix, std::to_string(shape[0]));
    }
    // As an adapter holds them: float32, with gradients on.
    const LowRankDelta trained{normal({9, 3}, 1).to(at::kFloat).set_requires_grad(true),
                               normal({3, 7}, 2).to(at::kFloat).set_requires_grad(true),
                               {},
                               2};
    agrees(singularValues(trained), adapter::denseDelta(trained).detach(), "float32");
}

TEST(SingularValues, OfRowsBroughtToALengthAreThoseOfTheWholeChange)
{
    std::mt19937_64 random(5);
    for (int i = 0; i < 20; ++i) {
        const LowRankDelta update = anyUpdate(random);
        const at::Tensor weight = normal({update.b.size(0), update.a.size(1)}, random());
        const at::Tensor magnitude = normal({update.b.size(0)}, random()).abs();
        at::Tensor turned = weight + adapter::denseDelta(update);
        turned = turned * (magnitude / turned.norm(2, {1})).unsqueeze(1);
        agrees(singularValues(adapter::MagnitudeDelta{update, magnitude, weight}), turned - weight,
               std::to_string(i));
    }
}

} // namespace
} // namespace rankscope::analysis

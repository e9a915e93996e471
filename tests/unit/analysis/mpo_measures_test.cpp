// SPDX-License-Identifier: Apache-2.0
#include "core/analysis/mpo_measures.h"
#include "tests/unit/analysis/given_adapter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_svdvals.h>
#include <gtest/gtest.h>

namespace rankscope::analysis
{
namespace
{

adapter::MpoDelta anyOperator(bool transposed)
{
    const adapter::MpoLegs legs{{2, 3, 2}, {3, 2, 2}};
    adapter::MpoDelta delta{legs, {}, {}, normal({12, 12}, 1), transposed, 0.5};
    delta.initial = adapter::sideCores(delta.weight, legs, transposed);
    delta.cores = delta.initial;
    delta.cores[0] = delta.cores[0] + 0.3 * normal(delta.cores[0].sizes().vec(), 2);
    delta.cores[2] = delta.cores[2] + 0.3 * normal(delta.cores[2].sizes().vec(), 3);
    return delta;
}

TEST(CutSpectra, AreThoseOfTheRegroupedMatrix)
{
    for (const bool transposed : {false, true}) {
        const auto delta = anyOperator(transposed);
        const at::Tensor expert = delta.expertMatrix();
        const at::Tensor legs = (transposed ? expert.t() : expert)
                                    .reshape({2, 3, 2, 3, 2, 2})
                                    .permute({0, 3, 1, 4, 2, 5})
                                    .contiguous();
        const auto spectra = cutSpectra(delta);
        ASSERT_EQ(spectra.size(), 2U);
        std::int64_t left = 1;
        for (std::int64_t cut = 1; cut <= 2; ++cut) {
            left *= legs.size(2 * cut - 2) * legs.size(2 * cut - 1);
            const at::Tensor expected = at::linalg_svdvals(legs.reshape({left, -1}));
            const at::Tensor& actual = spectra[static_cast<std::size_t>(cut) - 1];
            ASSERT_EQ(actual.sizes(), expected.sizes());
            EXPECT_EQ(actual.numel(), delta.legs.bonds()[static_cast<std::size_t>(cut)])
                << "one for each bond index";
            EXPECT_LT((actual - expected).abs().max().item<double>(), 1e-7);
        }
    }
}

TEST(CoreDrift, IsRelativeToTheInitialCore)
{
    auto delta = anyOperator(false);
    delta.cores = delta.initial;
    EXPECT_EQ(coreDrift(delta, 0), 0);
    EXPECT_EQ(coreDrift(delta, 1), 0) << "the frozen centre";
    delta.cores[0] = delta.initial[0] * 1.25;
    EXPECT_NEAR(coreDrift(delta, 0), 0.25, 1e-12);
    delta.cores[2] = delta.initial[2] * -1;
    EXPECT_NEAR(coreDrift(delta, 2), 2, 1e-12);
}

} // namespace
} // namespace rankscope::analysis

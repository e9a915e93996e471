// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/parameter_store.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <cmath>
#include <gtest/gtest.h>

namespace rankscope::adapter
{
namespace
{

ParameterStore store(std::uint64_t seed = 1, at::ScalarType type = at::kDouble)
{
    return {type, at::kCPU, seed};
}

/// All values lie within the bounds and come near both of them.
void fills(const at::Tensor& values, double halfWidth)
{
    EXPECT_LE(values.max().item<double>(), halfWidth);
    EXPECT_GE(values.min().item<double>(), -halfWidth);
    EXPECT_GT(values.max().item<double>(), 0.95 * halfWidth);
    EXPECT_LT(values.min().item<double>(), -0.95 * halfWidth);
    EXPECT_NEAR(values.std().item<double>(), halfWidth / std::sqrt(3.0), 0.05 * halfWidth);
}

TEST(ParameterStore, InitialValuesFollowTheirDistribution)
{
    auto made = store();
    fills(made.add("kaiming", {50, 64}, Init::kaimingUniform()), 1 / 8.0);
    fills(made.add("stack", {5, 20, 64}, Init::kaimingUniform()), 1 / 8.0);
    fills(made.add("uniform", {50, 60}, Init::uniform(0.02)), 0.02);
    fills(made.add("xavier", {50, 100}, Init::xavierUniform(0.5)), 0.5 * std::sqrt(6.0 / 150));
    const at::Tensor normal = made.add("normal", {100, 100}, Init::normal(0.02));
    EXPECT_NEAR(normal.std().item<double>(), 0.02, 0.001);
    EXPECT_NEAR(normal.mean().item<double>(), 0, 0.001);
    EXPECT_TRUE((made.add("zeros", {3, 4}, Init::zeros()) == 0).all().item<bool>());
    EXPECT_TRUE((made.add("ones", {3, 4}, Init::ones()) == 1).all().item<bool>());
    const at::Tensor given = at::full({2, 2}, 3.5, at::TensorOptions(at::kDouble));
    const at::Tensor copy = made.add("given", {2, 2}, Init::from(given));
    EXPECT_TRUE(copy.equal(given));
    EXPECT_NE(copy.data_ptr(), given.data_ptr()) << "a copy of its own";
}

TEST(ParameterStore, TheSameSeedGivesTheSameBitsInEveryType)
{
    auto first = store(5);
    auto second = store(5);
    auto other = store(6);
    auto single = store(5, at::kFloat);
    const at::Tensor a = first.add("a", {7, 9}, Init::kaimingUniform());
    EXPECT_TRUE(a.equal(second.add("a", {7, 9}, Init::kaimingUniform())));
    EXPECT_FALSE(a.equal(other.add("a", {7, 9}, Init::kaimingUniform())));
    EXPECT_TRUE(a.to(at::kFloat).equal(single.add("a", {7, 9}, Init::kaimingUniform())));
    EXPECT_FALSE(a.equal(first.add("b", {7, 9}, Init::kaimingUniform()))) << "each tensor draws anew";
}

TEST(ParameterStore, BuffersAreSavedButNotTrained)
{
    auto made = store();
    made.add("weight", {2, 3}, Init::zeros(), 4.0);
    made.addBuffer("bias", {5}, Init::ones());
    EXPECT_EQ(made.trainableElements(), 6);
    ASSERT_EQ(made.all().size(), 2U);
    ASSERT_EQ(made.trainable().size(), 1U);
    EXPECT_EQ(made.trainable()[0].name, "weight");
    EXPECT_EQ(made.trainable()[0].learningRateFactor, 4.0);
    EXPECT_TRUE(made.find("weight")->tensor.requires_grad());
    EXPECT_FALSE(made.find("bias")->tensor.requires_grad());
    EXPECT_EQ(made.find("nothing"), nullptr);
    EXPECT_ANY_THROW(made.add("bias", {1}, Init::zeros()));
}

class Loading : public testing::Test
{
protected:
    Loading()
    {
        m_store.add("weight", {2, 3}, Init::zeros());
        m_store.addBuffer("bias", {5}, Init::zeros());
        m_saved = {{"weight", at::ones({2, 3})}, {"bias", at::full({5}, 2)}};
    }
    void refused(const std::string& name)
    {
        const auto status = m_store.load(m_saved);
        ASSERT_FALSE(status);
        EXPECT_NE(status.error().message.find(name), std::string::npos) << status.error().message;
        EXPECT_EQ(m_store.find("weight")->tensor.sum().item<double>(), 0)
            << "nothing is changed by a load that fails";
    }

    ParameterStore m_store = store();
    std::map<std::string, at::Tensor> m_saved;
};

TEST_F(Loading, CopiesIntoTheTensorsThatAreThere)
{
    const at::Tensor held = m_store.find("weight")->tensor;
    ASSERT_TRUE(m_store.load(m_saved));
    EXPECT_EQ(held.sum().item<double>(), 6) << "whoever holds the tensor sees the new values";
    EXPECT_TRUE(held.requires_grad());
    EXPECT_EQ(held.scalar_type(), at::kDouble);
    EXPECT_EQ(m_store.find("bias")->tensor.sum().item<double>(), 10);
}

TEST_F(Loading, RefusesAMissingTensor)
{
    m_saved.erase("bias");
    refused("bias");
}

TEST_F(Loading, RefusesATensorLeftOver)
{
    m_saved["surplus"] = at::zeros({1});
    refused("surplus");
}

TEST_F(Loading, RefusesAnotherShape)
{
    m_saved["bias"] = at::zeros({1}); // would broadcast
    refused("bias");
}

} // namespace
} // namespace rankscope::adapter

// SPDX-License-Identifier: Apache-2.0
// The device that stands in for a GPU refuses what a GPU refuses, and computes the rest.
#include "tests/parity/device/guarded_device.h"

#include <ATen/ATen.h>
#include <csignal>
#include <gtest/gtest.h>

namespace rankscope::parity
{
namespace
{

at::Tensor there(const at::Tensor& tensor)
{
    return tensor.to(guardedDevice());
}

const at::Tensor numbers = at::arange(12, at::kDouble).view({3, 4});

TEST(GuardedDevice, TheHostCannotReadItsMemory)
{
    const at::Tensor tensor = there(numbers);
    EXPECT_TRUE(tensor.cpu().equal(numbers));
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_EXIT((void)*static_cast<const volatile double*>(tensor.const_data_ptr()),
                testing::KilledBySignal(SIGSEGV), "");
}

TEST(GuardedDevice, RefusesOperandsOfTheHost)
{
    const at::Tensor tensor = there(numbers);
    EXPECT_THROW((void)(tensor + numbers), c10::Error);
    EXPECT_THROW((void)at::mm(tensor, numbers.t()), c10::Error);
    EXPECT_THROW((void)at::cat({tensor, numbers}), c10::Error);
    EXPECT_THROW((void)tensor.index_select(0, at::tensor({1})), c10::Error);
    EXPECT_THROW((void)tensor.gather(1, at::zeros({3, 1}, at::kLong)), c10::Error);
    EXPECT_THROW((void)at::embedding(tensor, at::tensor({1})), c10::Error);
    EXPECT_THROW(at::Tensor(numbers.clone()).add_(tensor), c10::Error);
    // What CUDA takes.
    EXPECT_TRUE((tensor * at::scalar_tensor(2.0)).cpu().equal(numbers * 2));
    EXPECT_TRUE((at::scalar_tensor(2.0) * tensor).device() == guardedDevice());
    EXPECT_TRUE((1 - tensor).cpu().equal(1 - numbers));
    EXPECT_TRUE(tensor.index({at::tensor({2, 0})}).cpu().equal(numbers.index({at::tensor({2, 0})})));
}

TEST(GuardedDevice, DrawsNoRandomNumbers)
{
    EXPECT_THROW(there(numbers).uniform_(), c10::Error);
    EXPECT_THROW((void)at::rand({3}, at::TensorOptions(guardedDevice())), c10::Error);
    EXPECT_THROW((void)at::bernoulli(there(numbers / 12)), c10::Error);
}

TEST(GuardedDevice, ViewsShareTheirContent)
{
    at::Tensor tensor = there(numbers);
    const at::Tensor expected = numbers.clone();
    for (const at::Tensor& one : {tensor, expected}) {
        one.t().select(0, 1).narrow(0, 1, 2).mul_(-3);
        one.view({2, 6})[1].fill_(7);
        one.select(1, 3).copy_(at::tensor({1.5, 2.5, 3.5}));
    }
    EXPECT_TRUE(tensor.cpu().equal(expected));
    at::Tensor out = at::empty({0}, tensor.options());
    at::sum_out(out, tensor, at::IntArrayRef{1});
    EXPECT_TRUE(out.cpu().equal(expected.sum(1)));
    EXPECT_TRUE(at::arange(5, tensor.options()).cpu().equal(at::arange(5, at::kDouble)));
}

TEST(GuardedDevice, GradientsReachIt)
{
    const at::Tensor tensor = there(numbers).requires_grad_();
    (tensor * tensor).sum().backward();
    EXPECT_TRUE(tensor.grad().device() == guardedDevice());
    EXPECT_TRUE(tensor.grad().cpu().equal(2 * numbers));
}

TEST(GuardedDevice, CountsHowOftenTheHostWaits)
{
    const at::Tensor tensor = there(numbers);
    const std::int64_t before = hostWaits();
    const at::Tensor computed = at::mm(tensor, tensor.t()).softmax(1).sum(0);
    EXPECT_EQ(hostWaits() - before, 0);
    (void)computed[1].item<double>();
    (void)computed.cpu();
    (void)computed.nonzero();
    EXPECT_EQ(hostWaits() - before, 3);
}

} // namespace
} // namespace rankscope::parity

// SPDX-License-Identifier: Apache-2.0
// Which device a job gets on a machine whose driver announces a GPU: fake_driver.cpp, with which nothing
// computes.
#include "core/train/device.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <gtest/gtest.h>

namespace rankscope::train
{
namespace
{

std::string errorOf(const std::string& name)
{
    const auto device = openDevice(name);
    EXPECT_FALSE(device) << name;
    return device ? std::string() : device.error().message;
}

TEST(Device, NamesThatAreNone)
{
    for (const char* name : {"tpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0x"})
        EXPECT_NE(errorOf(name).find("must be auto, cpu, cuda or cuda:N"), std::string::npos) << name;
    EXPECT_EQ(openDevice("cpu").value(), c10::Device(c10::kCPU));
}

TEST(Device, AGpuThatTheMachineDoesNotHave)
{
    EXPECT_EQ(errorOf("cuda:1"), "device is 'cuda:1', but this machine has only 1 GPU(s)");
}

/// LibTorch has found its CUDA library if there is one, though it can do nothing with this driver. What it
/// was asked before the library was open would have decided that it has none.
TEST(Device, LibTorchFindsItsCudaLibrary)
{
    const std::string error = errorOf("cuda");
    EXPECT_NE(error.find("set \"device\": \"cpu\""), std::string::npos) << error;
    if (error.find("cannot be opened") != std::string::npos)
        GTEST_SKIP() << error;
    EXPECT_NE(error.find("update the NVIDIA driver"), std::string::npos) << error;
    EXPECT_TRUE(at::detail::getCUDAHooks().hasCUDART());
}

TEST(Device, AutoTakesTheCpuWhereTheGpuCannotBeUsed)
{
    EXPECT_EQ(openDevice("auto").value(), c10::Device(c10::kCPU));
    EXPECT_EQ(unusedGpu("auto"), errorOf("cuda"));
    EXPECT_EQ(unusedGpu("cpu"), "");
}

} // namespace
} // namespace rankscope::train

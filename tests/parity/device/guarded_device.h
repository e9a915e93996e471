// SPDX-License-Identifier: Apache-2.0
// A device for LibTorch that is as far from the host as a GPU: what a tensor's data pointer points to cannot
// be read, and operands that lie on different devices are refused as CUDA refuses them. The CPU does its
// work. It stands in for a GPU where there is none.
#pragma once

#include <c10/core/Device.h>
#include <cstdint>

namespace rankscope::parity
{

/// The only one of its kind; LibTorch knows it from the first call on.
at::Device guardedDevice();

/// How often the host has waited for the device: copies between the two, numbers read from it, operators
/// whose result has a shape that depends on values.
std::int64_t hostWaits();

} // namespace rankscope::parity

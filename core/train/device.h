// SPDX-License-Identifier: Apache-2.0
// Which processor a job runs on, decided at run time: one program serves machines with and without a GPU.
#pragma once

#include "core/base/result.h"

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <string>

namespace rankscope::train
{

/// "auto" (a GPU where there is one), "cpu", "cuda", "cuda:N". Opens LibTorch's CUDA library when a GPU is
/// used. Errors: a GPU was asked for and there is none, or LibTorch came without CUDA; each says what to do.
Result<c10::Device> openDevice(const std::string& name);

/// Why "auto" leaves a GPU of this machine unused; empty: it does not, or there is none.
std::string unusedGpu(const std::string& name);

/// "auto": bfloat16 on a GPU and on a CPU that multiplies it in hardware, else float32.
c10::ScalarType resolveDtype(const std::string& name, const c10::Device& device);

/// "cpu (2 threads)", "cuda:0"
std::string describe(const c10::Device& device);

/// Peak memory of this process in bytes: on a GPU what LibTorch took of the GPU's, else what was resident.
double peakMemory(const c10::Device& device);

} // namespace rankscope::train

// SPDX-License-Identifier: Apache-2.0
// The memory of this machine.
#pragma once

#include <cstdint>

namespace rankscope::base
{

/// Bytes that this process could take now without pushing anything out: what the kernel calls available,
/// within the limit of its control group (a container, a Slurm job). 0 where the system does not say.
std::uint64_t availableMemory();

} // namespace rankscope::base

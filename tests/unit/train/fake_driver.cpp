// SPDX-License-Identifier: Apache-2.0
// Stands in for NVIDIA's driver library: says that there is one GPU, and can do no more.

extern "C" int cuInit(unsigned)
{
    return 0;
}

extern "C" int cuDeviceGetCount(int* count)
{
    *count = 1;
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "core/train/device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <charconv>
#include <dlfcn.h>
#include <filesystem>
#include <sys/resource.h>

namespace rankscope::train
{
namespace
{

/// GPUs the driver offers; 0 where there is no driver.
int gpuCount()
{
    void* driver = ::dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (!driver)
        return 0;
    using Init = int (*)(unsigned);
    using Count = int (*)(int*);
    const auto init = reinterpret_cast<Init>(::dlsym(driver, "cuInit"));
    const auto count = reinterpret_cast<Count>(::dlsym(driver, "cuDeviceGetCount"));
    int devices = 0;
    if (!init || !count || init(0) != 0 || count(&devices) != 0)
        return 0;
    return devices;
}

/// Comes before any question to LibTorch about CUDA: it looks for its library once, at the first, and does
/// without for good where it is not open by then.
Status openCudaLibrary()
{
    Dl_info info{};
    ::dladdr(reinterpret_cast<const void*>(&at::get_num_threads), &info);
    const auto library =
        std::filesystem::path(info.dli_fname ? info.dli_fname : "").parent_path() / "libtorch_cuda.so";
    if (!::dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL))
        return fail("this machine has a GPU, but LibTorch's CUDA library cannot be opened (" +
                    std::string(::dlerror()) + "); run ./setup --cuda, or set \"device\": \"cpu\"");
    if (!at::globalContext().hasCUDA())
        return fail(
            "this machine has a GPU, but LibTorch's CUDA library cannot use it; update the NVIDIA driver, or "
            "set \"device\": \"cpu\"");
    return {};
}

} // namespace

Result<c10::Device> openDevice(const std::string& name)
{
    if (name == "cpu")
        return c10::Device(c10::kCPU);
    const int devices = gpuCount();
    if (name == "auto") {
        if (devices > 0 && openCudaLibrary())
            return c10::Device(c10::kCUDA, 0);
        return c10::Device(c10::kCPU);
    }
    int index = 0;
    if (name.rfind("cuda:", 0) == 0) {
        const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), index);
        if (error != std::errc{} || end != name.data() + name.size() || index < 0)
            return fail("device is '" + name + "', but must be auto, cpu, cuda or cuda:N");
    } else if (name != "cuda") {
        return fail("device is '" + name + "', but must be auto, cpu, cuda or cuda:N");
    }
    if (devices == 0)
        return fail("device is '" + name +
                    "', but this machine has no usable NVIDIA GPU; set it to auto or cpu");
    if (index >= devices)
        return fail("device is '" + name + "', but this machine has only " + std::to_string(devices) +
                    " GPU(s)");
    RANKSCOPE_CHECK(openCudaLibrary());
    return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
}

std::string unusedGpu(const std::string& name)
{
    if (name != "auto" || gpuCount() == 0)
        return {};
    const auto opened = openCudaLibrary();
    return opened ? std::string() : opened.error().message;
}

c10::ScalarType resolveDtype(const std::string& name, const c10::Device& device)
{
    if (name == "float32")
        return c10::kFloat;
    if (name == "bfloat16")
        return c10::kBFloat16;
    if (device.is_cuda())
        return c10::kBFloat16;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bf16"))
        return c10::kBFloat16;
#endif
    return c10::kFloat;
}

std::string describe(const c10::Device& device)
{
    if (device.is_cuda())
        return device.str();
    return "cpu (" + std::to_string(at::get_num_threads()) + " threads)";
}

double peakMemory(const c10::Device& device)
{
    if (!device.is_cpu()) {
        const auto statistics = at::getDeviceAllocator(device.type())->getDeviceStats(device.index());
        constexpr auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
        return static_cast<double>(statistics.reserved_bytes[all].peak);
    }
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) * 1024;
}

} // namespace rankscope::train

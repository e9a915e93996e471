// SPDX-License-Identifier: Apache-2.0
#include "tests/parity/device/guarded_device.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/view_native.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <cstring>
#include <memory>
#include <string_view>
#include <sys/mman.h>
#include <torch/library.h>

namespace rankscope::parity
{
namespace
{

const at::Device device(at::kPrivateUse1, 0);
constexpr c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);

std::atomic<std::int64_t> waits{0};
thread_local bool computing = false; ///< the copies of an operator's operands are not the program's own

class Computing
{
public:
    ~Computing() { computing = m_before; }

private:
    bool m_before = std::exchange(computing, true);
};

void wait()
{
    if (!computing)
        ++waits;
}

/// What stands behind an address.
struct Block {
    std::unique_ptr<std::byte[]> content;
    std::size_t bytes = 0;
};

/// Its addresses lie in a range that may not be touched; what stands behind them lies elsewhere, and only the
/// operators below find it.
class Memory : public c10::DeviceAllocator
{
public:
    c10::DataPtr allocate(std::size_t bytes) override
    {
        if (bytes == 0)
            return {nullptr, device};
        auto block = std::make_unique<Block>(Block{std::make_unique<std::byte[]>(bytes), bytes});
        std::memset(block->content.get(), 0xFF, bytes); // NaN: nothing may rely on fresh memory being zero
        const std::int64_t used = m_used += static_cast<std::int64_t>(bytes);
        for (auto peak = m_peak.load(); peak < used && !m_peak.compare_exchange_weak(peak, used);) {
        }
        // Only those in use at one time must differ.
        constexpr std::size_t alignment = 64;
        const std::size_t place =
            m_next.fetch_add((bytes + alignment - 1) / alignment * alignment) % (range / 2);
        TORCH_CHECK(bytes <= range / 2, "a tensor of ", bytes, " bytes is too large for the guarded device");
        return {m_start + place, block.release(), &Memory::release, device};
    }
    void copy_data(void*, const void*, std::size_t) const override
    {
        TORCH_CHECK(false, "the guarded device copies tensors, not addresses");
    }
    bool initialized() override { return true; }
    void emptyCache(c10::MempoolId_t) override {}
    void recordStream(const c10::DataPtr&, c10::Stream) override {}
    c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override
    {
        c10::CachingDeviceAllocator::DeviceStats statistics;
        auto& all =
            statistics.reserved_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
        all.current = m_used;
        all.peak = m_peak;
        return statistics;
    }
    void resetAccumulatedStats(c10::DeviceIndex) override {}
    void resetPeakStats(c10::DeviceIndex) override { m_peak = m_used.load(); }

    static Memory& instance()
    {
        static auto* memory = new Memory; // outlives every tensor
        return *memory;
    }

private:
    Memory()
    {
        void* start = ::mmap(nullptr, range, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        TORCH_CHECK(start != MAP_FAILED, "no range of addresses is left for the guarded device");
        m_start = static_cast<std::byte*>(start);
    }
    static void release(void* context)
    {
        const std::unique_ptr<Block> block(static_cast<Block*>(context));
        instance().m_used -= static_cast<std::int64_t>(block->bytes);
    }

    static constexpr std::size_t range = std::size_t{1} << 38;
    std::byte* m_start = nullptr;
    std::atomic<std::size_t> m_next{0};
    std::atomic<std::int64_t> m_used{0};
    std::atomic<std::int64_t> m_peak{0};
};

/// The tensor's own content as the CPU sees it; a tensor of the CPU itself.
at::Tensor onHost(const at::Tensor& tensor)
{
    if (tensor.is_cpu())
        return tensor;
    const auto options = tensor.options().device(at::kCPU).requires_grad(false);
    if (tensor.numel() == 0)
        return at::empty(tensor.sizes(), options);
    const auto* block = static_cast<const Block*>(tensor.storage().data_ptr().get_context());
    std::byte* first =
        block->content.get() + tensor.storage_offset() * static_cast<std::int64_t>(tensor.itemsize());
    return at::from_blob(first, tensor.sizes(), tensor.strides(), options);
}

void checkPlace(const std::optional<at::Device>& place)
{
    TORCH_CHECK(!place || *place == device || !place->has_index(), "there is one guarded device, not ",
                *place);
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device> place, std::optional<bool>, std::optional<at::MemoryFormat> format)
{
    checkPlace(place);
    return at::detail::empty_generic(size, &Memory::instance(), keys, c10::dtype_or_default(type), format);
}

at::Tensor emptyStrided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> type,
                        std::optional<at::Layout>, std::optional<at::Device> place, std::optional<bool>)
{
    checkPlace(place);
    return at::detail::empty_strided_generic(size, stride, &Memory::instance(), keys,
                                             c10::dtype_or_default(type));
}

at::Tensor copyFrom(const at::Tensor& from, const at::Tensor& to, bool)
{
    if (from.device() != to.device())
        wait();
    const at::AutoDispatchBelowADInplaceOrView guard;
    onHost(to).copy_(onHost(from));
    return to;
}

at::Tensor copyFromAndResize(const at::Tensor& from, const at::Tensor& to)
{
    if (to.sizes() != from.sizes())
        at::native::resize_(to, from.sizes(), std::nullopt);
    return copyFrom(from, to, false);
}

at::Scalar number(const at::Tensor& tensor)
{
    wait();
    return onHost(tensor).item();
}

/// May an operator of CUDA take this operand?
void checkOperand(const c10::FunctionSchema& schema, const at::Tensor& operand, bool maybeScalar)
{
    if (!operand.defined() || operand.device() == device || (maybeScalar && operand.dim() == 0))
        return;
    TORCH_CHECK(false, schema.name(), ": expected all tensors to be on the same device, but one of shape ",
                operand.sizes(), " is on ", operand.device(), " beside others on ", device);
}

/// CUDA takes a CPU tensor without dimensions as a number, and CPU indices of index() and its kind.
void checkOperands(const c10::OperatorHandle& op, const torch::jit::Stack& stack)
{
    const auto& schema = op.schema();
    const auto& arguments = schema.arguments();
    TORCH_CHECK(!op.hasTag(at::Tag::nondeterministic_seeded), schema.name(),
                " draws random numbers on the device, whose state no checkpoint keeps");
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const c10::IValue& value = stack[stack.size() - arguments.size() + i];
        const bool written = arguments[i].alias_info() && arguments[i].alias_info()->isWrite();
        if (value.isTensor())
            checkOperand(schema, value.toTensor(), !written);
        else if (value.isTensorList())
            for (const at::Tensor& one : value.toTensorVector())
                checkOperand(schema, one, false);
        else if (value.isOptionalTensorList() && arguments[i].name() != "indices")
            for (const auto& one : value.toOptionalTensorVector())
                checkOperand(schema, one.value_or(at::Tensor()), false);
    }
}

void compute(const c10::OperatorHandle& op, torch::jit::Stack* stack)
{
    checkOperands(op, *stack);
    constexpr std::array<std::string_view, 5> waiting{"aten::nonzero", "aten::bincount",
                                                      "aten::masked_select", "aten::equal", "aten::_unique2"};
    if (std::ranges::find(waiting, op.schema().name()) != waiting.end())
        wait();
    const Computing work;
    at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
    // It goes by the first operand, which may have been a number on the CPU.
    for (std::size_t i = stack->size() - op.schema().returns().size(); i < stack->size(); ++i) {
        if (c10::IValue& value = (*stack)[i]; value.isTensor() && value.toTensor().defined())
            value = value.toTensor().to(device);
    }
}

class Guard final : public c10::impl::NoOpDeviceGuardImpl<at::kPrivateUse1>
{
public:
    c10::Device exchangeDevice(c10::Device) const override { return device; }
    c10::Device getDevice() const override { return device; }
    c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
    c10::Stream getNewStream(c10::Device, int) const override { return stream(); }
    c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }

private:
    static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, device); }
};

struct Hooks final : at::PrivateUse1HooksInterface {
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    bool hasPrimaryContext(at::DeviceIndex) const override { return true; }
    at::DeviceIndex deviceCount() const override { return 1; }
    at::DeviceIndex getCurrentDevice() const override { return 0; }
    at::DeviceIndex exchangeDevice(at::DeviceIndex) const override { return 0; }
    at::DeviceIndex maybeExchangeDevice(at::DeviceIndex) const override { return 0; }
    void setCurrentDevice(at::DeviceIndex) const override {}
    const at::Generator& getDefaultGenerator(at::DeviceIndex) const override
    {
        TORCH_CHECK(false, "random numbers are drawn on the CPU, whose generator's state checkpoints keep");
    }
    void resizePrivateUse1Bytes(const c10::Storage& storage, std::size_t bytes) const override
    {
        c10::DataPtr grown = Memory::instance().allocate(bytes);
        const auto* old = static_cast<const Block*>(storage.data_ptr().get_context());
        if (old && bytes > 0)
            std::memcpy(static_cast<Block*>(grown.get_context())->content.get(), old->content.get(),
                        std::min(bytes, old->bytes));
        storage.unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(grown));
        storage.unsafeGetStorageImpl()->set_nbytes(bytes);
    }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library)
{
    library.impl("empty.memory_format", empty);
    library.impl("empty_strided", emptyStrided);
    library.impl("_copy_from", copyFrom);
    library.impl("_copy_from_and_resize", copyFromAndResize);
    library.impl("_local_scalar_dense", number);
    // What only looks at a tensor in another way needs no content.
    library.impl("view", TORCH_FN(at::native::view));
    library.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
    library.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
    library.impl("resize_", TORCH_FN(at::native::resize_));
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library)
{
    library.fallback(torch::CppFunction::makeFromBoxedFunction<&compute>());
}

} // namespace

at::Device guardedDevice()
{
    static const bool registered = [] {
        c10::register_privateuse1_backend("guarded");
        c10::SetAllocator(at::kPrivateUse1, &Memory::instance());
        at::RegisterPrivateUse1HooksInterface(new Hooks);
        return true;
    }();
    (void)registered;
    return device;
}

std::int64_t hostWaits()
{
    return waits;
}

} // namespace rankscope::parity

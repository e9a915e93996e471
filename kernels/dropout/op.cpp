// SPDX-License-Identifier: Apache-2.0
#include "kernels/dropout/op.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <limits>
#include <mutex>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace rankscope::kernels
{
namespace
{

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The same mask as cpu.cpp, in plain tensor operations. LibTorch computes with signed 32-bit numbers only:
/// sums and products have the same bits, a shift must be kept from drawing in the sign, and a comparison
/// turns the first bit. In place: the numbers take as much memory as x, and must not take it several times
/// over.
at::Tensor dropoutReference(const at::Tensor& x, double p, std::int64_t seed)
{
    const auto bits = [](std::uint32_t value) { return static_cast<std::int32_t>(value); };
    const auto fold = [](at::Tensor& h, int shift) {
        h.bitwise_xor_(h.bitwise_right_shift(shift).bitwise_and_(static_cast<std::int32_t>(~0U >> shift)));
    };
    const bool fits = x.numel() <= std::numeric_limits<std::int32_t>::max();
    at::Tensor h = at::arange(x.numel(), x.options().dtype(fits ? at::kInt : at::kLong)).to(at::kInt);
    h.mul_(bits(0x9E3779B9U)).add_(bits(static_cast<std::uint32_t>(seed)));
    fold(h, 16);
    h.mul_(bits(0x7FEB352DU));
    h.bitwise_xor_(bits(static_cast<std::uint32_t>(static_cast<std::uint64_t>(seed) >> 32)));
    fold(h, 15);
    h.mul_(bits(0x846CA68BU));
    fold(h, 16);
    constexpr std::uint32_t sign = 1U << 31;
    const auto threshold = static_cast<std::uint32_t>(p * 4294967296.0);
    const at::Tensor dropped = h.bitwise_xor_(bits(sign)) < bits(threshold ^ sign);
    return (x * (1 / (1 - p))).masked_fill_(dropped.view(x.sizes()), 0);
}

class Dropout : public torch::autograd::Function<Dropout>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const DropoutMask& mask)
    {
        context->saved_data["p"] = mask.p;
        context->saved_data["seed"] = mask.seed;
        return applyDropout(x, mask);
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        const DropoutMask mask{context->saved_data["p"].toDouble(), context->saved_data["seed"].toInt()};
        return {applyDropout(gradients[0], mask), {}};
    }
};

} // namespace

DropoutMask drawDropout(double p)
{
    TORCH_CHECK(p >= 0 && p < 1, "dropout: the probability must lie in [0, 1)");
    if (p == 0)
        return {};
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    const std::lock_guard<std::mutex> lock(generator.mutex());
    return {p, static_cast<std::int64_t>(at::check_generator<at::CPUGeneratorImpl>(generator)->random64())};
}

at::Tensor applyDropout(const at::Tensor& x, const DropoutMask& mask)
{
    if (mask.p == 0)
        return x;
    static const auto op = c10::Dispatcher::singleton()
                               .findSchemaOrThrow("rankscope::dropout", "")
                               .typed<at::Tensor(const at::Tensor&, double, std::int64_t)>();
    at::AutoDispatchBelowADInplaceOrView guard;
    return op.call(x.contiguous(), mask.p, mask.seed);
}

at::Tensor dropout(const at::Tensor& x, const DropoutMask& mask)
{
    return mask.p == 0 ? x : Dropout::apply(x, mask);
}

TORCH_LIBRARY_FRAGMENT(rankscope, library)
{
    library.def("dropout(Tensor x, float p, int seed) -> Tensor");
}

TORCH_LIBRARY_IMPL(rankscope, CompositeExplicitAutograd, library)
{
    library.impl("dropout", dropoutReference);
}

} // namespace rankscope::kernels

// SPDX-License-Identifier: Apache-2.0
#include "kernels/dropout/op.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <mutex>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace rankscope::kernels
{
namespace
{

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The same mask as cpu.cpp, in plain tensor operations: 32-bit arithmetic carried out in int64.
at::Tensor dropoutReference(const at::Tensor& x, double p, std::int64_t seed)
{
    constexpr std::int64_t word = 0xFFFFFFFF;
    const std::int64_t low = seed & word;
    const std::int64_t high = (seed >> 32) & word;
    auto shifted = [](const at::Tensor& h, int bits) { return h.bitwise_right_shift(bits); };
    auto times = [](const at::Tensor& h, std::int64_t factor) {
        // (h * factor) mod 2^32 without leaving int64: the upper and lower half of the factor apart.
        const std::int64_t upper = factor >> 16;
        const std::int64_t lower = factor & 0xFFFF;
        return ((h * upper).bitwise_and(0xFFFF) * 65536 + h * lower).bitwise_and(word);
    };
    at::Tensor h = times(at::arange(x.numel(), x.options().dtype(at::kLong)).bitwise_and(word), 0x9E3779B9);
    h = (h + low).bitwise_and(word);
    h = times(h.bitwise_xor(shifted(h, 16)), 0x7FEB352D);
    h = h.bitwise_xor(high);
    h = times(h.bitwise_xor(shifted(h, 15)), 0x846CA68B);
    h = h.bitwise_xor(shifted(h, 16));
    const at::Tensor kept = (h >= static_cast<std::int64_t>(p * 4294967296.0)).view(x.sizes());
    return x * kept.to(x.scalar_type()) * (1 / (1 - p));
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

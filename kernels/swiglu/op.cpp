// SPDX-License-Identifier: Apache-2.0
#include "kernels/swiglu/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace rankscope::kernels
{
namespace
{

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor swigluReference(const at::Tensor& gate, const at::Tensor& up)
{
    return at::silu(gate) * up;
}

std::tuple<at::Tensor, at::Tensor> swigluBackwardReference(const at::Tensor& gradient, const at::Tensor& gate,
                                                           const at::Tensor& up)
{
    const at::Tensor s = at::sigmoid(gate);
    return {gradient * up * s * (1 + gate * (1 - s)), gradient * gate * s};
}

class Swiglu : public torch::autograd::Function<Swiglu>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up)
    {
        static const auto op = c10::Dispatcher::singleton()
                                   .findSchemaOrThrow("rankscope::swiglu", "")
                                   .typed<at::Tensor(const at::Tensor&, const at::Tensor&)>();
        context->save_for_backward({gate, up});
        at::AutoDispatchBelowADInplaceOrView guard;
        return op.call(gate, up);
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        static const auto op = c10::Dispatcher::singleton()
                                   .findSchemaOrThrow("rankscope::swiglu_backward", "")
                                   .typed<std::tuple<at::Tensor, at::Tensor>(
                                       const at::Tensor&, const at::Tensor&, const at::Tensor&)>();
        const auto saved = context->get_saved_variables();
        at::AutoDispatchBelowADInplaceOrView guard;
        auto [gate, up] = op.call(gradients[0].contiguous(), saved[0], saved[1]);
        return {gate, up};
    }
};

} // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up)
{
    TORCH_CHECK(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type(),
                "swiglu: gate and up must have one shape and type");
    return Swiglu::apply(gate.contiguous(), up.contiguous());
}

TORCH_LIBRARY_FRAGMENT(rankscope, library)
{
    library.def("swiglu(Tensor gate, Tensor up) -> Tensor");
    library.def("swiglu_backward(Tensor gradient, Tensor gate, Tensor up) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(rankscope, CompositeExplicitAutograd, library)
{
    library.impl("swiglu", swigluReference);
    library.impl("swiglu_backward", swigluBackwardReference);
}

} // namespace rankscope::kernels

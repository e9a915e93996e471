// SPDX-License-Identifier: Apache-2.0
#include "kernels/rotary/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace rankscope::kernels
{
namespace
{

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor rotaryReference(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine)
{
    const at::Tensor wide = x.to(cosine.scalar_type());
    const auto halves = wide.chunk(2, -1);
    const at::Tensor c = cosine.unsqueeze(1);
    const at::Tensor s = sine.unsqueeze(1);
    return at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1).to(x.scalar_type());
}

at::Tensor call(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine)
{
    static const auto op = c10::Dispatcher::singleton()
                               .findSchemaOrThrow("rankscope::rotary", "")
                               .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&)>();
    at::AutoDispatchBelowADInplaceOrView guard;
    return op.call(x, cosine, sine);
}

class Rotary : public torch::autograd::Function<Rotary>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cosine,
                              const at::Tensor& sine)
    {
        context->save_for_backward({cosine, sine});
        return call(x, cosine, sine);
    }

    /// The inverse of a rotation is the rotation by the opposite angle.
    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        const auto saved = context->get_saved_variables();
        return {call(gradients[0].contiguous(), saved[0], -saved[1]), {}, {}};
    }
};

} // namespace

at::Tensor rotary(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine)
{
    TORCH_CHECK(x.dim() == 3 && cosine.dim() == 2 && cosine.sizes() == sine.sizes() &&
                    cosine.size(0) == x.size(0) && 2 * cosine.size(1) == x.size(2),
                "rotary: x must be [T, heads, d], cosine and sine [T, d/2]");
    return Rotary::apply(x.contiguous(), cosine, sine);
}

TORCH_LIBRARY_FRAGMENT(rankscope, library)
{
    library.def("rotary(Tensor x, Tensor cosine, Tensor sine) -> Tensor");
}

TORCH_LIBRARY_IMPL(rankscope, CompositeExplicitAutograd, library)
{
    library.impl("rotary", rotaryReference);
}

} // namespace rankscope::kernels

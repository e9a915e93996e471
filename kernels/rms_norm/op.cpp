// SPDX-License-Identifier: Apache-2.0
#include "kernels/rms_norm/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/rsqrt.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace rankscope::kernels
{
namespace
{

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::ScalarType computingType(const at::Tensor& x)
{
    return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

std::tuple<at::Tensor, at::Tensor> rmsNormReference(const at::Tensor& x, const at::Tensor& weight,
                                                    double epsilon)
{
    const at::Tensor wide = x.to(computingType(x));
    const at::Tensor scale = at::rsqrt((wide * wide).mean(-1, true) + epsilon);
    return {((wide * scale).to(x.scalar_type()) * weight), scale.squeeze(-1)};
}

at::Tensor rmsNormBackwardReference(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight,
                                    const at::Tensor& scale)
{
    const auto type = computingType(x);
    const at::Tensor s = scale.unsqueeze(-1);
    const at::Tensor g = gradient.to(type) * weight.to(type);
    const at::Tensor normed = x.to(type) * s;
    return ((g - normed * (g * normed).mean(-1, true)) * s).to(x.scalar_type());
}

class RmsNorm : public torch::autograd::Function<RmsNorm>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                              double epsilon)
    {
        static const auto op =
            c10::Dispatcher::singleton()
                .findSchemaOrThrow("rankscope::rms_norm", "")
                .typed<std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&, double)>();
        at::AutoDispatchBelowADInplaceOrView guard;
        auto [y, scale] = op.call(x, weight, epsilon);
        context->save_for_backward({x, weight, scale});
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        static const auto op = c10::Dispatcher::singleton()
                                   .findSchemaOrThrow("rankscope::rms_norm_backward", "")
                                   .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                                     const at::Tensor&)>();
        const auto saved = context->get_saved_variables();
        at::AutoDispatchBelowADInplaceOrView guard;
        return {op.call(gradients[0].contiguous(), saved[0], saved[1], saved[2]), {}, {}};
    }
};

} // namespace

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon)
{
    TORCH_CHECK(weight.dim() == 1 && x.dim() >= 1 && x.size(-1) == weight.size(0),
                "rms_norm: the weight must have the size of the last dimension");
    TORCH_CHECK(!weight.requires_grad(), "rms_norm: the weight is frozen");
    return RmsNorm::apply(x.contiguous(), weight, epsilon);
}

TORCH_LIBRARY_FRAGMENT(rankscope, library)
{
    library.def("rms_norm(Tensor x, Tensor weight, float epsilon) -> (Tensor, Tensor)");
    library.def("rms_norm_backward(Tensor gradient, Tensor x, Tensor weight, Tensor scale) -> Tensor");
}

TORCH_LIBRARY_IMPL(rankscope, CompositeExplicitAutograd, library)
{
    library.impl("rms_norm", rmsNormReference);
    library.impl("rms_norm_backward", rmsNormBackwardReference);
}

} // namespace rankscope::kernels

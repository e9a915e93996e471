// SPDX-License-Identifier: Apache-2.0
#include "kernels/loss_head/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace rankscope::kernels
{
namespace
{

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Rows whose logits exist at once: 128 x 49,152 floats are 25 MB.
constexpr std::int64_t piece = 128;

class LossHead : public torch::autograd::Function<LossHead>
{
public:
    static variable_list forward(AutogradContext* context, const at::Tensor& hidden,
                                 const at::Tensor& embedding, const at::Tensor& labels, bool wantGradient)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        const auto type = hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
        const std::int64_t rows = hidden.size(0);
        at::Tensor each = at::empty({rows}, hidden.options().dtype(type));
        at::Tensor gradient = wantGradient ? at::empty_like(hidden) : at::Tensor();
        for (std::int64_t start = 0; start < rows; start += piece) {
            const std::int64_t count = std::min(piece, rows - start);
            const at::Tensor label = labels.narrow(0, start, count).unsqueeze(1);
            at::Tensor logits = at::linear(hidden.narrow(0, start, count), embedding).to(type);
            const at::Tensor total = at::logsumexp(logits, 1, true);
            each.narrow(0, start, count).copy_((total - logits.gather(1, label)).squeeze(1));
            if (wantGradient) {
                logits.sub_(total).exp_();
                logits.scatter_add_(1, label, at::full({count, 1}, -1.0, logits.options()));
                gradient.narrow(0, start, count)
                    .copy_(at::matmul(logits.to(embedding.scalar_type()), embedding));
            }
        }
        if (wantGradient)
            context->save_for_backward({gradient});
        context->mark_non_differentiable({each});
        return {each.sum(), each};
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        const at::Tensor gradient = context->get_saved_variables()[0];
        return {gradient * gradients[0].to(gradient.scalar_type()), {}, {}, {}};
    }
};

} // namespace

std::pair<at::Tensor, at::Tensor> lossHead(const at::Tensor& hidden, const at::Tensor& embedding,
                                           const at::Tensor& labels)
{
    TORCH_CHECK(hidden.dim() == 2 && embedding.dim() == 2 && hidden.size(1) == embedding.size(1),
                "loss_head: hidden [S, d] and embedding [V, d] must share d");
    TORCH_CHECK(labels.dim() == 1 && labels.size(0) == hidden.size(0) && labels.scalar_type() == at::kLong,
                "loss_head: one int64 label for each row of hidden");
    const bool wantGradient = hidden.requires_grad() && at::GradMode::is_enabled();
    auto results = LossHead::apply(hidden, embedding, labels, wantGradient);
    return {results[0], results[1]};
}

} // namespace rankscope::kernels

// SPDX-License-Identifier: Apache-2.0
#include "plugins/comol/merged_core.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros_like.h>
#include <algorithm>
#include <mutex>
#include <torch/csrc/autograd/custom_function.h>

namespace rankscope::plugins
{
namespace
{

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Merges the cores of tokens in pieces; the masks follow from one number, piece after piece.
class Pieces
{
public:
    Pieces(const at::Tensor& weights, const at::Tensor& cores, double dropout, std::uint64_t seed)
        : m_weights(weights),
          m_flat(cores.reshape({cores.size(0), -1})),
          m_rank(cores.size(1)),
          m_dropout(dropout),
          m_generator(at::make_generator<at::CPUGeneratorImpl>(seed)),
          m_length(std::max<std::int64_t>(1, (std::int64_t{1} << 20) / (m_rank * m_rank)))
    {
    }

    /// Calls body(start, count, merged [count, r, r], mask [count, r, r] or undefined); `merged` is masked
    /// already.
    template <typename Body>
    void forEach(const Body& body)
    {
        for (std::int64_t start = 0; start < m_weights.size(0); start += m_length) {
            const std::int64_t count = std::min(m_length, m_weights.size(0) - start);
            at::Tensor merged =
                at::mm(m_weights.narrow(0, start, count), m_flat).view({count, m_rank, m_rank});
            at::Tensor mask;
            if (m_dropout > 0) {
                // Drawn on the CPU, so that a seed gives one mask wherever the adapter lies.
                mask = at::empty({count, m_rank, m_rank}, merged.options().device(at::kCPU))
                           .bernoulli_(1 - m_dropout, m_generator)
                           .div_(1 - m_dropout)
                           .to(merged.device());
                merged.mul_(mask);
            }
            body(start, count, merged, mask);
        }
    }

private:
    at::Tensor m_weights;
    at::Tensor m_flat; ///< [N, r r]
    std::int64_t m_rank;
    double m_dropout;
    at::Generator m_generator;
    std::int64_t m_length; ///< tokens of one piece: about a million elements
};

class MergedCore : public torch::autograd::Function<MergedCore>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& weights, const at::Tensor& cores,
                              const at::Tensor& x, double dropout, std::int64_t seed)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        at::Tensor u = at::empty_like(x);
        Pieces(weights, cores, dropout, static_cast<std::uint64_t>(seed))
            .forEach(
                [&](std::int64_t start, std::int64_t count, const at::Tensor& merged, const at::Tensor&) {
                    u.narrow(0, start, count)
                        .copy_(at::bmm(merged, x.narrow(0, start, count).unsqueeze(2)).squeeze(2));
                });
        context->save_for_backward({weights, cores, x});
        context->saved_data["dropout"] = dropout;
        context->saved_data["seed"] = seed;
        return u;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        const auto saved = context->get_saved_variables();
        const auto& [weights, cores, x] = std::tie(saved[0], saved[1], saved[2]);
        const at::Tensor flat = cores.reshape({cores.size(0), -1});
        at::Tensor gradWeights = at::empty_like(weights);
        at::Tensor gradFlat = at::zeros_like(flat);
        at::Tensor gradX = at::empty_like(x);
        Pieces(weights, cores, context->saved_data["dropout"].toDouble(),
               static_cast<std::uint64_t>(context->saved_data["seed"].toInt()))
            .forEach([&](std::int64_t start, std::int64_t count, const at::Tensor& merged,
                         const at::Tensor& mask) {
                const at::Tensor gradient = gradients[0].narrow(0, start, count);
                const at::Tensor seen = x.narrow(0, start, count);
                gradX.narrow(0, start, count).copy_(at::bmm(gradient.unsqueeze(1), merged).squeeze(1));
                at::Tensor gradMerged = gradient.unsqueeze(2) * seen.unsqueeze(1);
                if (mask.defined())
                    gradMerged.mul_(mask);
                gradMerged = gradMerged.view({count, -1});
                gradWeights.narrow(0, start, count).copy_(at::mm(gradMerged, flat.t()));
                gradFlat.addmm_(weights.narrow(0, start, count).t(), gradMerged);
            });
        return {gradWeights, gradFlat.view(cores.sizes()), gradX, {}, {}};
    }
};

} // namespace

at::Tensor mergedCore(const at::Tensor& weights, const at::Tensor& cores, const at::Tensor& x, double dropout)
{
    std::int64_t seed = 0;
    if (dropout > 0) {
        at::Generator generator = at::detail::getDefaultCPUGenerator();
        const std::lock_guard<std::mutex> lock(generator.mutex());
        seed = static_cast<std::int64_t>(at::check_generator<at::CPUGeneratorImpl>(generator)->random64());
    }
    return MergedCore::apply(weights, cores, x, dropout, seed);
}

} // namespace rankscope::plugins

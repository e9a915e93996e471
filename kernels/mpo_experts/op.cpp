// SPDX-License-Identifier: Apache-2.0
#include "kernels/mpo_experts/op.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

namespace rankscope::kernels
{
namespace
{

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::int64_t product(const std::vector<std::int64_t>& legs)
{
    std::int64_t result = 1;
    for (const std::int64_t leg : legs)
        result *= leg;
    return result;
}

/// (r1, .., rn, c1, .., cn) -> (r1, c1, .., rn, cn), or back.
std::vector<std::int64_t> interleaving(std::size_t n, bool back)
{
    std::vector<std::int64_t> order(2 * n);
    for (std::size_t k = 0; k < n; ++k) {
        for (std::size_t side = 0; side < 2; ++side) {
            const std::size_t interleaved = 2 * k + side;
            const std::size_t apart = k + side * n;
            order[back ? apart : interleaved] = static_cast<std::int64_t>(back ? interleaved : apart);
        }
    }
    return order;
}

std::vector<std::int64_t> groupSizes(const MpoGrouping& g)
{
    std::vector<std::int64_t> sizes(3, 1);
    for (std::size_t k = 0; k < g.rowLegs.size(); ++k) {
        const auto at = static_cast<std::int64_t>(k);
        sizes[at < g.leftCores ? 0 : at == g.leftCores ? 1 : 2] *= g.rowLegs[k] * g.columnLegs[k];
    }
    return sizes;
}

/// Where each row (or column) of the matrix begins in the interleaved order: the place of an element is the
/// sum of its row's and its column's, because every leg is a digit of one of the two.
std::vector<std::int64_t> places(const MpoGrouping& grouping, bool ofRows)
{
    const auto& legs = ofRows ? grouping.rowLegs : grouping.columnLegs;
    std::vector<std::int64_t> result(static_cast<std::size_t>(product(legs)), 0);
    std::int64_t stride = 1; // of the leg's digit in the interleaved order
    std::int64_t period = 1; // of the digit in the index
    for (std::size_t k = legs.size(); k-- > 0;) {
        const std::int64_t own = ofRows ? stride * grouping.columnLegs[k] : stride;
        for (std::size_t i = 0; i < result.size(); ++i)
            result[i] += static_cast<std::int64_t>(i) / period % legs[k] * own;
        period *= legs[k];
        stride *= grouping.rowLegs[k] * grouping.columnLegs[k];
    }
    return result;
}

/// A permuted copy over ten short dimensions is slow and serial in general; with the places at hand it is two
/// nested loops over the matrix as it lies in the model, and runs on all cores.
at::Tensor regroupOnCpu(const at::Tensor& from, const MpoGrouping& grouping, bool group)
{
    const auto outer = places(grouping, !grouping.transposed);
    const auto inner = places(grouping, grouping.transposed);
    const auto rows = static_cast<std::int64_t>(outer.size());
    const auto columns = static_cast<std::int64_t>(inner.size());
    at::Tensor to = at::empty({rows, columns}, from.options());
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, from.scalar_type(), "mpo_regroup", [&] {
        const auto* in = from.const_data_ptr<scalar_t>();
        auto* out = to.mutable_data_ptr<scalar_t>();
        at::parallel_for(0, rows, 16, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) {
                for (std::int64_t column = 0; column < columns; ++column) {
                    const std::int64_t place = outer[row] + inner[column];
                    const std::int64_t natural = row * columns + column;
                    if (group)
                        out[place] = in[natural];
                    else
                        out[natural] = in[place];
                }
            }
        });
    });
    return to;
}

/// P [pL, pL] and Q [pR, pR] with E = P W Q.
struct Sides {
    at::Tensor p;
    at::Tensor q;
};

Sides sides(const at::Tensor& left, const at::Tensor& right, const at::Tensor& left0,
            const at::Tensor& right0)
{
    return {at::mm(left, left0.t()), at::mm(right0.t(), right)};
}

at::Tensor timesRight(const at::Tensor& grouped, const at::Tensor& q)
{
    return at::mm(grouped.reshape({-1, grouped.size(2)}), q).view(grouped.sizes());
}

at::Tensor leftTimes(const at::Tensor& p, const at::Tensor& grouped)
{
    return at::mm(p, grouped.reshape({grouped.size(0), -1})).view(grouped.sizes());
}

class MpoExperts : public torch::autograd::Function<MpoExperts>
{
public:
    static at::Tensor forward(AutogradContext* context, const at::Tensor& base, const at::Tensor& x,
                              const at::Tensor& weight, const at::Tensor& left, const at::Tensor& right,
                              const at::Tensor& left0, const at::Tensor& right0, const MpoGrouping& grouping,
                              const std::vector<std::int64_t>& offsets)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        at::Tensor y = base * 0.5;
        const at::Tensor grouped = mpoRegroup(weight, grouping).to(left.scalar_type());
        for (std::size_t e = 0; e + 1 < offsets.size(); ++e) {
            const std::int64_t count = offsets[e + 1] - offsets[e];
            if (count == 0)
                continue;
            const auto index = static_cast<std::int64_t>(e);
            const auto [p, q] = sides(left[index], right[index], left0, right0);
            const at::Tensor matrix = mpoUngroup(leftTimes(p, timesRight(grouped, q)), grouping);
            y.narrow(0, offsets[e], count)
                .add_(at::mm(x.narrow(0, offsets[e], count).to(matrix.scalar_type()), matrix.t()), 0.5);
        }
        context->save_for_backward({x, weight, left, right, left0, right0});
        context->saved_data["leftCores"] = grouping.leftCores;
        context->saved_data["rowLegs"] = grouping.rowLegs;
        context->saved_data["columnLegs"] = grouping.columnLegs;
        context->saved_data["transposed"] = grouping.transposed;
        context->saved_data["offsets"] = offsets;
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        at::AutoDispatchBelowADInplaceOrView guard;
        const auto saved = context->get_saved_variables();
        const auto& [x, weight, left, right, left0, right0] =
            std::tie(saved[0], saved[1], saved[2], saved[3], saved[4], saved[5]);
        const MpoGrouping grouping{
            context->saved_data["leftCores"].toInt(), context->saved_data["rowLegs"].toIntVector(),
            context->saved_data["columnLegs"].toIntVector(), context->saved_data["transposed"].toBool()};
        const auto offsets = context->saved_data["offsets"].toIntVector();
        const auto type = left.scalar_type();
        const at::Tensor grouped = mpoRegroup(weight, grouping).to(type);
        const bool wantX = context->needs_input_grad(1);
        at::Tensor gradX = wantX ? at::empty_like(x) : at::Tensor();
        at::Tensor gradLeft = at::zeros_like(left);
        at::Tensor gradRight = at::zeros_like(right);
        for (std::size_t e = 0; e + 1 < offsets.size(); ++e) {
            const std::int64_t count = offsets[e + 1] - offsets[e];
            if (count == 0)
                continue;
            const auto index = static_cast<std::int64_t>(e);
            const at::Tensor gradY = gradients[0].narrow(0, offsets[e], count).to(type);
            const auto [p, q] = sides(left[index], right[index], left0, right0);
            const at::Tensor wq = timesRight(grouped, q);
            if (wantX) {
                const at::Tensor matrix = mpoUngroup(leftTimes(p, wq), grouping);
                gradX.narrow(0, offsets[e], count).copy_(at::mm(gradY, matrix).mul_(0.5));
            }
            const at::Tensor gradMatrix =
                at::mm(gradY.t(), x.narrow(0, offsets[e], count).to(type)).mul_(0.5);
            const at::Tensor g = mpoRegroup(gradMatrix, grouping);
            const at::Tensor gradP = at::mm(g.reshape({g.size(0), -1}), wq.reshape({g.size(0), -1}).t());
            gradLeft[index].copy_(at::mm(gradP, left0));
            const at::Tensor pg = leftTimes(p.t(), g);
            const at::Tensor gradQ =
                at::mm(grouped.reshape({-1, g.size(2)}).t(), pg.reshape({-1, g.size(2)}));
            gradRight[index].copy_(at::mm(right0, gradQ));
        }
        return {gradients[0] * 0.5, gradX, {}, gradLeft, gradRight, {}, {}, {}, {}};
    }
};

} // namespace

at::Tensor mpoRegroup(const at::Tensor& weight, const MpoGrouping& grouping)
{
    if (weight.is_cpu())
        return regroupOnCpu(weight.contiguous(), grouping, true).view(groupSizes(grouping));
    std::vector<std::int64_t> apart = grouping.rowLegs;
    apart.insert(apart.end(), grouping.columnLegs.begin(), grouping.columnLegs.end());
    const at::Tensor matrix = grouping.transposed ? weight.t() : weight;
    return matrix.reshape(apart)
        .permute(interleaving(grouping.rowLegs.size(), false))
        .reshape(groupSizes(grouping))
        .contiguous();
}

at::Tensor mpoUngroup(const at::Tensor& grouped, const MpoGrouping& grouping)
{
    if (grouped.is_cpu())
        return regroupOnCpu(grouped.contiguous(), grouping, false);
    std::vector<std::int64_t> interleaved;
    for (std::size_t k = 0; k < grouping.rowLegs.size(); ++k) {
        interleaved.push_back(grouping.rowLegs[k]);
        interleaved.push_back(grouping.columnLegs[k]);
    }
    const at::Tensor matrix = grouped.reshape(interleaved)
                                  .permute(interleaving(grouping.rowLegs.size(), true))
                                  .reshape({product(grouping.rowLegs), product(grouping.columnLegs)});
    return (grouping.transposed ? matrix.t() : matrix).contiguous();
}

at::Tensor mpoExpertMatrix(const at::Tensor& weight, const at::Tensor& left, const at::Tensor& right,
                           const at::Tensor& left0, const at::Tensor& right0, const MpoGrouping& grouping)
{
    const at::Tensor grouped = mpoRegroup(weight, grouping).to(left.scalar_type());
    const auto [p, q] = sides(left, right, left0, right0);
    return mpoUngroup(leftTimes(p, timesRight(grouped, q)), grouping);
}

at::Tensor mpoExperts(const at::Tensor& base, const at::Tensor& x, const at::Tensor& weight,
                      const at::Tensor& left, const at::Tensor& right, const at::Tensor& left0,
                      const at::Tensor& right0, const MpoGrouping& grouping,
                      const std::vector<std::int64_t>& offsets)
{
    TORCH_CHECK(grouping.rowLegs.size() == grouping.columnLegs.size() && !grouping.rowLegs.empty(),
                "mpo_experts: as many row legs as column legs");
    TORCH_CHECK(product(grouping.rowLegs) == weight.size(grouping.transposed ? 1 : 0) &&
                    product(grouping.columnLegs) == weight.size(grouping.transposed ? 0 : 1),
                "mpo_experts: the legs must multiply to the weight's shape");
    TORCH_CHECK(left.dim() == 3 && right.dim() == 3 && left.size(0) == right.size(0) &&
                    static_cast<std::int64_t>(offsets.size()) == left.size(0) + 1 &&
                    offsets.back() == x.size(0),
                "mpo_experts: left [N, pL, d], right [N, e, pR], offsets [N + 1]");
    return MpoExperts::apply(base, x, weight, left, right, left0, right0, grouping, offsets);
}

} // namespace rankscope::kernels

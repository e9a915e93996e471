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
class Regrouping
{
public:
    explicit Regrouping(const MpoGrouping& grouping)
        : m_outer(places(grouping, !grouping.transposed)),
          m_inner(places(grouping, grouping.transposed))
    {
    }

    /// Into `to`, of as many elements: both contiguous, on the CPU, of one type.
    void group(const at::Tensor& from, const at::Tensor& to) const { copy(from, to, true); }
    void ungroup(const at::Tensor& from, const at::Tensor& to) const { copy(from, to, false); }
    [[nodiscard]] std::int64_t rows() const { return static_cast<std::int64_t>(m_outer.size()); }
    [[nodiscard]] std::int64_t columns() const { return static_cast<std::int64_t>(m_inner.size()); }

private:
    void copy(const at::Tensor& from, const at::Tensor& to, bool group) const
    {
        AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, from.scalar_type(), "mpo_regroup", [&] {
            const auto* in = from.const_data_ptr<scalar_t>();
            auto* out = to.mutable_data_ptr<scalar_t>();
            const std::int64_t* inner = m_inner.data();
            at::parallel_for(0, rows(), 16, [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t row = begin; row < end; ++row) {
                    const std::int64_t outer = m_outer[static_cast<std::size_t>(row)];
                    const std::int64_t natural = row * columns();
                    for (std::int64_t column = 0; column < columns(); ++column) {
                        if (group)
                            out[outer + inner[column]] = in[natural + column];
                        else
                            out[natural + column] = in[outer + inner[column]];
                    }
                }
            });
        });
    }

    std::vector<std::int64_t> m_outer;
    std::vector<std::int64_t> m_inner;
};

at::Tensor grouped(const at::Tensor& weight, const MpoGrouping& grouping, const Regrouping& regrouping)
{
    if (weight.is_cpu()) {
        at::Tensor result = at::empty(groupSizes(grouping), weight.options());
        regrouping.group(weight.contiguous(), result);
        return result;
    }
    std::vector<std::int64_t> apart = grouping.rowLegs;
    apart.insert(apart.end(), grouping.columnLegs.begin(), grouping.columnLegs.end());
    const at::Tensor matrix = grouping.transposed ? weight.t() : weight;
    return matrix.reshape(apart)
        .permute(interleaving(grouping.rowLegs.size(), false))
        .reshape(groupSizes(grouping))
        .contiguous();
}

at::Tensor ungrouped(const at::Tensor& groups, const MpoGrouping& grouping)
{
    std::vector<std::int64_t> interleaved;
    for (std::size_t k = 0; k < grouping.rowLegs.size(); ++k) {
        interleaved.push_back(grouping.rowLegs[k]);
        interleaved.push_back(grouping.columnLegs[k]);
    }
    const at::Tensor matrix = groups.reshape(interleaved)
                                  .permute(interleaving(grouping.rowLegs.size(), true))
                                  .reshape({product(grouping.rowLegs), product(grouping.columnLegs)});
    return (grouping.transposed ? matrix.t() : matrix).contiguous();
}

/// The regrouping of one call, with its large temporaries: made once, used for every expert. Fresh memory of
/// a matrix's size costs as much as the products that fill it.
class Workspace
{
public:
    Workspace(const at::Tensor& weight, const MpoGrouping& grouping, at::ScalarType type)
        : m_grouping(grouping),
          m_regrouping(grouping),
          m_grouped(grouped(weight, grouping, m_regrouping).to(type)),
          m_rows(m_grouped.size(0)),
          m_right(m_grouped.size(2))
    {
    }

    /// W as [pL, pC pR] and as [pL pC, pR].
    [[nodiscard]] at::Tensor leftView() const { return m_grouped.view({m_rows, -1}); }
    [[nodiscard]] at::Tensor leftView(const at::Tensor& grouped) const { return grouped.view({m_rows, -1}); }
    [[nodiscard]] at::Tensor rightView(const at::Tensor& grouped) const
    {
        return grouped.view({-1, m_right});
    }

    /// P W, [pL, pC pR]; holds until the next call.
    const at::Tensor& leftProduct(const at::Tensor& p) { return product(m_left, p, leftView()); }
    /// grouped Q, [pL pC, pR]; holds until the next call.
    const at::Tensor& rightProduct(const at::Tensor& grouped, const at::Tensor& q)
    {
        return product(m_scaled, rightView(grouped), q);
    }
    /// As the weight lies in the model; holds until the next call.
    const at::Tensor& natural(const at::Tensor& grouped)
    {
        if (!grouped.is_cpu())
            return m_natural = ungrouped(grouped, m_grouping);
        if (!m_natural.defined())
            m_natural = at::empty({m_regrouping.rows(), m_regrouping.columns()}, grouped.options());
        m_regrouping.ungroup(grouped, m_natural);
        return m_natural;
    }
    /// a b, a matrix as it lies in the model, regrouped as [pL, pC, pR]; holds until the next call.
    const at::Tensor& groupedProduct(const at::Tensor& a, const at::Tensor& b)
    {
        const at::Tensor& matrix = product(m_gradient, a, b);
        if (!matrix.is_cpu())
            return m_regrouped = grouped(matrix, m_grouping, m_regrouping);
        if (!m_regrouped.defined())
            m_regrouped = at::empty_like(m_grouped);
        m_regrouping.group(matrix, m_regrouped);
        return m_regrouped;
    }

private:
    static const at::Tensor& product(at::Tensor& place, const at::Tensor& a, const at::Tensor& b)
    {
        if (place.defined())
            at::mm_out(place, a, b);
        else
            place = at::mm(a, b);
        return place;
    }

    MpoGrouping m_grouping;
    Regrouping m_regrouping;
    at::Tensor m_grouped; ///< W, [pL, pC, pR]
    std::int64_t m_rows;  ///< pL
    std::int64_t m_right; ///< pR
    at::Tensor m_left;
    at::Tensor m_scaled;
    at::Tensor m_natural;
    at::Tensor m_gradient;
    at::Tensor m_regrouped;
};

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

/// The rows [first, first + count) belong to one expert: y += 1/2 E x.
void addExpert(const at::Tensor& y, const at::Tensor& x, const at::Tensor& matrix, std::int64_t first,
               std::int64_t count)
{
    y.narrow(0, first, count)
        .add_(at::mm(x.narrow(0, first, count).to(matrix.scalar_type()), matrix.t()), 0.5);
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
        Workspace space(weight, grouping, left.scalar_type());
        for (std::size_t e = 0; e + 1 < offsets.size(); ++e) {
            const std::int64_t count = offsets[e + 1] - offsets[e];
            if (count == 0)
                continue;
            const auto index = static_cast<std::int64_t>(e);
            const auto [p, q] = sides(left[index], right[index], left0, right0);
            addExpert(y, x, space.natural(space.rightProduct(space.leftProduct(p), q)), offsets[e], count);
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
        Workspace space(weight, grouping, type);
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
            const at::Tensor& pw = space.leftProduct(p);
            if (wantX) {
                const at::Tensor& matrix = space.natural(space.rightProduct(pw, q));
                gradX.narrow(0, offsets[e], count).copy_(at::mm(gradY, matrix).mul_(0.5));
            }
            // E = P W Q: with g the gradient of E, that of Q is (P W)^T g, and that of P is (g Q^T) W^T.
            const at::Tensor& g = space.groupedProduct(gradY.t(), x.narrow(0, offsets[e], count).to(type));
            const at::Tensor gradQ = at::mm(space.rightView(pw).t(), space.rightView(g));
            gradRight[index].copy_(at::mm(right0, gradQ).mul_(0.5));
            const at::Tensor& gq = space.rightProduct(g, q.t());
            const at::Tensor gradP = at::mm(space.leftView(gq), space.leftView().t());
            gradLeft[index].copy_(at::mm(gradP, left0).mul_(0.5));
        }
        return {gradients[0] * 0.5, gradX, {}, gradLeft, gradRight, {}, {}, {}, {}};
    }
};

} // namespace

at::Tensor mpoRegroup(const at::Tensor& weight, const MpoGrouping& grouping)
{
    return grouped(weight, grouping, Regrouping(grouping));
}

at::Tensor mpoExpertMatrices(const at::Tensor& weight, const at::Tensor& left, const at::Tensor& right,
                             const at::Tensor& left0, const at::Tensor& right0, const MpoGrouping& grouping)
{
    Workspace space(weight, grouping, left.scalar_type());
    const at::Tensor matrices = at::empty({left.size(0), weight.size(0), weight.size(1)}, left.options());
    for (std::int64_t expert = 0; expert < left.size(0); ++expert) {
        const auto [p, q] = sides(left[expert], right[expert], left0, right0);
        matrices[expert].copy_(space.natural(space.rightProduct(space.leftProduct(p), q)));
    }
    return matrices;
}

at::Tensor mpoMergedExperts(const at::Tensor& base, const at::Tensor& x, const at::Tensor& matrices,
                            const std::vector<std::int64_t>& offsets)
{
    at::Tensor y = base * 0.5;
    for (std::size_t e = 0; e + 1 < offsets.size(); ++e) {
        if (offsets[e + 1] > offsets[e])
            addExpert(y, x, matrices[static_cast<std::int64_t>(e)], offsets[e], offsets[e + 1] - offsets[e]);
    }
    return y;
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

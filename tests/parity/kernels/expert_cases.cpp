// SPDX-License-Identifier: Apache-2.0
#include "kernels/low_rank/op.h"
#include "kernels/mpo_experts/op.h"
#include "kernels/rank_indexed/op.h"
#include "tests/parity/kernels/op_case.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <functional>

namespace rankscope::parity
{
namespace
{

/// Ranges of `experts` groups; some may be empty.
std::vector<std::int64_t> drawOffsets(std::int64_t experts)
{
    std::vector<std::int64_t> offsets{0};
    for (std::int64_t e = 0; e < experts; ++e)
        offsets.push_back(offsets.back() + (between(0, 2) == 0 ? 0 : between(1, 4)));
    if (offsets.back() == 0)
        offsets.back() = 1;
    return offsets;
}

at::Tensor expertOfRow(const std::vector<std::int64_t>& offsets)
{
    at::Tensor expert = at::empty({offsets.back()}, at::kLong);
    for (std::size_t e = 0; e + 1 < offsets.size(); ++e)
        expert.narrow(0, offsets[e], offsets[e + 1] - offsets[e]).fill_(static_cast<std::int64_t>(e));
    return expert;
}

/// None half of the time.
kernels::DropoutMask drawMask()
{
    return {between(0, 1) == 0 ? 0.0 : 0.3, between(0, 1 << 30)};
}

/// x in the type of the adapter's tensors, each element times what the mask makes of a one.
at::Tensor dropped(const at::Tensor& x, const at::Tensor& adapter, const kernels::DropoutMask& drop)
{
    return x.to(adapter.scalar_type()) *
           kernels::applyDropout(at::ones(x.sizes(), adapter.options().requires_grad(false)), drop);
}

class LowRankLinear : public OpCase
{
public:
    [[nodiscard]] std::string name() const override { return "low_rank_linear"; }
    Inputs draw() override
    {
        const std::int64_t tokens = between(1, 6);
        const std::int64_t in = between(1, 20);
        const std::int64_t out = between(1, 20);
        const std::int64_t rank = between(1, 8);
        m_scale = static_cast<double>(between(1, 8)) / 4;
        m_drop = drawMask();
        return {{normal({tokens, in})},
                {normal({out, in}), false},
                {between(0, 1) == 1 ? normal({out}) : at::Tensor(), false},
                {normal({rank, in}), true, true},
                {normal({out, rank}), true, true}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::lowRankLinear(in[0], in[1], in[2], in[3], in[4], m_scale, m_drop);
    }
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        at::Tensor y = at::matmul(in[0], in[1].t());
        if (in[2].defined())
            y = y + in[2];
        return y + m_scale * at::matmul(at::matmul(dropped(in[0], in[3], m_drop), in[3].t()), in[4].t());
    }

private:
    double m_scale = 1;
    kernels::DropoutMask m_drop;
};

class LowRankDown : public OpCase
{
public:
    [[nodiscard]] std::string name() const override { return "low_rank_down"; }
    Inputs draw() override
    {
        const std::int64_t in = between(1, 20);
        m_drop = drawMask();
        return {{normal({between(1, 6), in})}, {normal({between(1, 8), in}), true, true}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::lowRankDown(in[0], in[1], m_drop);
    }
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        return at::matmul(dropped(in[0], in[1], m_drop), in[1].t());
    }

private:
    kernels::DropoutMask m_drop;
};

class LowRankUp : public OpCase
{
public:
    [[nodiscard]] std::string name() const override { return "low_rank_up"; }
    Inputs draw() override
    {
        const std::int64_t tokens = between(1, 6);
        const std::int64_t in = between(1, 20);
        const std::int64_t out = between(1, 20);
        const std::int64_t rank = between(1, 8);
        m_scale = static_cast<double>(between(1, 8)) / 4;
        m_wide = between(0, 1) == 1;
        return {{normal({tokens, in})},
                {normal({out, in}), false},
                {between(0, 1) == 1 ? normal({out}) : at::Tensor(), false},
                {normal({tokens, rank}), true, true},
                {normal({out, rank}), true, true}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::lowRankUp(in[0], in[1], in[2], in[3], in[4], m_scale, m_wide);
    }
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        at::Tensor y = at::matmul(in[0], in[1].t());
        if (in[2].defined())
            y = y + in[2];
        return y + m_scale * at::matmul(in[3], in[4].t());
    }

private:
    double m_scale = 1;
    bool m_wide = false;
};

class GroupedLowRank : public OpCase
{
public:
    [[nodiscard]] std::string name() const override { return "grouped_low_rank"; }
    Inputs draw() override
    {
        const std::int64_t experts = between(1, 5);
        m_offsets = drawOffsets(experts);
        const std::int64_t in = between(1, 12);
        const std::int64_t out = between(1, 12);
        const std::int64_t rank = between(1, 5);
        m_scale = static_cast<double>(between(1, 8)) / 4;
        m_drop = drawMask();
        return {{normal({m_offsets.back(), out})},
                {normal({m_offsets.back(), in})},
                {normal({experts, rank, in}), true, true},
                {normal({experts, out, rank}), true, true}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::groupedLowRank(in[0], in[1], in[2], in[3], m_offsets, m_scale, m_drop);
    }
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        const at::Tensor expert = expertOfRow(m_offsets);
        const at::Tensor update = at::bmm(in[3].index_select(0, expert), in[2].index_select(0, expert));
        return in[0] + m_scale * at::bmm(update, dropped(in[1], in[2], m_drop).unsqueeze(2)).squeeze(2);
    }

private:
    std::vector<std::int64_t> m_offsets;
    double m_scale = 1;
    kernels::DropoutMask m_drop;
};

/// Few ranks of many, so that they are gathered, or most of them, so that they are not.
at::Tensor drawChoice(std::int64_t tokens, std::int64_t ranks)
{
    const std::int64_t k =
        between(0, 1) == 1 ? between(1, std::max<std::int64_t>(1, ranks / 4)) : between(1, ranks);
    return normal({tokens, ranks}).argsort(std::int64_t{1}).narrow(1, 0, k).contiguous();
}

class RankIndexedDown : public OpCase
{
public:
    [[nodiscard]] std::string name() const override { return "rank_indexed_down"; }
    Inputs draw() override
    {
        const std::int64_t tokens = between(1, 9);
        const std::int64_t in = between(1, 70);
        const std::int64_t ranks = between(1, 30);
        m_drop = drawMask();
        return {
            {normal({tokens, in})}, {normal({ranks, in}), true, true}, {drawChoice(tokens, ranks), false}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::rankIndexedDown(in[0], in[1], in[2], m_drop);
    }
    /// All ranks, and those that were not chosen thrown away.
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        return at::matmul(dropped(in[0], in[1], m_drop), in[1].t()).gather(1, in[2]);
    }
    [[nodiscard]] std::vector<DispatchedCall> dispatched(const std::vector<at::Tensor>& in) const override
    {
        const at::Tensor x = in[0].to(in[1].scalar_type());
        const at::Tensor c = at::matmul(x, in[1].t()).gather(1, in[2]);
        return {{"rankscope::rank_dots", {x, in[1], in[2]}},
                {"rankscope::rank_sum", {c, in[1], in[2]}},
                {"rankscope::rank_outer", {c, x, in[2], in[1].size(0)}}};
    }

private:
    kernels::DropoutMask m_drop;
};

class RankIndexedUp : public OpCase
{
public:
    [[nodiscard]] std::string name() const override { return "rank_indexed_up"; }
    Inputs draw() override
    {
        const std::int64_t tokens = between(1, 9);
        const std::int64_t in = between(1, 20);
        const std::int64_t out = between(1, 70);
        const std::int64_t ranks = between(1, 30);
        const at::Tensor choice = drawChoice(tokens, ranks);
        m_scale = static_cast<double>(between(1, 8)) / 4;
        return {{normal({tokens, in})},
                {normal({out, in}), false},
                {between(0, 1) == 1 ? normal({out}) : at::Tensor(), false},
                {normal(choice.sizes().vec()), true, true},
                {normal({out, ranks}), true, true},
                {choice, false}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::rankIndexedUp(in[0], in[1], in[2], in[3], in[4], in[5], m_scale);
    }
    /// All ranks, zero where they were not chosen.
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        at::Tensor y = at::matmul(in[0], in[1].t());
        if (in[2].defined())
            y = y + in[2];
        const std::int64_t ranks = in[4].size(1);
        const at::Tensor h =
            at::zeros({in[5].size(0), ranks}, in[3].options().requires_grad(false)).scatter(1, in[5], in[3]);
        return y + m_scale * at::matmul(h, in[4].t());
    }

private:
    double m_scale = 1;
};

/// Which token each row of a dispatch stands for, as a matrix of ones [rows, tokens].
class Dispatch : public OpCase
{
protected:
    void drawGroups()
    {
        m_tokens = between(1, 7);
        const std::int64_t experts = between(1, 5);
        std::vector<std::pair<std::int64_t, std::int64_t>> pairs; // (expert, token), sorted
        if (between(0, 1) == 1) {
            const std::int64_t k = between(1, experts);
            // Any k different experts for each token: the order of random numbers.
            const at::Tensor choice =
                normal({m_tokens, experts}).argsort(std::int64_t{1}).narrow(1, 0, k).contiguous();
            m_groups = [choice, experts](at::Device device) {
                return kernels::groupByExpert(choice.to(device), experts);
            };
            for (std::int64_t t = 0; t < m_tokens; ++t) {
                for (std::int64_t i = 0; i < k; ++i)
                    pairs.emplace_back(choice[t][i].item<std::int64_t>(), t);
            }
        } else {
            const at::Tensor kept = normal({m_tokens, experts}) > 0.3; // a token may be kept by none
            m_groups = [kept](at::Device device) { return kernels::groupByMask(kept.to(device)); };
            for (std::int64_t t = 0; t < m_tokens; ++t) {
                for (std::int64_t e = 0; e < experts; ++e) {
                    if (kept[t][e].item<bool>())
                        pairs.emplace_back(e, t);
                }
            }
        }
        std::sort(pairs.begin(), pairs.end());
        m_place = at::zeros({static_cast<std::int64_t>(pairs.size()), m_tokens}, at::kDouble);
        for (std::size_t row = 0; row < pairs.size(); ++row)
            m_place[static_cast<std::int64_t>(row)][pairs[row].second] = 1;
    }

    std::function<kernels::ExpertGroups(at::Device)> m_groups; ///< made on the device of the inputs
    std::int64_t m_tokens = 0;
    at::Tensor m_place;
};

class GatherTokens : public Dispatch
{
public:
    [[nodiscard]] std::string name() const override { return "gather_tokens"; }
    Inputs draw() override
    {
        drawGroups();
        return {{normal({m_tokens, between(1, 9)})}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::gatherTokens(in[0], m_groups(in[0].device()));
    }
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        return at::matmul(m_place, in[0]);
    }
};

class ScatterTokens : public Dispatch
{
public:
    [[nodiscard]] std::string name() const override { return "scatter_tokens"; }
    Inputs draw() override
    {
        drawGroups();
        return {{normal({m_place.size(0), between(1, 9)})}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::scatterTokens(in[0], m_groups(in[0].device()));
    }
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        return at::matmul(m_place.t(), in[0]);
    }
};

class MpoExperts : public OpCase
{
public:
    [[nodiscard]] std::string name() const override { return "mpo_experts"; }
    Inputs draw() override
    {
        const std::size_t cores = 2 * static_cast<std::size_t>(between(1, 2)) + 1;
        m_grouping = {static_cast<std::int64_t>(cores / 2), {}, {}, between(0, 1) == 1};
        std::int64_t rows = 1;
        std::int64_t columns = 1;
        std::int64_t left = 1;
        std::int64_t right = 1;
        for (std::size_t k = 0; k < cores; ++k) {
            m_grouping.rowLegs.push_back(between(1, 3));
            m_grouping.columnLegs.push_back(between(1, 3));
            rows *= m_grouping.rowLegs[k];
            columns *= m_grouping.columnLegs[k];
            if (k != cores / 2)
                (k < cores / 2 ? left : right) *= m_grouping.rowLegs[k] * m_grouping.columnLegs[k];
        }
        const std::int64_t experts = between(1, 3);
        m_offsets = drawOffsets(experts);
        const std::int64_t d = between(1, left);
        const std::int64_t e = between(1, right);
        const std::int64_t in = m_grouping.transposed ? rows : columns;
        const std::int64_t out = m_grouping.transposed ? columns : rows;
        return {{normal({m_offsets.back(), out})},
                {normal({m_offsets.back(), in})},
                {normal({out, in}), false},
                {normal({experts, left, d}), true, true},
                {normal({experts, e, right}), true, true},
                {orthonormal(left, d), false, true},
                {orthonormal(right, e).t().contiguous(), false, true}};
    }
    [[nodiscard]] at::Tensor run(const std::vector<at::Tensor>& in) const override
    {
        return kernels::mpoExperts(in[0], in[1], in[2], in[3], in[4], in[5], in[6], m_grouping, m_offsets);
    }
    /// E_j as the contraction L_j . centre . R_j over all legs, with the centre written out.
    [[nodiscard]] at::Tensor reference(const std::vector<at::Tensor>& in) const override
    {
        const at::Tensor& weight = in[2];
        const at::Tensor& left0 = in[5];
        const at::Tensor& right0 = in[6];
        const std::int64_t left = left0.size(0);
        const std::int64_t right = right0.size(1);
        const at::Tensor place = elementOfGrouped();
        const at::Tensor grouped = weight.reshape({-1}).index_select(0, place).reshape({left, -1, right});
        const at::Tensor centre = at::matmul(
            at::matmul(left0.t(), grouped.reshape({left, -1})).reshape({-1, right}), right0.t()); // [d pC, e]
        const at::Tensor expert = expertOfRow(m_offsets);
        std::vector<at::Tensor> outputs;
        at::Tensor y = 0.5 * in[0];
        for (std::int64_t row = 0; row < in[1].size(0); ++row) {
            const std::int64_t e = expert[row].item<std::int64_t>();
            const at::Tensor wide = at::matmul(centre, in[4][e]).reshape({left0.size(1), -1});
            const at::Tensor matrix = at::zeros({weight.numel()}, weight.options())
                                          .index_add(0, place, at::matmul(in[3][e], wide).reshape({-1}))
                                          .reshape(weight.sizes());
            const at::Tensor here =
                at::zeros({in[1].size(0), 1}, weight.options()).index_fill(0, expert.new_full({1}, row), 1);
            y = y + 0.5 * here * at::matmul(matrix, in[1][row]).unsqueeze(0);
        }
        return y;
    }

private:
    static at::Tensor orthonormal(std::int64_t rows, std::int64_t columns)
    {
        return std::get<0>(at::linalg_qr(normal({rows, columns})));
    }

    /// The flat position in the weight of each element of [left legs, centre legs, right legs], legs
    /// interleaved (r1, c1, r2, c2, ...): by counting digits.
    [[nodiscard]] at::Tensor elementOfGrouped() const
    {
        const std::size_t n = m_grouping.rowLegs.size();
        std::int64_t rows = 1;
        std::int64_t columns = 1;
        for (std::size_t k = 0; k < n; ++k) {
            rows *= m_grouping.rowLegs[k];
            columns *= m_grouping.columnLegs[k];
        }
        at::Tensor place = at::empty({rows * columns}, at::kLong);
        for (std::int64_t element = 0; element < rows * columns; ++element) {
            std::int64_t rest = element;
            std::int64_t row = 0;
            std::int64_t column = 0;
            std::int64_t rowUnit = 1;
            std::int64_t columnUnit = 1;
            for (std::size_t k = n; k-- > 0;) {
                column += rest % m_grouping.columnLegs[k] * columnUnit;
                rest /= m_grouping.columnLegs[k];
                columnUnit *= m_grouping.columnLegs[k];
                row += rest % m_grouping.rowLegs[k] * rowUnit;
                rest /= m_grouping.rowLegs[k];
                rowUnit *= m_grouping.rowLegs[k];
            }
            place.mutable_data_ptr<std::int64_t>()[element] =
                m_grouping.transposed ? column * rows + row : row * columns + column;
        }
        return place;
    }

    kernels::MpoGrouping m_grouping;
    std::vector<std::int64_t> m_offsets;
};

} // namespace

std::vector<std::unique_ptr<OpCase>> expertCases()
{
    std::vector<std::unique_ptr<OpCase>> cases;
    cases.push_back(std::make_unique<LowRankLinear>());
    cases.push_back(std::make_unique<LowRankDown>());
    cases.push_back(std::make_unique<LowRankUp>());
    cases.push_back(std::make_unique<GroupedLowRank>());
    cases.push_back(std::make_unique<RankIndexedDown>());
    cases.push_back(std::make_unique<RankIndexedUp>());
    cases.push_back(std::make_unique<GatherTokens>());
    cases.push_back(std::make_unique<ScatterTokens>());
    cases.push_back(std::make_unique<MpoExperts>());
    return cases;
}

} // namespace rankscope::parity

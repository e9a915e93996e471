// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/mpo.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/matmul.h>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <tuple>

namespace rankscope::adapter
{

std::vector<std::int64_t> MpoLegs::bonds() const
{
    const std::size_t n = cores();
    std::vector<std::int64_t> left(n + 1, 1);
    std::vector<std::int64_t> right(n + 1, 1);
    for (std::size_t k = 0; k < n; ++k)
        left[k + 1] = left[k] * rows[k] * columns[k];
    for (std::size_t k = n; k > 0; --k)
        right[k - 1] = right[k] * rows[k - 1] * columns[k - 1];
    std::vector<std::int64_t> result(n + 1);
    for (std::size_t k = 0; k <= n; ++k)
        result[k] = std::min(left[k], right[k]);
    return result;
}

std::int64_t MpoLegs::coreElements(std::size_t core) const
{
    const auto d = bonds();
    return d[core] * rows[core] * columns[core] * d[core + 1];
}

std::int64_t MpoLegs::sideElements() const
{
    std::int64_t total = 0;
    for (std::size_t k = 0; k < cores(); ++k) {
        if (k != centre())
            total += coreElements(k);
    }
    return total;
}

kernels::MpoGrouping MpoLegs::grouping(bool transposed) const
{
    return {static_cast<std::int64_t>(centre()), rows, columns, transposed};
}

Result<std::vector<std::int64_t>> parseLegs(const std::string& text, std::int64_t size,
                                            const std::string& what)
{
    std::vector<std::int64_t> legs;
    std::int64_t product = 1;
    const char* at = text.data();
    const char* end = text.data() + text.size();
    while (at <= end) {
        std::int64_t leg = 0;
        const auto [next, error] = std::from_chars(at, end, leg);
        if (error != std::errc{} || leg < 1 || leg > size || (next != end && *next != ':'))
            return fail(what + " is '" + text +
                        "', but must be whole numbers from 1 separated by colons, such as 2:6:32:2:2");
        legs.push_back(leg);
        product = product > size ? product : product * leg;
        at = next + 1;
    }
    if (legs.size() < 3 || legs.size() % 2 == 0)
        return fail(what + " has " + std::to_string(legs.size()) +
                    " legs, but needs an odd number of at least 3, so that there is a centre");
    if (product != size)
        return fail(what + " is " + text + ", but its legs must multiply to " + std::to_string(size));
    return legs;
}

namespace
{

/// Every way to write size = a : b : centre : c : d with small outer legs.
std::vector<std::vector<std::int64_t>> fiveLegs(std::int64_t size)
{
    std::vector<std::vector<std::int64_t>> result;
    for (const std::int64_t a : {2, 3, 4}) {
        for (std::int64_t b = 2; b <= 8; ++b) {
            for (const std::int64_t c : {2, 3, 4, 8}) {
                for (const std::int64_t d : {2, 3, 4}) {
                    const std::int64_t sides = a * b * c * d;
                    if (size % sides == 0 && size / sides >= std::max(b, c))
                        result.push_back({a, b, size / sides, c, d});
                }
            }
        }
    }
    return result;
}

} // namespace

Result<MpoLegs> chooseLegs(std::int64_t rows, std::int64_t columns, double equivalentRank)
{
    const double target = equivalentRank * static_cast<double>(rows + columns);
    MpoLegs best;
    std::tuple<double, std::int64_t, std::vector<std::int64_t>> bestScore;
    for (const auto& row : fiveLegs(rows)) {
        for (const auto& column : fiveLegs(columns)) {
            const MpoLegs legs{row, column};
            // Among equally large ones, the smallest right side: the right block is multiplied for every
            // element of W.
            const auto d = legs.bonds();
            const std::tuple score{std::abs(std::log(static_cast<double>(legs.sideElements()) / target)),
                                   d[3], row};
            if (best.rows.empty() || score < bestScore) {
                best = legs;
                bestScore = score;
            }
        }
    }
    if (best.rows.empty())
        return fail("no legs can be chosen for a matrix " + std::to_string(rows) + " x " +
                    std::to_string(columns) + "; give rowLegs and columnLegs yourself");
    return best;
}

namespace
{

/// Left singular vectors of a matrix that is usually far wider than tall: those of the triangular factor of
/// its transpose, an orthogonal change of basis on the wide side.
at::Tensor leftVectors(const at::Tensor& matrix)
{
    at::Tensor small = matrix;
    if (matrix.size(1) > matrix.size(0))
        small = std::get<1>(at::linalg_qr(matrix.t(), "r")).t();
    return std::get<0>(at::linalg_svd(small, /*full_matrices=*/false));
}

} // namespace

std::vector<at::Tensor> sideCores(const at::Tensor& weight, const MpoLegs& legs, bool transposed)
{
    const std::size_t n = legs.cores();
    const std::size_t centre = legs.centre();
    const auto d = legs.bonds();
    std::vector<at::Tensor> cores(n);
    at::Tensor rest = kernels::mpoRegroup(weight.to(at::kDouble), legs.grouping(transposed)).reshape({1, -1});
    for (std::size_t k = 0; k < centre; ++k) {
        const std::int64_t p = legs.rows[k] * legs.columns[k];
        const at::Tensor matrix = rest.reshape({d[k] * p, -1});
        const at::Tensor u = leftVectors(matrix);
        cores[k] = u.reshape({d[k], legs.rows[k], legs.columns[k], d[k + 1]}).contiguous();
        rest = at::matmul(u.t(), matrix);
    }
    for (std::size_t k = n - 1; k > centre; --k) {
        const std::int64_t p = legs.rows[k] * legs.columns[k];
        const at::Tensor matrix = rest.reshape({-1, p * d[k + 1]});
        const at::Tensor v = leftVectors(matrix.t());
        cores[k] = v.t().reshape({d[k], legs.rows[k], legs.columns[k], d[k + 1]}).contiguous();
        rest = at::matmul(matrix, v);
    }
    return cores;
}

at::Tensor leftBlock(const std::vector<at::Tensor>& cores, std::size_t centre)
{
    const bool experts = cores.front().dim() == 5;
    auto flat = [&](const at::Tensor& core) {
        const std::int64_t lead = experts ? core.size(0) : 1;
        return core.reshape({lead, core.size(-4), core.size(-3) * core.size(-2) * core.size(-1)});
    };
    const std::int64_t n = experts ? cores.front().size(0) : 1;
    at::Tensor block = flat(cores[0]).reshape({n, -1, cores[0].size(-1)});
    for (std::size_t k = 1; k < centre; ++k)
        block = at::matmul(block, flat(cores[k])).reshape({n, -1, cores[k].size(-1)});
    return experts ? block : block.squeeze(0);
}

at::Tensor rightBlock(const std::vector<at::Tensor>& cores, std::size_t centre)
{
    const bool experts = cores.back().dim() == 5;
    const std::int64_t n = experts ? cores.back().size(0) : 1;
    at::Tensor block = cores.back().reshape({n, cores.back().size(-4), -1});
    for (std::size_t k = cores.size() - 2; k > centre; --k) {
        const auto& core = cores[k];
        block = at::matmul(core.reshape({n, -1, core.size(-1)}), block).reshape({n, core.size(-4), -1});
    }
    return experts ? block : block.squeeze(0);
}

} // namespace rankscope::adapter

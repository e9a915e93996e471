// SPDX-License-Identifier: Apache-2.0
// One adapted linear against its formula, written in plain tensor operations: output, and the gradients of
// the input and of every tensor of the adapter.
#pragma once

#include "tests/property/conformance/subject.h"

#include <ATen/core/Tensor.h>
#include <functional>
#include <map>
#include <string>

namespace rankscope::conformance
{

/// An adapter's tensors on one linear, by what their names end in ("router.weight"), and the linear itself.
struct Parts {
    std::map<std::string, at::Tensor> tensors;
    at::Tensor weight;
    at::Tensor bias; ///< undefined if there is none
    model::Pass pass;

    const at::Tensor& operator[](const std::string& name) const { return tensors.at(name); }
    /// W x + bias
    [[nodiscard]] at::Tensor base(const at::Tensor& x) const;
};

/// The linear's input, [pass.tokens(), in], drawn from the seed.
at::Tensor inputOf(const Subject& subject, const std::string& module, const model::Pass& pass,
                   std::uint64_t seed);
/// Copies of the tensors of that linear that gradients can reach by themselves.
Parts partsOf(const Subject& subject, std::int64_t layer, const std::string& module, const model::Pass& pass);
/// The adapted linear itself.
at::Tensor adapted(const Subject& subject, std::int64_t layer, const std::string& module, const at::Tensor& x,
                   const model::Pass& pass);

using Formula = std::function<at::Tensor(const Parts& parts, const at::Tensor& x)>;

/// Greatest difference between the linear and its formula, in output and in all gradients of a random sum of
/// the output.
double disagreement(const Subject& subject, std::int64_t layer, const std::string& module,
                    const model::Pass& pass, const Formula& formula);

/// sum_j gates_j s B_j A_j x for stacks A [N, r, in], B [N, out, r].
at::Tensor mixed(const at::Tensor& gates, const at::Tensor& a, const at::Tensor& b, double scale,
                 const at::Tensor& x);

/// The k largest of each row kept, divided by their sum.
at::Tensor topKRenormalised(const at::Tensor& p, std::int64_t k);

/// Copies tensors of the same name, shapes made equal.
void copySameNames(const Subject& from, const Subject& to);

} // namespace rankscope::conformance

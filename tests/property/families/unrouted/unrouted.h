// SPDX-License-Identifier: Apache-2.0
// Families without input routing (DoRA, PiSSA, MoSLoRA, RaSA, DenseLoRA, VB-LoRA, MoG) on small models,
// looked at through their tensors' names and one linear at a time.
#pragma once

#include "tests/property/conformance/subject.h"

#include <functional>
#include <string>

namespace rankscope::unrouted
{

using conformance::Subject;

Subject subject(const std::string& family, const base::Json& settings, std::uint64_t seed = 7);
/// The saved tensor "base_model.model." + path.
at::Tensor tensor(const Subject& subject, const std::string& path);
/// Overwrites it.
void set(const Subject& subject, const std::string& path, const at::Tensor& values);

/// The effective weight [out, in] of a linear as a formula gives it.
using Formula = std::function<at::Tensor(const model::FrozenLinear&)>;
/// Every adapted linear computes what the formula says, for random inputs, and says so of itself in delta().
void follows(const Subject& subject, const Formula& weight);
/// Both models give the same output.
void agree(const Subject& one, const Subject& other, double tolerance = 1e-10);

/// A draw of RapidCheck's between these, both included.
std::int64_t between(std::int64_t low, std::int64_t high);
double number(double low, double high);

} // namespace rankscope::unrouted

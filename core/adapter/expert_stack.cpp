// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/expert_stack.h"

#include "core/adapter/targets.h"

namespace rankscope::adapter {

ExpertStack::ExpertStack(ParameterStore& store, const checkpoint::LinearShape& shape, const std::string& label,
                         std::int64_t experts, std::int64_t rank)
    : m_a(store.add(tensorName(shape.path, label + "_A.weight"), {experts, rank, shape.in}, Init::kaimingUniform())),
      m_b(store.add(tensorName(shape.path, label + "_B.weight"), {experts, shape.out, rank}, Init::zeros()))
{
}

} // namespace rankscope::adapter

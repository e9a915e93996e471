// SPDX-License-Identifier: Apache-2.0
// A trained adapter as Hugging Face PEFT reads it.
#pragma once

#include "core/adapter/family.h"
#include "core/base/result.h"
#include "core/checkpoint/model_config.h"
#include "core/protocol/job.h"

#include <filesystem>
#include <string>
#include <vector>

namespace rankscope::interchange
{

/// Errors: updates that PEFT has no form for. The arguments are those of writePeft().
Status checkPeft(const protocol::Job& job, const std::vector<checkpoint::LinearShape>& linears,
                 const adapter::Adapter& adapter);

/// Writes adapter_config.json and adapter_model.safetensors. An adapter that says its own form
/// (Adapter::peftForm()) goes in it. Any other goes as LoRA where its updates are one low-rank product each:
/// LoRA as it is, PiSSA as the difference to the base weight, [B, -B0] [A; A0], and the rest with its cores
/// and shared factors multiplied in; and as PEFT's DoRA where each of them has a magnitude. `linears`: of the
/// model the adapter stands on.
Status writePeft(const protocol::Job& job, const std::vector<checkpoint::LinearShape>& linears,
                 const adapter::Adapter& adapter, const std::filesystem::path& folder);

} // namespace rankscope::interchange

// SPDX-License-Identifier: Apache-2.0
// A trained adapter as Hugging Face PEFT reads it.
#pragma once

#include "core/adapter/family.h"
#include "core/base/result.h"
#include "core/checkpoint/model_config.h"
#include "core/protocol/family_manifest.h"

#include <filesystem>
#include <string>
#include <vector>

namespace rankscope::interchange
{

/// Errors: a family whose updates depend on the input, which no form of PEFT's lets them.
Status checkPeft(const protocol::FamilyManifest& family);
/// The same, and of an adapter whose settings make its updates other than PEFT's. `linears`: of the model the
/// adapter stands on.
Status checkPeft(const protocol::FamilyManifest& family, const std::vector<checkpoint::LinearShape>& linears,
                 const adapter::Adapter& adapter);

/// Writes adapter_config.json and adapter_model.safetensors. An adapter that says its own form
/// (Adapter::peftForm()) goes in it. Any other goes as LoRA where its updates are one low-rank product each:
/// LoRA as it is, PiSSA as the difference to the base weight, [B, -B0] [A; A0], and the rest with its cores
/// and shared factors multiplied in; and as PEFT's DoRA where each of them has a magnitude. What
/// checkPeft() refuses is refused here too, before anything is written. `baseModel`: named in the config.
Status writePeft(const protocol::FamilyManifest& family, const std::string& baseModel,
                 const std::vector<checkpoint::LinearShape>& linears, const adapter::Adapter& adapter,
                 const std::filesystem::path& folder);

} // namespace rankscope::interchange

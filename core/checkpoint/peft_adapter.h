// SPDX-License-Identifier: Apache-2.0
// An adapter as Hugging Face PEFT stores it: a folder with adapter_config.json and adapter_model.safetensors.
#pragma once

#include "core/base/json.h"
#include "core/checkpoint/safetensors.h"

#include <filesystem>
#include <span>
#include <string>

namespace rankscope::checkpoint
{

struct PeftAdapter {
    base::Json config;       ///< adapter_config.json: "peft_type", "r", "lora_alpha", "target_modules", ...
    SafetensorsFile weights; ///< adapter_model.safetensors: "base_model.model.model.layers.0...lora_A.weight"

    /// Reads a folder. Errors: a file missing or invalid; a config that is no object.
    static Result<PeftAdapter> open(const std::filesystem::path& folder);
};

/// Writes both files into the folder (made if missing), the weights first: a folder with a config is
/// complete.
Status writePeftAdapter(const std::filesystem::path& folder, const base::OrderedJson& config,
                        std::span<const TensorView> tensors);

} // namespace rankscope::checkpoint

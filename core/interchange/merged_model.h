// SPDX-License-Identifier: Apache-2.0
// A trained adapter merged into its base model: a Hugging Face folder that any program opens.
#pragma once

#include "core/adapter/family.h"
#include "core/base/result.h"
#include "core/checkpoint/base_model_files.h"
#include "core/protocol/family_manifest.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rankscope::interchange
{

/// Errors: a family whose updates depend on the input.
Status checkMergeable(const protocol::FamilyManifest& family);
/// The same, and of an adapter whose settings make its updates curved.
Status checkMergeable(const protocol::FamilyManifest& family, const adapter::Adapter& adapter);

struct MergeOptions {
    /// F32, F16 or BF16; none: as the base model's linears are stored, F32 where they are quantised.
    std::optional<checkpoint::DType> dtype;
    /// Of the tensors in one file; a tensor that is larger has a file of its own. A model of several files
    /// has an index, as transformers writes it.
    std::int64_t shardBytes = 4'000'000'000;
    /// Called before each tensor with tensors done and tensors in all; false cancels.
    std::function<bool(std::int64_t, std::int64_t)> progress;
};

/// Writes W + delta of every adapted linear and everything else as it is: config.json, model.safetensors (or
/// model-00001-of-0000N.safetensors, ... and model.safetensors.index.json), tokenizer files. Each tensor is
/// made when it is written, so that no second model is held in memory. The adapter is attached to a decoder
/// loaded from `base`. Returns notes for the user: what could not be taken along. The folder appears only
/// when it is complete.
Result<std::vector<std::string>> writeMerged(const checkpoint::BaseModelFiles& base,
                                             const adapter::Adapter& adapter,
                                             const std::filesystem::path& folder,
                                             const MergeOptions& options);

} // namespace rankscope::interchange

// SPDX-License-Identifier: Apache-2.0
// Everything needed to go on from a step as if nothing had happened, in one folder written beside and
// renamed.
#pragma once

#include "core/adapter/parameter_store.h"
#include "core/base/result.h"
#include "core/protocol/job.h"
#include "core/record/run_directory.h"
#include "core/train/optimizer.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace rankscope::train
{

/// Where a run goes on from, beside its tensors and the random state.
struct ResumePoint {
    std::int64_t step = 0;
    std::int64_t tokensSeen = 0;
    std::map<std::string, std::size_t> measureTurns = {}; ///< LiveMeasures::turns
};

/// adapter_model.safetensors and adapter_config.json (PEFT's names), optimizer.safetensors, state.json (the
/// resume point, random state, SHA-256 of the tensor files). `modules`: names of the adapted linears.
Status saveCheckpoint(const record::RunDirectory& directory, const ResumePoint& point,
                      const protocol::Job& job, const std::vector<std::string>& modules,
                      const adapter::ParameterStore& parameters, const AdamW& optimizer);

/// Puts tensors, moments and the random state back. Errors: a missing or damaged file (its hash is checked),
/// another family or other settings than the job's, tensors that do not fit them.
Result<ResumePoint> loadCheckpoint(const std::filesystem::path& folder, const protocol::Job& job,
                                   adapter::ParameterStore& parameters, AdamW& optimizer);

/// Only the adapter's tensors, for evaluation and export. Errors as of loadCheckpoint().
Status loadAdapter(const std::filesystem::path& folder, const protocol::Job& job,
                   adapter::ParameterStore& parameters);

} // namespace rankscope::train

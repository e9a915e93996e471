// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/checkpoint/base_model_files.h"

#include <set>

namespace rankscope::checkpoint
{

/// A base model in a Hugging Face folder: config.json and model.safetensors, or shards named by
/// model.safetensors.index.json; or a config alone, without any tensor.
class HuggingFaceModelFiles : public BaseModelFiles
{
public:
    static Result<std::unique_ptr<BaseModelFiles>> openFolder(const std::filesystem::path& folder);
    static Result<std::unique_ptr<BaseModelFiles>> openConfig(const std::filesystem::path& config);

    [[nodiscard]] std::vector<std::filesystem::path> identityFiles() const override;

private:
    Status readShards(const std::filesystem::path& index);

    std::set<std::string> m_weightFiles; ///< names in the folder: the single file, or index and shards
};

} // namespace rankscope::checkpoint

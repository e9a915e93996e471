// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/hugging_face_model_files.h"

#include "core/base/json.h"
#include "core/checkpoint/safetensors.h"

#include <algorithm>

namespace rankscope::checkpoint
{
namespace fs = std::filesystem;
namespace
{

Result<ModelConfig> readConfig(const fs::path& path)
{
    RANKSCOPE_TRY(const base::Json json, base::readJsonFile(path));
    auto config = ModelConfig::fromHuggingFace(json);
    if (!config)
        return fail(config.error().within(path.string()));
    return config;
}

/// generation_config.json often lists more end tokens than config.json ("<|eot_id|>" of Llama 3).
Status addGenerationTokens(const fs::path& path, ModelConfig& config)
{
    std::error_code code;
    if (!fs::exists(path, code))
        return {};
    RANKSCOPE_TRY(const base::Json json, base::readJsonFile(path));
    if (!json.is_object())
        return fail(path.string() + " must be a JSON object");
    const auto eos = json.find("eos_token_id");
    if (eos == json.end() || eos->is_null())
        return {};
    const base::Json list = eos->is_array() ? *eos : base::Json::array({*eos});
    for (const auto& token : list) {
        if (!token.is_number_unsigned() ||
            token.get<std::uint64_t>() >= static_cast<std::uint64_t>(config.vocabulary))
            return fail(path.string() + ": eos_token_id is not a token of the vocabulary");
        const auto id = token.get<std::int64_t>();
        if (std::find(config.eosTokens.begin(), config.eosTokens.end(), id) == config.eosTokens.end())
            config.eosTokens.push_back(id);
    }
    return {};
}

} // namespace

Result<std::unique_ptr<BaseModelFiles>> HuggingFaceModelFiles::openConfig(const fs::path& config)
{
    auto files = std::make_unique<HuggingFaceModelFiles>();
    files->m_path = config;
    RANKSCOPE_TRY(files->m_config, readConfig(config));
    return files;
}

Result<std::unique_ptr<BaseModelFiles>> HuggingFaceModelFiles::openFolder(const fs::path& folder)
{
    auto files = std::make_unique<HuggingFaceModelFiles>();
    files->m_path = folder;
    std::error_code code;
    if (!fs::exists(folder / "config.json", code))
        return fail(folder.string() + " is not a model: it has no config.json");
    RANKSCOPE_TRY(files->m_config, readConfig(folder / "config.json"));
    RANKSCOPE_CHECK(addGenerationTokens(folder / "generation_config.json", files->m_config));

    const fs::path single = folder / "model.safetensors";
    const fs::path index = folder / "model.safetensors.index.json";
    if (fs::exists(single, code)) {
        files->m_weightFiles.insert(single.filename().string());
        RANKSCOPE_TRY(const SafetensorsFile file, SafetensorsFile::open(single));
        files->m_tensors = file.tensors();
    } else if (fs::exists(index, code)) {
        files->m_weightFiles.insert(index.filename().string());
        RANKSCOPE_CHECK(files->readShards(index));
    } else {
        return fail(folder.string() + " has neither model.safetensors nor model.safetensors.index.json; "
                                      "weights in other formats must be converted to safetensors first");
    }
    // Older versions of Transformers stored the rotary frequencies too, though they follow from the config.
    std::erase_if(files->m_tensors,
                  [](const auto& item) { return item.first.find(".rotary_emb.") != std::string::npos; });
    if (auto status = files->checkTensors(); !status)
        return fail(status.error().within(folder.string()));
    return files;
}

Status HuggingFaceModelFiles::readShards(const fs::path& index)
{
    RANKSCOPE_TRY(const base::Json json, base::readJsonFile(index));
    if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
        return fail(index.string() + " has no weight_map");
    std::map<std::string, SafetensorsFile> shards;
    for (const auto& item : json["weight_map"].items()) {
        const std::string& tensor = item.key();
        if (!item.value().is_string())
            return fail(index.string() + ": the shard of " + tensor + " is not a text");
        const auto shard = item.value().get<std::string>();
        // Only a plain name: nothing in a downloaded index may make us read elsewhere.
        if (shard.empty() || shard == "." || shard == ".." || shard.find('/') != std::string::npos ||
            shard.find('\0') != std::string::npos)
            return fail(index.string() + ": the shard name '" + shard + "' leads out of the model's folder");
        auto open = shards.find(shard);
        if (open == shards.end()) {
            RANKSCOPE_TRY(SafetensorsFile file, SafetensorsFile::open(index.parent_path() / shard));
            open = shards.emplace(shard, std::move(file)).first;
            m_weightFiles.insert(shard);
        }
        const TensorView* view = open->second.find(tensor);
        if (!view)
            return fail(index.string() + ": the shard " + shard + " does not hold " + tensor);
        m_tensors.emplace(tensor, *view);
    }
    // What the index leaves out is loaded by others, so it counts as the model's.
    for (const auto& [name, shard] : shards)
        m_tensors.insert(shard.tensors().begin(), shard.tensors().end());
    return {};
}

std::vector<fs::path> HuggingFaceModelFiles::identityFiles() const
{
    if (m_weightFiles.empty()) // a bare config
        return {m_path};
    std::vector<fs::path> files;
    std::error_code code;
    // What else is read of a folder: shapes and end tokens, the tokenizer, the chat template.
    for (const char* name : {"config.json", "generation_config.json", "tokenizer.json",
                             "tokenizer_config.json", "chat_template.jinja"}) {
        if (fs::exists(m_path / name, code))
            files.push_back(m_path / name);
    }
    for (const auto& name : m_weightFiles)
        files.push_back(m_path / name);
    return files;
}

} // namespace rankscope::checkpoint

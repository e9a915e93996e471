// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/base_model_files.h"

#include "core/base/hash.h"
#include "core/base/text.h"
#include "core/checkpoint/gguf_model_files.h"
#include "core/checkpoint/hugging_face_model_files.h"

#include <algorithm>
#include <set>

namespace rankscope::checkpoint
{
namespace
{

std::string describe(const std::vector<std::int64_t>& shape)
{
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    return text + "]";
}

/// Why weights may not be what they should be, and what to do, where the config says that they are quantised.
std::string adviceOn(const ModelConfig& config)
{
    if (config.quantisation.empty())
        return {};
    return "; the weights are quantised (" + base::shown(config.quantisation) +
           " in config.json): save the model in bfloat16 first";
}

bool sameValues(const TensorView& left, const TensorView& right)
{
    return left.dtype == right.dtype && left.shape == right.shape &&
           std::ranges::equal(left.bytes, right.bytes);
}

} // namespace

Result<std::unique_ptr<BaseModelFiles>> BaseModelFiles::open(const std::filesystem::path& path)
{
    std::error_code code;
    const auto status = std::filesystem::status(path, code);
    if (!std::filesystem::exists(status))
        return fail("the model " + path.string() + " does not exist");
    if (std::filesystem::is_directory(status))
        return HuggingFaceModelFiles::openFolder(path);
    if (path.extension() == ".gguf")
        return GgufModelFiles::open(path);
    if (path.extension() == ".json")
        return HuggingFaceModelFiles::openConfig(path);
    return fail("the model " + path.string() +
                " is neither a .gguf file nor a folder with config.json nor a config.json itself");
}

const TensorView* BaseModelFiles::find(const std::string& name) const
{
    const auto found = m_tensors.find(name);
    return found == m_tensors.end() ? nullptr : &found->second;
}

std::optional<std::vector<std::int64_t>> BaseModelFiles::shape(const std::string& name) const
{
    const TensorView* tensor = find(name);
    return tensor ? std::optional(tensor->shape) : std::nullopt;
}

const TensorView* BaseModelFiles::plainView(const std::string& name) const
{
    const TensorView* tensor = find(name);
    if (!tensor ||
        (tensor->dtype != DType::F32 && tensor->dtype != DType::F16 && tensor->dtype != DType::BF16) ||
        reinterpret_cast<std::uintptr_t>(tensor->bytes.data()) % blockBytes(tensor->dtype) != 0)
        return nullptr;
    return tensor;
}

Status BaseModelFiles::read(const std::string& name, std::span<float> out) const
{
    const TensorView* tensor = find(name);
    if (!tensor)
        return fail(m_path.string() + " has no tensor " + name);
    auto status = decode(*tensor, out);
    return status ? status : fail(status.error().within(m_path.string()));
}

Status BaseModelFiles::checkTensors() const
{
    std::set<std::string> announced;
    for (const TensorShape& expected : m_config.tensors()) {
        const TensorView* tensor = find(expected.name);
        if (tensor && !isDecodable(tensor->dtype))
            return fail("tensor " + tensor->name + " is of type " + checkpoint::name(tensor->dtype) +
                        ", but weights are read from F64, F32, F16 and BF16 alone" + adviceOn(m_config));
        if (tensor && tensor->shape != expected.shape)
            return fail("tensor " + tensor->name + " is " + describe(tensor->shape) +
                        ", but the model's config makes it " + describe(expected.shape));
        announced.insert(expected.name);
    }
    if (m_config.tiedEmbeddings)
        announced.insert("lm_head.weight");    // may be there as the embedding once more
    if (m_config.architecture == "deberta-v2") // its list is not of all that it is made of
        return {};
    for (const auto& [name, tensor] : m_tensors) {
        if (!announced.contains(name))
            return fail("tensor " + base::shown(tensor.name) + " is no part of the architecture " +
                        m_config.architecture +
                        " as it is computed here; left out, it would make this another model" +
                        adviceOn(m_config));
    }
    return {};
}

Status BaseModelFiles::checkComplete() const
{
    for (const TensorShape& expected : m_config.tensors()) {
        if (!shape(expected.name))
            return fail("the model " + m_path.string() + " has no tensor " + expected.name +
                        "; the file is incomplete or of another architecture" + adviceOn(m_config));
    }
    const TensorView* head = m_config.tiedEmbeddings ? find("lm_head.weight") : nullptr;
    if (head && !sameValues(*head, *find("model.embed_tokens.weight")))
        return fail("the model " + m_path.string() +
                    " ties its output layer to the embedding (tie_word_embeddings), but holds another one in "
                    "lm_head.weight; set tie_word_embeddings to false to use that one, or remove it");
    return {};
}

Result<std::string> identityHash(std::span<const std::filesystem::path> files)
{
    if (files.size() == 1)
        return base::sha256File(files.front());
    std::string list;
    for (const auto& file : files) {
        RANKSCOPE_TRY(const std::string hash, base::sha256File(file));
        list += hash + "  " + file.filename().string() + "\n";
    }
    return base::sha256(list);
}

} // namespace rankscope::checkpoint

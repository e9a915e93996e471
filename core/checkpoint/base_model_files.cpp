// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/base_model_files.h"

#include "core/base/hash.h"
#include "core/checkpoint/gguf_model_files.h"
#include "core/checkpoint/hugging_face_model_files.h"

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

Status BaseModelFiles::checkShapes() const
{
    for (const TensorShape& expected : m_config.tensors()) {
        const auto actual = shape(expected.name);
        if (actual && *actual != expected.shape)
            return fail("tensor " + expected.name + " is " + describe(*actual) +
                        ", but the model's config makes it " + describe(expected.shape));
    }
    return {};
}

Status BaseModelFiles::checkComplete() const
{
    for (const TensorShape& expected : m_config.tensors()) {
        if (!shape(expected.name))
            return fail("the model " + m_path.string() + " has no tensor " + expected.name +
                        "; the file is incomplete or of another architecture");
    }
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

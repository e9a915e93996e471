// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/peft_adapter.h"

#include "core/base/files.h"

namespace rankscope::checkpoint
{
namespace
{

constexpr const char* configName = "adapter_config.json";
constexpr const char* weightsName = "adapter_model.safetensors";

} // namespace

Result<PeftAdapter> PeftAdapter::open(const std::filesystem::path& folder)
{
    std::error_code code;
    if (!std::filesystem::is_directory(folder, code))
        return fail("the adapter " + folder.string() + " is not a folder");
    if (!std::filesystem::exists(folder / weightsName, code) &&
        std::filesystem::exists(folder / "adapter_model.bin", code))
        return fail(folder.string() + " holds adapter_model.bin, a pickle that is not read for safety; save "
                                      "the adapter as safetensors");
    PeftAdapter adapter;
    RANKSCOPE_TRY(adapter.config, base::readJsonFile(folder / configName));
    if (!adapter.config.is_object())
        return fail((folder / configName).string() + " must be a JSON object");
    RANKSCOPE_TRY(adapter.weights, SafetensorsFile::open(folder / weightsName));
    return adapter;
}

Status writePeftAdapter(const std::filesystem::path& folder, const base::OrderedJson& config,
                        std::span<const TensorView> tensors)
{
    std::string text;
    try {
        text = config.dump(2) + "\n";
    } catch (const std::exception&) {
        return fail("cannot write " + (folder / configName).string() + ": a text in it is not valid UTF-8");
    }
    RANKSCOPE_CHECK(base::ensureWritableFolder(folder));
    RANKSCOPE_CHECK(
        writeSafetensors(folder / weightsName, tensors, {{"format", "pt"}})); // PEFT insists on the format
    return base::writeFileAtomically(folder / configName, text);
}

} // namespace rankscope::checkpoint

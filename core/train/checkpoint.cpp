// SPDX-License-Identifier: Apache-2.0
#include "core/train/checkpoint.h"

#include "core/base/files.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/checkpoint/safetensors.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <map>

namespace rankscope::train
{
namespace
{

constexpr const char* adapterFile = "adapter_model.safetensors";
constexpr const char* optimizerFile = "optimizer.safetensors";

checkpoint::DType dtypeOf(at::ScalarType type)
{
    switch (type) {
    case at::kDouble:
        return checkpoint::DType::F64;
    case at::kBFloat16:
        return checkpoint::DType::BF16;
    case at::kHalf:
        return checkpoint::DType::F16;
    default:
        return checkpoint::DType::F32;
    }
}

Status writeTensors(const std::filesystem::path& path, const std::map<std::string, at::Tensor>& tensors)
{
    std::vector<at::Tensor> kept; // alive until written
    std::vector<checkpoint::TensorView> views;
    for (const auto& [name, tensor] : tensors) {
        kept.push_back(tensor.detach().cpu().contiguous());
        const at::Tensor& t = kept.back();
        views.push_back({name,
                         dtypeOf(t.scalar_type()),
                         t.sizes().vec(),
                         {static_cast<const std::byte*>(t.const_data_ptr()), t.nbytes()},
                         nullptr});
    }
    return checkpoint::writeSafetensors(path, views, {{"format", "pt"}});
}

Result<std::map<std::string, at::Tensor>> readTensors(const std::filesystem::path& path)
{
    RANKSCOPE_TRY(const auto file, checkpoint::SafetensorsFile::open(path));
    std::map<std::string, at::Tensor> tensors;
    for (const auto& [name, view] : file.tensors()) {
        at::Tensor values = at::empty(view.shape, at::kFloat);
        if (view.dtype == checkpoint::DType::F64) {
            values = at::empty(view.shape, at::kDouble);
            std::copy(view.bytes.begin(), view.bytes.end(),
                      static_cast<std::byte*>(values.mutable_data_ptr()));
        } else {
            RANKSCOPE_CHECK(checkpoint::decode(
                view, {values.mutable_data_ptr<float>(), static_cast<std::size_t>(values.numel())}));
        }
        tensors[name] = values;
    }
    return tensors;
}

std::map<std::string, at::Tensor> adapterTensors(const adapter::ParameterStore& parameters)
{
    std::map<std::string, at::Tensor> tensors;
    for (const auto& parameter : parameters.all())
        tensors[parameter.name] = parameter.tensor;
    return tensors;
}

/// PEFT's own keys where the family is one that PEFT knows, and the family with all its settings beside them.
base::OrderedJson adapterConfig(const protocol::Job& job, const std::vector<std::string>& modules)
{
    base::OrderedJson config;
    const auto& settings = job.adapter.settings;
    config["peft_type"] = job.adapter.family == "lora" ? "LORA" : "RANKSCOPE";
    config["task_type"] = "CAUSAL_LM";
    config["base_model_name_or_path"] = job.model.path;
    config["inference_mode"] = true;
    if (settings.contains("rank"))
        config["r"] = settings.at("rank");
    if (settings.contains("alpha"))
        config["lora_alpha"] = settings.at("alpha");
    if (settings.contains("dropout"))
        config["lora_dropout"] = settings.at("dropout");
    config["target_modules"] = modules; // the settings may name presets, which PEFT does not know
    config["bias"] = "none";
    config["rankscope"] = {{"family", job.adapter.family}, {"settings", settings}};
    return config;
}

/// `state`: of state.json beside the file.
Status checkHash(const std::filesystem::path& file, const base::Json& state)
{
    const std::string name = file.filename().string();
    const auto* hashes = state.is_object() && state.contains("sha256") ? &state.at("sha256") : nullptr;
    if (!hashes || !hashes->is_object() || !hashes->contains(name) || !hashes->at(name).is_string())
        return fail("state.json of the checkpoint " + file.parent_path().string() + " has no hash of " +
                    name);
    RANKSCOPE_TRY(const std::string hash, base::sha256File(file));
    if (hash != hashes->at(name).get<std::string>())
        return fail(file.string() + " is damaged: its content does not match the hash written with it");
    return {};
}

/// The same tensors mean something else under another alpha or another router.
Status checkConfig(const std::filesystem::path& file, const protocol::Job& job)
{
    RANKSCOPE_TRY(const base::Json config, base::readJsonFile(file));
    if (!config.is_object() || !config.contains("rankscope") || !config.at("rankscope").is_object())
        return fail(file.string() + " does not say of which family the adapter is");
    const base::Json& written = config.at("rankscope");
    if (written.value("family", base::Json()) != job.adapter.family)
        return fail(file.string() + " is of another family than " + job.adapter.family +
                    ", which the run's job.json names; put the job.json of the run back");
    const base::Json settings = written.value("settings", base::Json::object());
    for (const auto& [name, value] : job.adapter.settings.items()) {
        if (settings.contains(name) && settings.at(name) != value) // one added since then had no other value
            return fail(file.string() + " was trained with another adapter." + name +
                        " than the run's job.json says; put the job.json of the run back");
    }
    return {};
}

Status loadParameters(const std::filesystem::path& folder, adapter::ParameterStore& parameters)
{
    RANKSCOPE_TRY(const auto tensors, readTensors(folder / adapterFile));
    if (const auto status = parameters.load(tensors); !status)
        return fail(status.error().within(folder.string()));
    return {};
}

std::string hex(const at::Tensor& bytes)
{
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    const auto* data = bytes.const_data_ptr<std::uint8_t>();
    for (std::int64_t i = 0; i < bytes.numel(); ++i) {
        text += digits[data[i] >> 4];
        text += digits[data[i] & 15];
    }
    return text;
}

Result<at::Tensor> unhex(const std::string& text)
{
    auto digit = [](char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    at::Tensor bytes = at::empty({static_cast<std::int64_t>(text.size() / 2)}, at::kByte);
    auto* out = bytes.mutable_data_ptr<std::uint8_t>();
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        if (digit(text[i]) < 0 || digit(text[i + 1]) < 0)
            return fail("the random state in the checkpoint is not hexadecimal");
        *out++ = static_cast<std::uint8_t>(digit(text[i]) * 16 + digit(text[i + 1]));
    }
    return bytes;
}

} // namespace

Status saveCheckpoint(const record::RunDirectory& directory, const ResumePoint& point,
                      const protocol::Job& job, const std::vector<std::string>& modules,
                      const adapter::ParameterStore& parameters, const AdamW& optimizer)
{
    namespace fs = std::filesystem;
    const fs::path target = directory.checkpoint(point.step);
    const fs::path beside = target.parent_path() / ("." + target.filename().string() + ".part");
    std::error_code code;
    fs::remove_all(beside, code);
    fs::create_directories(beside, code);
    if (code)
        return fail("cannot create the checkpoint folder " + beside.string() + ": " + code.message());
    RANKSCOPE_CHECK(writeTensors(beside / adapterFile, adapterTensors(parameters)));
    RANKSCOPE_CHECK(writeTensors(beside / optimizerFile, optimizer.state()));
    RANKSCOPE_CHECK(base::writeFileAtomically(beside / "adapter_config.json",
                                              adapterConfig(job, modules).dump(2) + "\n"));
    base::OrderedJson state;
    state["step"] = point.step;
    state["tokensSeen"] = point.tokensSeen;
    state["measureTurns"] = point.measureTurns;
    state["randomState"] = hex(at::globalContext().defaultGenerator(at::kCPU).get_state());
    for (const char* name : {adapterFile, optimizerFile}) {
        RANKSCOPE_TRY(state["sha256"][name], base::sha256File(beside / name));
    }
    RANKSCOPE_CHECK(base::writeFileAtomically(beside / "state.json", state.dump(2) + "\n"));
    RANKSCOPE_CHECK(base::syncPath(beside));
    fs::remove_all(target, code);
    fs::rename(beside, target, code);
    if (code)
        return fail("cannot put the checkpoint " + target.string() + " in place: " + code.message());
    return base::syncPath(target.parent_path());
}

Status loadAdapter(const std::filesystem::path& folder, const protocol::Job& job,
                   adapter::ParameterStore& parameters)
{
    RANKSCOPE_TRY(const base::Json state, base::readJsonFile(folder / "state.json"));
    RANKSCOPE_CHECK(checkHash(folder / adapterFile, state));
    RANKSCOPE_CHECK(checkConfig(folder / "adapter_config.json", job));
    return loadParameters(folder, parameters);
}

Result<ResumePoint> loadCheckpoint(const std::filesystem::path& folder, const protocol::Job& job,
                                   adapter::ParameterStore& parameters, AdamW& optimizer)
{
    RANKSCOPE_TRY(const base::Json state, base::readJsonFile(folder / "state.json"));
    ResumePoint point;
    std::string random;
    base::ObjectReader reader(state, (folder / "state.json").string());
    reader.require("step").integer("step", point.step, 0, INT64_MAX);
    reader.integer("tokensSeen", point.tokensSeen, 0, INT64_MAX);
    reader.require("randomState").text("randomState", random);
    if (const base::Json* turns = reader.object("measureTurns"))
        for (const auto& [name, turn] : turns->items())
            if (turn.is_number_unsigned()) // whose turn it is decides nothing: no reason to refuse
                point.measureTurns[name] = turn.get<std::size_t>();
    RANKSCOPE_CHECK(reader.finishLenient());
    for (const char* name : {adapterFile, optimizerFile})
        RANKSCOPE_CHECK(checkHash(folder / name, state));
    RANKSCOPE_CHECK(checkConfig(folder / "adapter_config.json", job));
    RANKSCOPE_CHECK(loadParameters(folder, parameters));
    RANKSCOPE_TRY(const auto moments, readTensors(folder / optimizerFile));
    RANKSCOPE_CHECK(optimizer.load(moments));
    RANKSCOPE_TRY(const at::Tensor bytes, unhex(random));
    try {
        auto generator = at::globalContext().defaultGenerator(at::kCPU);
        generator.set_state(bytes);
    } catch (const std::exception&) {
        return fail("the random state in " + (folder / "state.json").string() + " cannot be used");
    }
    return point;
}

} // namespace rankscope::train

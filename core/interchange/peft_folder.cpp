// SPDX-License-Identifier: Apache-2.0
#include "core/interchange/peft_folder.h"

#include "core/adapter/targets.h"
#include "core/checkpoint/peft_adapter.h"
#include "core/interchange/output_folder.h"

#include <ATen/TensorOperators.h>
#include <algorithm>
#include <c10/core/GradMode.h>

namespace rankscope::interchange
{
namespace
{

checkpoint::DType storedType(at::ScalarType type)
{
    switch (type) {
    case at::kByte:
        return checkpoint::DType::U8;
    case at::kShort:
        return checkpoint::DType::I16;
    case at::kInt:
        return checkpoint::DType::I32;
    default:
        return checkpoint::DType::F32;
    }
}

struct Tensors {
    std::vector<at::Tensor> kept; ///< alive until written
    std::vector<checkpoint::TensorView> views;

    void add(const std::string& name, const at::Tensor& values)
    {
        const checkpoint::DType dtype = storedType(values.scalar_type());
        kept.push_back(values.detach()
                           .to(at::kCPU, dtype == checkpoint::DType::F32 ? at::kFloat : values.scalar_type())
                           .contiguous());
        const at::Tensor& out = kept.back();
        views.push_back({name,
                         dtype,
                         out.sizes().vec(),
                         {static_cast<const std::byte*>(out.const_data_ptr()), out.nbytes()},
                         nullptr});
    }
};

/// The path of an adapted linear, from the config of the model the adapter stands on.
std::string pathOf(const std::vector<checkpoint::LinearShape>& linears, const adapter::DeltaSite& site)
{
    const auto found = std::ranges::find_if(linears, [&](const checkpoint::LinearShape& linear) {
        return linear.layer == site.layer && linear.module == site.module;
    });
    return found->path;
}

/// An update in a form that PEFT's LoRA has.
struct LoraUpdate {
    adapter::LowRankDelta pair;
    at::Tensor magnitude; ///< [out]; undefined but for DoRA
};

std::optional<LoraUpdate> loraUpdate(const adapter::Delta& delta)
{
    if (const auto* pair = std::get_if<adapter::LowRankDelta>(&delta))
        return LoraUpdate{*pair, {}};
    if (const auto* turned = std::get_if<adapter::MagnitudeDelta>(&delta))
        return LoraUpdate{turned->update, turned->magnitude};
    return {};
}

/// The updates as PEFT's LoRA, or as its DoRA where each has a magnitude.
/// Errors: an update that is neither; some with a magnitude and some without.
Result<adapter::PeftForm> asLora(const protocol::FamilyManifest& family,
                                 const std::vector<checkpoint::LinearShape>& linears,
                                 const adapter::Adapter& adapter)
{
    const auto unknown = [&] {
        return fail(family.title + " with these settings has no form that PEFT knows");
    };
    adapter::PeftForm form;
    form.config["peft_type"] = "LORA";
    form.config["lora_dropout"] = 0.0;
    form.config["init_lora_weights"] = true;
    for (const auto& site : adapter.deltaSites()) {
        const auto update = site.experts == 1 && site.linear
                                ? loraUpdate(adapter.delta(site.layer, site.module, 0))
                                : std::nullopt;
        if (!update)
            return unknown();
        const auto& pair = update->pair;
        const std::string path = pathOf(linears, site);
        const std::int64_t rank = pair.b.size(1);
        const double alpha = pair.scale * static_cast<double>(rank);
        const bool dora = update->magnitude.defined();
        if (form.tensors.empty()) {
            form.config["r"] = rank;
            form.config["lora_alpha"] = alpha;
            form.config["use_dora"] = dora;
        }
        if (form.config["use_dora"] != dora)
            return unknown();
        if (form.config["r"] != rank)
            form.config["rank_pattern"][path] = rank;
        if (form.config["lora_alpha"] != alpha)
            form.config["alpha_pattern"][path] = alpha;
        form.tensors.emplace_back(adapter::tensorName(path, "lora_A.weight"), pair.down());
        form.tensors.emplace_back(adapter::tensorName(path, "lora_B.weight"), pair.b);
        if (dora)
            form.tensors.emplace_back(adapter::tensorName(path, "lora_magnitude_vector"), update->magnitude);
    }
    return form;
}

Result<adapter::PeftForm> formOf(const protocol::FamilyManifest& family,
                                 const std::vector<checkpoint::LinearShape>& linears,
                                 const adapter::Adapter& adapter)
{
    // Also where each site has a single pair: a router that weighs it or turns tokens away would be lost.
    RANKSCOPE_CHECK(checkPeft(family));
    const at::NoGradGuard guard;
    if (auto own = adapter.peftForm())
        return std::move(*own);
    return asLora(family, linears, adapter);
}

} // namespace

Status checkPeft(const protocol::FamilyManifest& family)
{
    if (!family.mergeable)
        return fail(family.title + " has no form that PEFT knows: what it adds depends on the input");
    return {};
}

Status checkPeft(const protocol::FamilyManifest& family, const std::vector<checkpoint::LinearShape>& linears,
                 const adapter::Adapter& adapter)
{
    RANKSCOPE_CHECK(formOf(family, linears, adapter));
    return {};
}

Status writePeft(const protocol::FamilyManifest& family, const std::string& baseModel,
                 const std::vector<checkpoint::LinearShape>& linears, const adapter::Adapter& adapter,
                 const std::filesystem::path& folder)
{
    RANKSCOPE_TRY(adapter::PeftForm form, formOf(family, linears, adapter));
    Tensors tensors;
    for (const auto& [name, values] : form.tensors)
        tensors.add(name, values);
    base::OrderedJson config = std::move(form.config);
    config["task_type"] = "CAUSAL_LM";
    config["base_model_name_or_path"] = baseModel;
    config["inference_mode"] = true;
    config["target_modules"] = adapter.modules();
    config["bias"] = "none";
    config["fan_in_fan_out"] = false;
    RANKSCOPE_TRY(OutputFolder out, OutputFolder::create(folder));
    RANKSCOPE_CHECK(checkpoint::writePeftAdapter(out.path(), config, tensors.views));
    return out.commit();
}

} // namespace rankscope::interchange

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

/// The updates as PEFT's LoRA: `adapter` is one that checkPeft() passes and that has no form of its own.
adapter::PeftForm pairs(const protocol::Job& job, const std::vector<checkpoint::LinearShape>& linears,
                        const adapter::Adapter& adapter)
{
    const bool dora = job.adapter.family == "dora";
    adapter::PeftForm form;
    std::int64_t rank = dora ? job.adapter.settings.at("rank").get<std::int64_t>() : 0;
    double alpha = dora ? job.adapter.settings.at("alpha").get<double>() : 0;
    if (dora) {
        for (const auto& parameter : adapter.parameters().all())
            form.tensors.emplace_back(parameter.name, parameter.tensor);
    } else {
        for (const auto& site : adapter.deltaSites()) {
            const auto delta = adapter.delta(site.layer, site.module, 0);
            const auto& pair = std::get<adapter::LowRankDelta>(delta);
            rank = pair.b.size(1);
            alpha = pair.scale * static_cast<double>(rank);
            const std::string path = pathOf(linears, site);
            form.tensors.emplace_back(adapter::tensorName(path, "lora_A.weight"), pair.down());
            form.tensors.emplace_back(adapter::tensorName(path, "lora_B.weight"), pair.b);
        }
    }
    form.config["peft_type"] = "LORA";
    form.config["r"] = rank;
    form.config["lora_alpha"] = alpha;
    form.config["lora_dropout"] = 0.0;
    form.config["use_dora"] = dora;
    form.config["init_lora_weights"] = true;
    return form;
}

} // namespace

Status checkPeft(const std::string& family, const adapter::Adapter& adapter)
{
    if (family == "dora" || adapter.peftForm())
        return {};
    for (const auto& site : adapter.deltaSites()) {
        const bool pair =
            site.experts == 1 && site.linear &&
            std::holds_alternative<adapter::LowRankDelta>(adapter.delta(site.layer, site.module, 0));
        if (!pair)
            return fail("the family " + family + " with these settings has no form that PEFT knows");
    }
    return {};
}

Status writePeft(const protocol::Job& job, const std::vector<checkpoint::LinearShape>& linears,
                 const adapter::Adapter& adapter, const std::filesystem::path& folder)
{
    RANKSCOPE_CHECK(checkPeft(job.adapter.family, adapter));
    const at::NoGradGuard guard;
    std::optional<adapter::PeftForm> form = adapter.peftForm();
    if (!form)
        form = pairs(job, linears, adapter);
    Tensors tensors;
    for (const auto& [name, values] : form->tensors)
        tensors.add(name, values);
    std::vector<std::string> modules;
    for (const auto& site : adapter.deltaSites()) {
        if (std::ranges::find(modules, site.module) == modules.end())
            modules.push_back(site.module);
    }
    base::OrderedJson config = std::move(form->config);
    config["task_type"] = "CAUSAL_LM";
    config["base_model_name_or_path"] = job.model.path;
    config["inference_mode"] = true;
    config["target_modules"] = modules;
    config["bias"] = "none";
    config["fan_in_fan_out"] = false;
    RANKSCOPE_TRY(OutputFolder out, OutputFolder::create(folder));
    RANKSCOPE_CHECK(checkpoint::writePeftAdapter(out.path(), config, tensors.views));
    return out.commit();
}

} // namespace rankscope::interchange

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

struct Tensors {
    std::vector<at::Tensor> kept; ///< alive until written
    std::vector<checkpoint::TensorView> views;

    void add(const std::string& name, const at::Tensor& values)
    {
        kept.push_back(values.detach().to(at::kCPU, at::kFloat).contiguous());
        const at::Tensor& out = kept.back();
        views.push_back({name,
                         checkpoint::DType::F32,
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

} // namespace

Status checkPeft(const std::string& family, const adapter::Adapter& adapter)
{
    if (family == "dora")
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
    const bool dora = job.adapter.family == "dora";
    Tensors tensors;
    std::vector<std::string> modules;
    std::int64_t rank = dora ? job.adapter.settings.at("rank").get<std::int64_t>() : 0;
    double alpha = dora ? job.adapter.settings.at("alpha").get<double>() : 0;
    if (dora) {
        for (const auto& parameter : adapter.parameters().all())
            tensors.add(parameter.name, parameter.tensor);
    }
    for (const auto& site : adapter.deltaSites()) {
        if (std::ranges::find(modules, site.module) == modules.end())
            modules.push_back(site.module);
        if (dora)
            continue;
        const auto delta = adapter.delta(site.layer, site.module, 0);
        const auto& pair = std::get<adapter::LowRankDelta>(delta);
        rank = pair.b.size(1);
        alpha = pair.scale * static_cast<double>(rank);
        const std::string path = pathOf(linears, site);
        tensors.add(adapter::tensorName(path, "lora_A.weight"), pair.down());
        tensors.add(adapter::tensorName(path, "lora_B.weight"), pair.b);
    }
    base::OrderedJson config;
    config["peft_type"] = "LORA";
    config["task_type"] = "CAUSAL_LM";
    config["base_model_name_or_path"] = job.model.path;
    config["inference_mode"] = true;
    config["r"] = rank;
    config["lora_alpha"] = alpha;
    config["lora_dropout"] = 0.0;
    config["target_modules"] = modules;
    config["use_dora"] = dora;
    config["bias"] = "none";
    config["fan_in_fan_out"] = false;
    config["init_lora_weights"] = true;
    RANKSCOPE_TRY(OutputFolder out, OutputFolder::create(folder));
    RANKSCOPE_CHECK(checkpoint::writePeftAdapter(out.path(), config, tensors.views));
    return out.commit();
}

} // namespace rankscope::interchange

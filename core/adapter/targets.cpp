// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/targets.h"

#include <algorithm>
#include <set>

namespace rankscope::adapter
{

bool isMlpModule(const std::string& module)
{
    return module == "gate_proj" || module == "up_proj" || module == "gate_up_proj" ||
           module == "down_proj" || module == "intermediate.dense" || module == "output.dense";
}

std::vector<std::string> modulesOf(const std::vector<checkpoint::LinearShape>& linears)
{
    std::vector<std::string> modules;
    for (const auto& linear : linears) {
        if (std::find(modules.begin(), modules.end(), linear.module) == modules.end())
            modules.push_back(linear.module);
    }
    return modules;
}

Result<std::vector<checkpoint::LinearShape>> resolveTargets(const checkpoint::ModelConfig& model,
                                                            const std::vector<std::string>& names,
                                                            const std::string& setting)
{
    const auto linears = model.linears();
    const auto modules = modulesOf(linears);
    std::set<std::string> wanted;
    for (const auto& name : names) {
        if (name == "attention" || name == "mlp" || name == "all-linear") {
            for (const auto& module : modules) {
                if (name == "all-linear" || isMlpModule(module) == (name == "mlp"))
                    wanted.insert(module);
            }
            continue;
        }
        std::string module = name;
        if (model.fusedProjections && (name == "q_proj" || name == "k_proj" || name == "v_proj"))
            module = "qkv_proj";
        if (model.fusedProjections && (name == "gate_proj" || name == "up_proj"))
            module = "gate_up_proj";
        if (std::find(modules.begin(), modules.end(), module) == modules.end()) {
            std::string known;
            for (const auto& have : modules)
                known += (known.empty() ? "" : ", ") + have;
            return fail(setting + " names '" + name + "', but the model's linears are " + known +
                        ", and there are the presets attention, mlp, all-linear and paper");
        }
        wanted.insert(module);
    }
    if (wanted.empty())
        return fail(setting + " is empty, but must name at least one linear, or a preset such as all-linear");
    std::vector<checkpoint::LinearShape> chosen;
    for (const auto& linear : linears) {
        if (wanted.contains(linear.module))
            chosen.push_back(linear);
    }
    return chosen;
}

std::string tensorName(const std::string& path, const std::string& tensor)
{
    return "base_model.model." + path + "." + tensor;
}

std::string mlpPath(std::int64_t layer)
{
    return "model.layers." + std::to_string(layer) + ".mlp";
}

} // namespace rankscope::adapter

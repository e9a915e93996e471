// SPDX-License-Identifier: Apache-2.0
// Which linears of a model an adapter is put on.
#pragma once

#include "core/base/result.h"
#include "core/checkpoint/model_config.h"

#include <string>
#include <vector>

namespace rankscope::adapter
{

/// The linears of the named modules, in the order of the forward pass. `names` may be module names or the
/// presets "attention", "mlp" and "all-linear" ("paper" is the manifest's, which has put the family's own
/// names in its place). On a model with fused projections q, k and v mean qkv_proj,
/// gate and up mean gate_up_proj. Errors: a name that the model does not have (its own are named), no name at
/// all, said of `setting`.
Result<std::vector<checkpoint::LinearShape>> resolveTargets(const checkpoint::ModelConfig& model,
                                                            const std::vector<std::string>& names,
                                                            const std::string& setting = "targets");

/// Distinct module names of these linears, in order.
std::vector<std::string> modulesOf(const std::vector<checkpoint::LinearShape>& linears);

/// True for gate_proj, up_proj, gate_up_proj, down_proj.
bool isMlpModule(const std::string& module);

/// "base_model.model." + path + "." + tensor: the name PEFT gives to an adapter tensor.
std::string tensorName(const std::string& path, const std::string& tensor);

/// The path of a layer's MLP block: "model.layers.7.mlp".
std::string mlpPath(std::int64_t layer);

} // namespace rankscope::adapter

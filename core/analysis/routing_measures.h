// SPDX-License-Identifier: Apache-2.0
// Which experts the tokens went to, gathered over the passes between two analyses.
#pragma once

#include "core/adapter/family.h"
#include "core/analysis/measured.h"
#include "core/model/pass.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace rankscope::analysis
{

class RoutingMeasures
{
public:
    RoutingMeasures(std::int64_t layers, std::vector<std::string> tasks);

    /// Adds what the routers did in the pass that has just run.
    void observe(const adapter::Adapter& adapter, const model::Pass& pass);
    /// routing/load, routing/entropy, routing/maxvio, routing/maxvio_difference, and entropy and MaxVio by
    /// task, since the last call; empty if nothing routed.
    std::vector<Measured> take();
    /// Of each (layer, router), the mean over the tokens since the last take() of the weights it gives its
    /// experts, [N] float64 on the CPU.
    using MeanWeights = std::map<std::pair<std::int64_t, std::string>, at::Tensor>;
    [[nodiscard]] MeanWeights meanWeights() const;

private:
    struct Router {
        at::Tensor load;    ///< [N, tasks + 1]: weight or choices received; last, from rows without a task
        at::Tensor weights; ///< [N], summed over tokens; 0 where an expert is not used
        at::Tensor entropy; ///< [tasks + 1], summed over tokens
        at::Tensor tokens;  ///< [tasks + 1]
    };

    std::int64_t m_layers;
    std::vector<std::string> m_tasks;
    std::int64_t m_experts = 0;
    std::vector<std::string> m_routers;
    std::map<std::pair<std::int64_t, std::string>, Router> m_seen;
};

} // namespace rankscope::analysis

// SPDX-License-Identifier: Apache-2.0
#include "core/analysis/routing_measures.h"

#include "kernels/low_rank/op.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <algorithm>
#include <cmath>
#include <limits>

namespace rankscope::analysis
{
namespace
{

/// Choices (or, for soft routing, weight) that each expert received from each task, [N, tasks] float64.
/// `task` [T] from 0.
at::Tensor loadByTask(const adapter::Routing& routing, const at::Tensor& task, std::int64_t tasks)
{
    const std::int64_t experts = routing.experts();
    if (routing.choice.defined()) {
        const at::Tensor pair = routing.choice * tasks + task.unsqueeze(1);
        return kernels::countEach(pair, experts * tasks).view({experts, tasks}).to(at::kDouble);
    }
    const at::Tensor share = (routing.kept.defined() ? routing.kept : routing.weights).to(at::kDouble);
    return at::zeros({tasks, experts}, share.options()).index_add_(0, task, share).t().contiguous();
}

/// The weights of all tokens together, [N] float64: the sum of Routing::dense() over the tokens without
/// making it.
at::Tensor summedWeights(const adapter::Routing& routing, const at::Tensor& weights)
{
    if (!routing.choice.defined())
        return weights.sum(0);
    return at::zeros({routing.experts()}, weights.options())
        .index_add_(0, routing.choice.reshape({-1}), weights.reshape({-1}));
}

} // namespace

RoutingMeasures::RoutingMeasures(std::int64_t layers, std::vector<std::string> tasks)
    : m_layers(layers),
      m_tasks(std::move(tasks))
{
}

void RoutingMeasures::observe(const adapter::Adapter& adapter, const model::Pass& pass)
{
    const auto tasks = static_cast<std::int64_t>(m_tasks.size());
    at::Tensor task;
    at::Tensor tokens; ///< of each task
    for (const auto& trace : adapter.routing()) {
        if (!task.defined()) {
            task = pass.taskOfToken();
            task = at::where(task < 0, tasks, task);
            tokens = kernels::countEach(task, tasks + 1);
        }
        if (std::find(m_routers.begin(), m_routers.end(), trace.router) == m_routers.end())
            m_routers.push_back(trace.router);
        m_experts = std::max(m_experts, trace.routing.experts());
        Router& router = m_seen[{trace.layer, trace.router}];
        const at::Tensor load = loadByTask(trace.routing, task, tasks + 1);
        router.load = router.load.defined() ? router.load + load : load;
        const at::Tensor weights = trace.routing.weights.to(at::kDouble);
        const at::Tensor sum = summedWeights(trace.routing, weights);
        router.weights = router.weights.defined() ? router.weights + sum : sum;
        const at::Tensor logs = weights.clamp_min(std::numeric_limits<double>::min()).log();
        if (!router.tokens.defined()) {
            router.entropy = at::zeros({tasks + 1}, weights.options());
            router.tokens = at::zeros({tasks + 1}, weights.options());
        }
        router.entropy.index_add_(0, task, -(weights * logs).sum(-1));
        router.tokens += tokens;
    }
}

RoutingMeasures::MeanWeights RoutingMeasures::meanWeights() const
{
    MeanWeights result;
    for (const auto& [key, router] : m_seen) {
        if (const double tokens = router.tokens.sum().item<double>(); tokens > 0)
            result[key] = router.weights.cpu() / tokens;
    }
    return result;
}

std::vector<Measured> RoutingMeasures::take()
{
    if (m_seen.empty())
        return {};
    const record::Axis layer{"layer", "", numbered(m_layers)};
    const record::Axis router{"router", "", m_routers};
    const record::Axis expert{"expert", "", numbered(m_experts)};
    const record::Axis task{"task", "", m_tasks};
    Measured load =
        unmeasured({"routing/load",
                    "Expert load",
                    "",
                    "Share of the task's routed choices that went to the expert, since the last record. "
                    "Soft routing: share of the routing weight.",
                    {layer, router, expert, task}});
    Measured entropy =
        unmeasured({"routing/entropy",
                    "Routing entropy",
                    "nats",
                    "Mean entropy of the weights that a token gives to its experts, -sum G ln G.",
                    {layer, router}});
    Measured violation =
        unmeasured({"routing/maxvio",
                    "MaxVio",
                    "",
                    "(max load - mean load) / mean load over the experts; 0 is perfect balance "
                    "(Wang et al. 2024, loss-free balancing).",
                    {layer, router}});
    Measured difference =
        unmeasured({"routing/maxvio_difference",
                    "MaxVio (difference)",
                    "",
                    "Max load - mean load, as shares of all routed choices (the form SMoRA reports).",
                    {layer, router}});
    Measured taskEntropy = unmeasured({"routing/task_entropy",
                                       "Routing entropy by task",
                                       "nats",
                                       "Mean entropy of the weights that a token of the task gives to its "
                                       "experts, -sum G ln G.",
                                       {layer, router, task}});
    Measured taskViolation =
        unmeasured({"routing/task_max_violation",
                    "MaxVio by task",
                    "",
                    "(max load - mean load) / mean load over the experts, of the task's "
                    "routed choices alone; a task that has an expert of its own is as far "
                    "from balance as can be.",
                    {layer, router, task}});
    for (const auto& [key, seen] : m_seen) {
        const auto place = static_cast<std::size_t>(
            std::find(m_routers.begin(), m_routers.end(), key.second) - m_routers.begin());
        const std::size_t cell = static_cast<std::size_t>(key.first) * m_routers.size() + place;
        const at::Tensor counts = seen.load.cpu();
        const at::Tensor byTask = (counts / counts.sum(0, true)).contiguous(); // a task without tokens is NaN
        const auto* share = byTask.const_data_ptr<double>();
        const auto experts = static_cast<std::size_t>(byTask.size(0));
        for (std::size_t e = 0; e < experts; ++e) {
            for (std::size_t t = 0; t < m_tasks.size(); ++t)
                load.values[(cell * static_cast<std::size_t>(m_experts) + e) * m_tasks.size() + t] =
                    static_cast<float>(share[e * (m_tasks.size() + 1) + t]);
        }
        const at::Tensor total = counts.sum(1) / counts.sum();
        const double largest = total.max().item<double>();
        const double mean = 1.0 / static_cast<double>(experts);
        const at::Tensor entropies = seen.entropy.cpu();
        const at::Tensor tokens = seen.tokens.cpu();
        const at::Tensor each = (entropies / tokens).contiguous();
        const at::Tensor most = std::get<0>(byTask.max(0)).contiguous();
        for (std::size_t t = 0; t < m_tasks.size(); ++t) {
            taskEntropy.values[cell * m_tasks.size() + t] =
                static_cast<float>(each.const_data_ptr<double>()[t]);
            taskViolation.values[cell * m_tasks.size() + t] =
                static_cast<float>((most.const_data_ptr<double>()[t] - mean) / mean);
        }
        violation.values[cell] = static_cast<float>((largest - mean) / mean);
        difference.values[cell] = static_cast<float>(largest - mean);
        entropy.values[cell] =
            static_cast<float>(entropies.sum().item<double>() / tokens.sum().item<double>());
    }
    m_seen.clear();
    std::vector<Measured> result;
    result.push_back(std::move(load));
    result.push_back(std::move(entropy));
    result.push_back(std::move(violation));
    result.push_back(std::move(difference));
    result.push_back(std::move(taskEntropy));
    result.push_back(std::move(taskViolation));
    return result;
}

} // namespace rankscope::analysis

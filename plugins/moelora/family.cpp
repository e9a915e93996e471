// SPDX-License-Identifier: Apache-2.0
// MoELoRA: y = W x + s sum_j G_j B_j A_j drop(x), G from a router on each linear or from the row's task.
#include "core/adapter/lora_mixture.h"
#include "core/adapter/targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>

namespace rankscope::plugins
{
namespace
{

using namespace rankscope::adapter;

/// G = softmax(Wgate emb[task]). A row without a task, or with one beyond the table, takes the mean of all
/// tasks' gates.
struct TaskGate {
    at::Tensor embedding; ///< [tasks, d]
    at::Tensor weight;    ///< [N, d]

    TaskGate(ParameterStore& store, const std::string& path, std::int64_t tasks, std::int64_t width,
             std::int64_t experts)
        : embedding(store.add(tensorName(path, "task_embedding.weight"), {tasks, width}, Init::normal(1))),
          weight(store.add(tensorName(path, "task_gate.weight"), {experts, width}, Init::kaimingUniform()))
    {
    }
    static std::int64_t count(std::int64_t tasks, std::int64_t width, std::int64_t experts)
    {
        return (tasks + experts) * width;
    }
    [[nodiscard]] Routing route(const model::Pass& pass) const
    {
        const std::int64_t tasks = embedding.size(0);
        const at::Tensor gates = at::softmax(at::linear(embedding, weight), -1);
        const at::Tensor task = pass.taskOfToken();
        return routeRows(at::cat({gates, gates.mean(0, true)}),
                         at::where((task >= 0).logical_and(task < tasks), task, tasks));
    }
};

class TaskRouter : public ModuleRouter
{
public:
    explicit TaskRouter(std::shared_ptr<const TaskGate> gate) : m_gate(std::move(gate)) {}
    Routing route(const at::Tensor&, const model::Pass& pass) override { return m_gate->route(pass); }

private:
    std::shared_ptr<const TaskGate> m_gate;
};

class MoeLoraFamily : public LoraMixtureFamily
{
protected:
    [[nodiscard]] Result<LoraMixtureOptions> options(const checkpoint::ModelConfig& model,
                                                     const Settings& settings,
                                                     const checkpoint::LinearShape& shape) const override
    {
        RANKSCOPE_TRY(auto options, LoraMixtureFamily::options(model, settings, shape));
        if (settings.text("router") == "topk_renorm") {
            options.used = settings.integer("topK");
            RANKSCOPE_CHECK(checkTopK(options.used, options.experts));
        }
        if (settings.boolean("splitRank")) {
            if (options.rank % options.experts != 0)
                return fail(
                    "rank is " + std::to_string(options.rank) + ", which " + std::to_string(options.experts) +
                    " experts cannot share equally; choose a multiple of experts or turn splitRank off");
            options.rank /= options.experts; // the scale stays alpha over the total rank
        }
        if (settings.text("aInit") == "normal")
            options.a = Init::normal(settings.number("aStd"));
        return options;
    }

    [[nodiscard]] MakeRouter routers(const Settings& settings) const override
    {
        const std::string kind = settings.text("router");
        if (kind == "task") {
            const std::int64_t tasks = settings.integer("tasks");
            const std::int64_t width = settings.integer("taskEmbedding");
            const auto shared = settings.text("taskGate") == "shared"
                                    ? std::make_shared<std::shared_ptr<const TaskGate>>()
                                    : nullptr;
            return [=](ParameterStore& store, const checkpoint::LinearShape& shape,
                       const LoraMixtureOptions& mixture) {
                std::shared_ptr<const TaskGate> gate = shared ? *shared : nullptr;
                if (!gate)
                    gate = std::make_shared<TaskGate>(store, shared ? "shared" : shape.path, tasks, width,
                                                      mixture.experts);
                if (shared)
                    *shared = gate;
                return std::make_unique<TaskRouter>(gate);
            };
        }
        LinearRouter::Rule rule = [](const at::Tensor& z, const model::Pass&) { return routeSoft(z); };
        if (kind == "topk_renorm")
            rule = [k = settings.integer("topK")](const at::Tensor& z, const model::Pass&) {
                return routeTopK(z, k);
            };
        if (kind == "gumbel_top1")
            rule = [temperature = settings.number("temperature"),
                    noise = settings.number("gumbelNoise")](const at::Tensor& z, const model::Pass& pass) {
                return routeGumbel(z, temperature, noise, pass.training);
            };
        return [rule](ParameterStore& store, const checkpoint::LinearShape& shape,
                      const LoraMixtureOptions& mixture) {
            return std::make_unique<LinearRouter>(store, shape, mixture.experts, Init::kaimingUniform(),
                                                  rule);
        };
    }

    [[nodiscard]] std::int64_t routerCount(const checkpoint::LinearShape& shape, std::int64_t experts,
                                           const Settings& settings) const override
    {
        if (settings.text("router") != "task")
            return experts * shape.in;
        return settings.text("taskGate") == "shared" ? 0 : gateCount(settings);
    }

    [[nodiscard]] std::int64_t sharedCount(const Settings& settings) const override
    {
        return settings.text("router") == "task" && settings.text("taskGate") == "shared"
                   ? gateCount(settings)
                   : 0;
    }

private:
    static std::int64_t gateCount(const Settings& settings)
    {
        return TaskGate::count(settings.integer("tasks"), settings.integer("taskEmbedding"),
                               settings.integer("experts"));
    }
};

} // namespace
} // namespace rankscope::plugins

RANKSCOPE_FAMILY(rankscope::plugins::MoeLoraFamily)

// SPDX-License-Identifier: Apache-2.0
// The interface between the engine and an adapter family. A family is a plugin: one shared library with a
// family.json, entered through rankscope_family (below). See docs/adding-a-family.md.
#pragma once

#include "core/adapter/delta.h"
#include "core/adapter/parameter_store.h"
#include "core/adapter/routing.h"
#include "core/adapter/settings.h"
#include "core/base/json.h"
#include "core/base/result.h"
#include "core/checkpoint/model_config.h"
#include "core/model/decoder.h"
#include "core/protocol/family_manifest.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rankscope::adapter
{

/// Tensors of an adapter as planned from shapes alone.
struct Plan {
    std::int64_t trainable = 0; ///< elements
    std::int64_t buffers = 0;   ///< elements saved but not trained
    /// Elements that a forward pass must keep for the backward pass, for one token, beyond the base model's
    /// own: for the memory estimate.
    std::int64_t activationsPerToken = 0;
    /// Trainable elements that one token does not use: those of experts that a fixed k leaves out.
    std::int64_t idle = 0;
    /// Elements that a pass makes of the tensors, whatever its tokens, and keeps for the backward pass: mixed
    /// or joined factors.
    std::int64_t composed = 0;
    /// Elements that are kept on the CPU while the model answers and given back when training goes on: merged
    /// weights.
    std::int64_t answering = 0;
};

/// Live measures beyond ranks and routing: a family's own look inside. Appended at each analysis.
struct InsideMeasure {
    std::string name; ///< "gates/scores": as RunRecord measures are named
    std::string title;
    std::string unit;
    std::string definition;
    std::vector<std::pair<std::string, std::vector<std::string>>> axes; ///< name and labels
    std::vector<float> values;                                          ///< row-major; NaN: not measured
    /// Dear values come in this many pieces of equal size, one after the other in `values`, which holds NaN
    /// for all of them: `piece` computes one, of which every record has as many as there is time for. Valid
    /// for as long as the adapter's tensors stay as they are.
    std::size_t pieces = 0;
    std::function<std::vector<float>(std::size_t)> piece = {};

    /// Puts piece i into its place in `values`.
    void measure(std::size_t i);
};

/// An adapter in the form in which Hugging Face PEFT itself stores it.
struct PeftForm {
    /// Of adapter_config.json: peft_type and that type's own fields. What all types have (the base model, the
    /// target modules) is added when it is written.
    base::OrderedJson config;
    /// By the names of adapter_model.safetensors. uint8, int16 and int32 are written as they are, anything
    /// else as float32.
    std::vector<std::pair<std::string, at::Tensor>> tensors;
};

/// An adapter attached to one base model. Owns its tensors and the objects at the model's sites; detaches
/// when destroyed.
class Adapter
{
public:
    virtual ~Adapter() = default;

    [[nodiscard]] ParameterStore& parameters() { return *m_parameters; }
    [[nodiscard]] const ParameterStore& parameters() const { return *m_parameters; }

    /// Called before each forward pass: forget what the last one left behind.
    virtual void beginPass(const model::Pass&) {}
    /// The auxiliary loss of the last pass, already weighted; undefined if the family has none.
    virtual at::Tensor auxiliaryLoss() { return {}; }
    /// Called after each training pass, its backward pass included (loss-free balance).
    virtual void afterPass() {}
    /// Called after each optimizer step: what was derived from the tensors no longer holds.
    virtual void afterStep() {}

    /// The weights this adapter changes.
    [[nodiscard]] virtual std::vector<DeltaSite> deltaSites() const = 0;
    /// Distinct names of the modules they are in, in order.
    [[nodiscard]] std::vector<std::string> modules() const;
    /// What expert `expert` changes in the weight of `layer` and `module`, with the shared parts it uses.
    [[nodiscard]] virtual Delta delta(std::int64_t layer, const std::string& module,
                                      std::int64_t expert) const = 0;
    /// The adapted linear as that expert alone would compute it, dropout off: x [T, in] -> [T, out]. The
    /// oracle's other side: equals W x + delta x.
    [[nodiscard]] virtual at::Tensor expertForward(std::int64_t layer, const std::string& module,
                                                   std::int64_t expert, const at::Tensor& x) const = 0;

    /// The update as tokens meet it on average: the experts' updates summed with `weights` [N], a router's
    /// mean weights. Families whose experts share a factor say it with fewer ranks than the general sum.
    [[nodiscard]] virtual Delta meanDelta(const DeltaSite& site, const at::Tensor& weights) const;

    /// What every router did in the last pass; empty for families that do not route.
    [[nodiscard]] virtual std::vector<RoutingTrace> routing() const { return {}; }
    /// The family's own measures.
    [[nodiscard]] virtual std::vector<InsideMeasure> inside() const { return {}; }

    /// As PEFT stores this very family, where it knows it by more than low-rank pairs. None: deltas that are
    /// such pairs are exported as PEFT's LoRA.
    [[nodiscard]] virtual std::optional<PeftForm> peftForm() const { return {}; }

protected:
    explicit Adapter(std::unique_ptr<ParameterStore> parameters) : m_parameters(std::move(parameters)) {}
    std::unique_ptr<ParameterStore> m_parameters;
};

struct AttachOptions {
    at::ScalarType dtype = at::kFloat; ///< of the adapter's tensors; kDouble in gradient checks
    std::uint64_t seed = 1;
};

/// A family: stateless, makes adapters.
class Family
{
public:
    virtual ~Family() = default;

    /// Counts from shapes alone. Errors: settings that these shapes cannot take, as one sentence.
    [[nodiscard]] virtual Result<Plan> plan(const checkpoint::ModelConfig& model,
                                            const Settings& settings) const = 0;
    /// Creates the tensors and puts itself on the model's sites. The model must outlive the adapter.
    [[nodiscard]] virtual Result<std::unique_ptr<Adapter>>
    attach(model::Decoder& model, const Settings& settings, const AttachOptions& options) const = 0;
};

} // namespace rankscope::adapter

/// What a plugin's library exports as `rankscope_family`. The first field never moves.
struct RankscopeFamilyEntry {
    int apiVersion; ///< protocol::pluginApiVersion that the plugin was compiled against
    rankscope::adapter::Family* (*create)();
    void (*destroy)(rankscope::adapter::Family*);
};

/// Written once in a plugin: RANKSCOPE_FAMILY(LoraFamily)
#define RANKSCOPE_FAMILY(Type)                                                                               \
    extern "C" __attribute__((visibility("default"))) const RankscopeFamilyEntry* rankscope_family()         \
    {                                                                                                        \
        static const RankscopeFamilyEntry entry{                                                             \
            ::rankscope::protocol::pluginApiVersion,                                                         \
            []() -> ::rankscope::adapter::Family* { return new Type; },                                      \
            [](::rankscope::adapter::Family* family) { delete family; }};                                    \
        return &entry;                                                                                       \
    }

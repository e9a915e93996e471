// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/sample_run.h"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace rankscope::tests
{

namespace
{

using record::Axis;
using record::MeasureInfo;

const std::vector<std::string> tasks = {"arc-challenge", "arc-easy",   "boolq",
                                        "math",          "openbookqa", "arithmetic"};
const std::vector<std::string> modules = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                          "gate_proj", "up_proj", "down_proj"};
constexpr int mlpStart = 4; ///< modules from here on have one adapter for each expert
constexpr int cuts = 4;
constexpr int spectrumLength = 16;
constexpr float none = std::numeric_limits<float>::quiet_NaN();

/// In [0, 1), from a number: splitmix64.
double noise(std::uint64_t seed)
{
    std::uint64_t z = seed * 0x9e3779b97f4a7c15ULL + 0x632be59bd9b4e019ULL;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return static_cast<double>((z ^ (z >> 31U)) >> 11U) / 9007199254740992.0;
}

std::vector<std::string> counted(int count, int first = 0)
{
    std::vector<std::string> labels;
    for (int i = 0; i < count; ++i)
        labels.push_back(std::to_string(first + i));
    return labels;
}

Axis axis(const std::string& name, std::vector<std::string> labels)
{
    return {name, "", std::move(labels)};
}

struct Legs {
    std::array<int, 5> row;
    std::array<int, 5> column;
};
constexpr Legs legs{{2, 8, 24, 2, 2}, {2, 6, 12, 2, 2}}; // 1536 x 576

std::array<int, 6> bonds()
{
    std::array<int, 6> d{1, 0, 0, 0, 0, 1};
    for (std::size_t k = 1; k < 5; ++k) {
        double left = 1;
        double right = 1;
        for (std::size_t m = 0; m < 5; ++m)
            (m < k ? left : right) *= legs.row[m] * legs.column[m];
        d[k] = static_cast<int>(std::min(left, right));
    }
    return d;
}

void defineMeasures(record::RunRecord& run, const SampleOptions& options)
{
    const Axis layer = axis("layer", counted(options.layers));
    const Axis module = axis("module", modules);
    const Axis task = axis("task", tasks);
    const int expertCount = options.family == "lora" ? 1 : options.experts;
    const Axis expert = axis("expert", counted(expertCount));
    const auto scalar = [&](const char* name, const char* title, const char* unit, const char* definition) {
        run.define({name, title, unit, definition, {}});
    };
    scalar("train/loss", "Loss", "nats",
           "mean negative log-likelihood of the answers' tokens in the step's rows");
    scalar("train/auxiliary_loss", "Auxiliary loss", "",
           "the family's auxiliary loss, weighted as it enters the total");
    scalar("train/learning_rate", "Learning rate", "", "of the first parameter group");
    scalar("train/gradient_norm", "Gradient norm", "", "L2 norm over all trainable tensors, before clipping");
    scalar("train/tokens_per_second", "Throughput", "tokens/s", "of the step");
    scalar("train/samples_per_second", "Throughput", "samples/s", "of the step");
    scalar("train/tokens_seen", "Tokens seen", "tokens", "since the start");
    scalar("train/step_time", "Step time", "s",
           "one optimizer step without analysis, evaluation and checkpoints");
    scalar("train/memory", "Memory", "B", "peak resident memory so far");
    run.define({"train/task_loss", "Loss by task", "nats", "as train/loss, by task", {task}});
    run.define({"eval/accuracy", "Accuracy", "", "share of right answers on the test rows", {task}});
    run.define({"eval/loss", "Evaluation loss", "nats", "as train/loss, on the test rows", {task}});
    const std::vector<Axis> inside = {layer, module, expert};
    run.define({"rank/entropy", "Entropy effective rank", "",
                "exp of the entropy of the singular values' distribution (Roy and Vetterli 2007)", inside});
    run.define({"rank/stable", "Stable rank", "",
                "squared Frobenius norm over squared spectral norm (REMoE eq. 10)", inside});
    run.define({"rank/nuclear", "Nuclear ratio", "", "sum of the singular values over the largest", inside});
    if (options.family == "lora")
        return;
    const Axis router = axis("router", {"mlp"});
    run.define({"routing/load",
                "Load",
                "",
                "share of the task's routed choices that went to the expert",
                {layer, router, expert, task}});
    run.define({"routing/entropy",
                "Routing entropy",
                "nats",
                "mean entropy of the routing weights",
                {layer, router}});
    run.define({"routing/maxvio",
                "MaxVio",
                "",
                "(max load - mean load) / mean load (Wang et al. 2024)",
                {layer, router}});
    run.define(
        {"routing/maxvio_difference", "MaxVio, difference", "", "max load - mean load", {layer, router}});
    if (options.family != "opera")
        return;
    const Axis cut = axis("cut", counted(cuts, 1));
    const Axis core = axis("core", counted(cuts + 1, 1));
    run.define(
        {"mpo/bond_dimension", "Bond dimension", "", "d_k between core k and k+1", {layer, module, cut}});
    run.define({"mpo/core_size", "Core size", "elements", "elements of core k", {layer, module, core}});
    run.define({"mpo/core_shape",
                "Core shape",
                "",
                "left bond, row leg, column leg, right bond",
                {layer, module, core, axis("leg", {"left bond", "row leg", "column leg", "right bond"})}});
    run.define({"mpo/cut_spectrum",
                "Cut spectrum",
                "",
                "largest singular values of the expert matrix at the cut",
                {layer, module, expert, cut, axis("index", counted(spectrumLength))}});
    run.define({"mpo/core_drift",
                "Core drift",
                "",
                "||core - initial core||_F / ||initial core||_F",
                {layer, module, expert, core}});
}

bool hasAdapter(int module, int expert)
{
    return module >= mlpStart || expert == 0;
}

void appendShapes(record::RunRecord& run, const SampleOptions& options)
{
    const auto d = bonds();
    std::vector<float> bond, size, shape;
    for (int layer = 0; layer < options.layers; ++layer)
        for (int module = 0; module < static_cast<int>(modules.size()); ++module) {
            const bool mpo = module >= mlpStart;
            for (std::size_t k = 1; k <= cuts; ++k)
                bond.push_back(mpo ? static_cast<float>(d[k]) : none);
            for (std::size_t k = 0; k <= cuts; ++k) {
                size.push_back(mpo ? static_cast<float>(d[k] * legs.row[k] * legs.column[k] * d[k + 1])
                                   : none);
                for (const int leg : {d[k], legs.row[k], legs.column[k], d[k + 1]})
                    shape.push_back(mpo ? static_cast<float>(leg) : none);
            }
        }
    run.mutableMeasure("mpo/bond_dimension")->append(0, bond);
    run.mutableMeasure("mpo/core_size")->append(0, size);
    run.mutableMeasure("mpo/core_shape")->append(0, shape);
}

void appendMpo(record::RunRecord& run, const SampleOptions& options, std::int64_t step)
{
    const double progress = static_cast<double>(step) / static_cast<double>(options.steps);
    std::vector<float> spectrum, drift;
    for (int layer = 0; layer < options.layers; ++layer)
        for (int module = 0; module < static_cast<int>(modules.size()); ++module)
            for (int expert = 0; expert < options.experts; ++expert)
                for (int k = 0; k <= cuts; ++k) {
                    const bool mpo = module >= mlpStart;
                    const bool centre = k == cuts / 2;
                    const double spread =
                        0.6 +
                        0.8 * noise(static_cast<std::uint64_t>(layer * 991 + module * 71 + expert * 13 + k));
                    drift.push_back(!mpo ? none
                                    : centre
                                        ? 0.0F
                                        : static_cast<float>(0.06 * spread * (1 - std::exp(-4 * progress))));
                    if (k == cuts)
                        continue;
                    for (int index = 0; index < spectrumLength; ++index) {
                        const bool exists = mpo && index < bonds()[static_cast<std::size_t>(k) + 1];
                        spectrum.push_back(exists
                                               ? static_cast<float>((40.0 + layer) *
                                                                    std::exp(-0.22 * index * (1 + 0.25 * k)) *
                                                                    (1 + 0.1 * progress * spread))
                                               : none);
                    }
                }
    run.mutableMeasure("mpo/cut_spectrum")->append(step, spectrum);
    run.mutableMeasure("mpo/core_drift")->append(step, drift);
}

void appendInside(record::RunRecord& run, const SampleOptions& options, std::int64_t step)
{
    for (const char* name : {"rank/entropy", "rank/stable", "rank/nuclear"}) {
        record::Measure& measure = *run.mutableMeasure(name);
        const auto expertCount = static_cast<int>(measure.info().axes[2].labels.size());
        std::vector<float> values;
        for (int layer = 0; layer < options.layers; ++layer)
            for (int module = 0; module < static_cast<int>(modules.size()); ++module)
                for (int expert = 0; expert < expertCount; ++expert)
                    values.push_back(
                        hasAdapter(module, expert) ? sampleRank(name, layer, module, expert, step) : none);
        measure.append(step, values);
    }
    if (options.family == "lora")
        return;
    std::vector<float> load, entropy, maxvio, difference;
    for (int layer = 0; layer < options.layers; ++layer) {
        std::vector<double> mean(static_cast<std::size_t>(options.experts), 0);
        for (int expert = 0; expert < options.experts; ++expert)
            for (int task = 0; task < static_cast<int>(tasks.size()); ++task) {
                const float share = sampleLoad(layer, expert, task, step, options);
                load.push_back(share);
                mean[static_cast<std::size_t>(expert)] += share / static_cast<double>(tasks.size());
            }
        double highest = 0;
        double h = 0;
        for (const double share : mean) {
            highest = std::max(highest, share);
            h -= share * std::log(share);
        }
        const double uniform = 1.0 / options.experts;
        entropy.push_back(static_cast<float>(h * 0.8));
        maxvio.push_back(static_cast<float>((highest - uniform) / uniform));
        difference.push_back(static_cast<float>(highest - uniform));
    }
    run.mutableMeasure("routing/load")->append(step, load);
    run.mutableMeasure("routing/entropy")->append(step, entropy);
    run.mutableMeasure("routing/maxvio")->append(step, maxvio);
    run.mutableMeasure("routing/maxvio_difference")->append(step, difference);
    if (options.family == "opera")
        appendMpo(run, options, step);
}

void appendEvaluation(record::RunRecord& run, std::int64_t step, double progress)
{
    static constexpr std::array<double, 6> before = {0.27, 0.41, 0.52, 0.03, 0.29, 0.08};
    static constexpr std::array<double, 6> gain = {0.08, 0.16, 0.11, 0.05, 0.13, 0.61};
    std::vector<float> accuracy, loss;
    for (std::size_t task = 0; task < tasks.size(); ++task) {
        accuracy.push_back(static_cast<float>(before[task] + gain[task] * progress));
        loss.push_back(
            static_cast<float>(3.1 - 0.1 * static_cast<double>(task) - (1.1 + gain[task]) * progress));
    }
    run.mutableMeasure("eval/accuracy")->append(step, accuracy);
    run.mutableMeasure("eval/loss")->append(step, loss);
}

} // namespace

float sampleLoss(std::int64_t step)
{
    const auto s = static_cast<double>(step);
    return static_cast<float>(0.9 + 2.3 * std::exp(-s / 45) +
                              0.28 * (noise(static_cast<std::uint64_t>(step)) - 0.5));
}

float sampleRank(const std::string& measure, int layer, int module, int expert, std::int64_t step)
{
    const double depth = layer / 30.0;
    const double top = measure == "rank/entropy" ? 13.0 : measure == "rank/stable" ? 5.5 : 8.5;
    const double shape =
        0.45 + 0.4 * std::sin(3.1 * depth + 0.5 * module) * std::sin(3.1 * depth + 0.5 * module);
    const double rise = 1 - 0.75 * std::exp(-static_cast<double>(step) / (30.0 + 60 * depth));
    const double jitter =
        0.06 * (noise(static_cast<std::uint64_t>(layer * 4001 + module * 211 + expert * 17 + 3)) - 0.5);
    return static_cast<float>(1 + (top - 1) * rise * (shape + jitter));
}

float sampleLoad(int layer, int expert, int task, std::int64_t step, const SampleOptions& options)
{
    const double sharpness = 1.6 * (1 - std::exp(-static_cast<double>(step) / 60.0));
    double sum = 0;
    double own = 0;
    for (int e = 0; e < options.experts; ++e) {
        const double preference = noise(static_cast<std::uint64_t>(layer * 131 + e * 7 + 1)) +
                                  0.9 * noise(static_cast<std::uint64_t>(layer * 53 + e * 577 + task * 9973));
        const double weight = std::exp(sharpness * preference);
        sum += weight;
        if (e == expert)
            own = weight;
    }
    return static_cast<float>(own / sum);
}

void appendSampleStep(record::RunRecord& run, const SampleOptions& options, std::int64_t step)
{
    const double progress = static_cast<double>(step) / static_cast<double>(options.steps);
    const auto scalar = [&](const char* name, double value) {
        const auto f = static_cast<float>(value);
        run.mutableMeasure(name)->append(step, {&f, 1});
    };
    const auto seed = static_cast<std::uint64_t>(step);
    scalar("train/loss", sampleLoss(step));
    scalar("train/auxiliary_loss",
           options.family == "lora" ? 0
                                    : 0.0021 + 0.0006 * std::exp(-progress * 5) + 0.0001 * noise(seed + 9));
    scalar("train/learning_rate",
           2e-4 *
               (progress < 0.1 ? progress / 0.1 : 0.5 * (1 + std::cos(3.14159265 * (progress - 0.1) / 0.9))));
    scalar("train/gradient_norm", 0.35 + 1.4 * std::exp(-progress * 12) + 0.2 * noise(seed + 77));
    scalar("train/tokens_per_second", 405 + 30 * noise(seed + 31) - (step % 50 == 0 ? 120 : 0));
    scalar("train/samples_per_second", 1.6 + 0.1 * noise(seed + 31));
    scalar("train/tokens_seen", 2600.0 * static_cast<double>(step));
    scalar("train/step_time", 5.4 + 0.4 * noise(seed + 5));
    scalar("train/memory", 2.85e9 + 0.25e9 * std::min(1.0, progress * 6));
    std::vector<float> byTask;
    for (std::size_t task = 0; task < tasks.size(); ++task)
        byTask.push_back((step + static_cast<std::int64_t>(task)) % 7 == 0
                             ? none
                             : sampleLoss(step) + 0.22F * (static_cast<float>(task) - 2.5F) *
                                                      static_cast<float>(1 - 0.4 * progress));
    run.mutableMeasure("train/task_loss")->append(step, byTask);
    if (step % options.every == 0)
        appendInside(run, options, step);
    if (step % 100 == 0)
        appendEvaluation(run, step, 1 - std::exp(-3 * progress));
    run.progress = {1'763'800'000'000'000 + step * 5'500'000, "training", step, options.steps,
                    static_cast<double>(options.steps - step) * 5.6};
    if (step == options.steps)
        run.states.push_back({run.progress.timeUs, "done", ""});
}

record::RunRecord sampleRun(const SampleOptions& options)
{
    record::RunRecord run;
    record::RunDescription& about = run.description;
    about.jobJson = R"({"name":")" + options.family + R"( on six tasks","adapter":{"family":")" +
                    options.family +
                    R"(","settings":{"rank":16,"alpha":32,"experts":8,"topK":2}},"training":{"steps":)" +
                    std::to_string(options.steps) + R"(,"batchSize":16,"learningRate":0.0002}})";
    about.programVersion = "0.1.0";
    about.device = "cpu (2 threads)";
    about.dtype = "float32";
    about.baseModel = "SmolLM2-135M-Instruct.Q4_1.gguf";
    about.baseParameters = 134'515'008;
    about.trainableParameters = options.family == "lora"    ? 4'884'480
                                : options.family == "opera" ? 14'118'720
                                                            : 27'233'280;
    about.totalSteps = options.steps;
    about.tasks = tasks;
    about.modules = modules;
    about.layers = options.layers;
    for (const std::string& task : tasks)
        about.data.push_back({task + "/train.jsonl", "", 1000, task, "train"});
    run.states.push_back({1'763'800'000'000'000, "running", ""});
    defineMeasures(run, options);
    appendEvaluation(run, 0, 0);
    if (options.family == "opera")
        appendShapes(run, options);
    for (std::int64_t step = 1; step <= options.done; ++step)
        appendSampleStep(run, options, step);
    run.notices.push_back({1'763'800'100'000'000, "warning",
                           "12 rows were longer than 256 tokens and lost the front of their prompt"});
    return run;
}

} // namespace rankscope::tests

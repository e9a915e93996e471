// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/job_editor/job_schema.h"

#include "core/base/paths.h"
#include "core/protocol/family_folders.h"
#include "core/protocol/job.h"

#include <QObject>

#include <algorithm>

namespace rankscope::workbench
{

using base::Json;
using protocol::SettingSchema;
using protocol::SettingType;

namespace
{

SettingSchema number(const char* name, const char* title, const char* description, Json standard,
                     double minimum, std::optional<double> maximum = {}, bool advanced = false)
{
    SettingSchema schema;
    schema.name = name;
    schema.title = title;
    schema.description = description;
    schema.type = standard.is_number_integer() ? SettingType::Integer : SettingType::Number;
    schema.defaultValue = std::move(standard);
    schema.minimum = minimum;
    schema.maximum = maximum;
    schema.advanced = advanced;
    return schema;
}

SettingSchema choice(const char* name, const char* title, const char* description,
                     const std::string& standard, std::vector<std::string> choices)
{
    SettingSchema schema;
    schema.name = name;
    schema.title = title;
    schema.description = description;
    schema.type = SettingType::Text;
    schema.defaultValue = standard;
    schema.choices = std::move(choices);
    return schema;
}

} // namespace

std::vector<SettingSchema> dataSettings()
{
    const protocol::DataSpec standard;
    return {
        number("maxLength", "Longest row",
               "Tokens. A longer row loses the front of its prompt, down to half of this, then the end of "
               "its answer.",
               standard.maxLength, 8),
        number("trainRows", "Training rows", "At most this many rows of each training file; 0: all.",
               standard.trainRows, 0, {}, true),
        number("testRows", "Test rows", "At most this many rows of each test file; 0: all.",
               standard.testRows, 0, {}, true)};
}

std::vector<SettingSchema> trainingSettings()
{
    const protocol::TrainingSpec standard;
    SettingSchema rate =
        number("learningRate", "Learning rate", "Of AdamW, at its highest.", standard.learningRate, 0);
    rate.exclusiveMinimum = true;
    return {
        number("steps", "Steps", "Optimizer steps.", standard.steps, 1),
        number("batchSize", "Batch size", "Rows of one forward pass.", standard.batchSize, 1),
        rate,
        choice("schedule", "Schedule", "How the learning rate falls after the warm-up.", standard.schedule,
               {"cosine", "linear", "constant"}),
        number("warmup", "Warm-up", "Below 1: share of the steps; from 1: steps.", standard.warmup, 0),
        number("seed", "Seed", "Of initial values, data order and dropout.", standard.seed, 0),
        number("gradientAccumulation", "Gradient accumulation", "Forward passes of one optimizer step.",
               standard.gradientAccumulation, 1, {}, true),
        number("weightDecay", "Weight decay", "Decoupled, as in AdamW.", standard.weightDecay, 0, {}, true),
        number("beta1", "Beta 1", "Decay of AdamW's first moment.", standard.beta1, 0, 1, true),
        number("beta2", "Beta 2", "Decay of AdamW's second moment.", standard.beta2, 0, 1, true),
        number("epsilon", "Epsilon", "Of AdamW's denominator.", standard.epsilon, 0, {}, true),
        number("maxGradientNorm", "Largest gradient norm",
               "Gradients are scaled down to this L2 norm; 0: no clipping.", standard.maxGradientNorm, 0, {},
               true),
        number("checkpointEvery", "Checkpoint every", "Steps; 0: only at the end.", standard.checkpointEvery,
               0, {}, true),
        number("threads", "Threads", "CPU threads; 0: one for each core.", standard.threads, 0, {}, true)};
}

std::vector<SettingSchema> evaluationSettings()
{
    const protocol::EvaluationSpec standard;
    SettingSchema before;
    before.name = "before";
    before.title = "Evaluate before";
    before.description = "Evaluates the untouched base model first, to compare with.";
    before.type = SettingType::Boolean;
    before.defaultValue = standard.before;
    return {number("every", "Evaluate every", "Steps; 0: not while training.", standard.every, 0), before,
            number("maxNewTokens", "Answer length", "Most new tokens of an open answer.",
                   standard.maxNewTokens, 1, {}, true),
            number("batchSize", "Evaluation batch", "Rows of one forward pass.", standard.batchSize, 1, {},
                   true)};
}

std::vector<SettingSchema> analysisSettings()
{
    const protocol::AnalysisSpec standard;
    return {number("every", "Look inside every", "Steps between measures of the adapter's inside; 0: none.",
                   standard.every, 0),
            number("budget", "Time for it",
                   "Largest share of the training time that these measures may take.", standard.budget, 0, 1,
                   true)};
}

std::vector<protocol::FamilyManifest> installedFamilies()
{
    std::vector<protocol::FamilyManifest> families;
    for (auto& found : protocol::findFamilies(base::pluginFolders()))
        if (found.use == protocol::FoundFamily::Use::Usable)
            families.push_back(std::move(found.manifest));
    std::sort(families.begin(), families.end(),
              [](const auto& a, const auto& b) { return a.title < b.title; });
    return families;
}

const std::vector<JobPreset>& jobPresets()
{
    static const std::vector<JobPreset> presets = {
        {QObject::tr("Quick look"),
         QObject::tr("20 steps of batch 4: does it run, does the loss move?"),
         {{"steps", 20}, {"batchSize", 4}, {"checkpointEvery", 0}},
         {{"every", 2}}},
        {QObject::tr("Standard"),
         QObject::tr("200 steps of batch 16, as the published settings of most families"),
         {{"steps", 200}, {"batchSize", 16}, {"checkpointEvery", 100}},
         {{"every", 10}}},
        {QObject::tr("Long"),
         QObject::tr("2,000 steps of batch 16 with a checkpoint every 200"),
         {{"steps", 2000}, {"batchSize", 16}, {"checkpointEvery", 200}},
         {{"every", 20}}},
    };
    return presets;
}

} // namespace rankscope::workbench

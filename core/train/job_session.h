// SPDX-License-Identifier: Apache-2.0
// A job's parts, opened and fitted together: base model, tokenizer, data, family, adapter.
#pragma once

#include "core/adapter/family.h"
#include "core/adapter/plugin_loader.h"
#include "core/model/decoder.h"
#include "core/protocol/job.h"
#include "core/train/evaluation.h"
#include "core/train/task_data.h"

#include <memory>

namespace rankscope::train
{

/// Trainable parameters and memory of a job, from shapes alone.
struct JobPlan {
    std::int64_t trainableParameters = 0;
    std::int64_t activatedParameters = 0; ///< of these, what one token uses
    std::int64_t baseParameters = 0;
    double trainablePercent = 0; ///< 100 * trainable / (base + trainable), as Hugging Face PEFT counts
    double percentOfBase = 0;    ///< 100 * trainable / base
    std::int64_t memoryBytes =
        0; ///< estimate of the peak: weights, adapter with moments and gradients, activations
    std::int64_t batchTokens = 0; ///< of the batch that the estimate is for, see longestBatchTokens()
};

/// Counts with the job's family. The model may be a bare config.json.
Result<JobPlan> planJob(const protocol::Job& job, adapter::PluginLoader& plugins);

/// What a job will need that can be looked for before it begins.
struct JobNeeds {
    std::int64_t checkpointBytes = 0; ///< on disk, of one checkpoint
};

/// Everything that can be wrong with a job and needs no training to be found: model header and shapes, family
/// and its settings, device, every row of data. Completes job.adapter.settings with every default.
Result<JobNeeds> checkJob(protocol::Job& job, adapter::PluginLoader& plugins);

struct JobSession {
    protocol::Job job;
    std::shared_ptr<const text::Tokenizer> tokenizer;
    text::ChatTemplate chat;
    TaskData data;
    std::vector<std::filesystem::path> identityFiles; ///< whose hash stands for the base model
    std::unique_ptr<model::Decoder> model;
    std::unique_ptr<adapter::Adapter> adapter; ///< destroyed before the model
    bool causal = true;  ///< false: with these settings the adapter lets a token see later ones of its row
    bool routed = false; ///< routers see the tokens
    bool changesOutput = false; ///< before any training, without having replaced a weight

    /// Evaluates this model with this adapter, or, `bare`, without it. The session must outlive it.
    [[nodiscard]] Evaluator evaluator(bool bare = false) const
    {
        return {*model, *tokenizer, chat, job, {.causal = causal, .bare = bare}};
    }

    /// What whoever trains or evaluates should know of the device and of what the rows become: a sentence for
    /// each thing.
    [[nodiscard]] std::vector<std::string> warnings() const;

    /// `train`: are the training rows read too? `progress`: tensors loaded and in all; false cancels.
    static Result<JobSession> open(protocol::Job job, adapter::PluginLoader& plugins, bool train,
                                   const std::function<bool(std::int64_t, std::int64_t)>& progress);
};

} // namespace rankscope::train

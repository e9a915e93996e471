// SPDX-License-Identifier: Apache-2.0
// One fine-tune from its first step (or its last checkpoint) to its end.
#pragma once

#include "core/analysis/live_measures.h"
#include "core/train/batches.h"
#include "core/train/checkpoint.h"
#include "core/train/job_session.h"
#include "core/train/optimizer.h"
#include "core/train/run_log.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

namespace rankscope::train
{

enum class Outcome { Done, Stopped };

class Trainer
{
public:
    /// `stop`: set from outside (a signal); the step in hand is finished and a checkpoint written.
    Trainer(JobSession& session, record::RunDirectory directory, RunLog& log, const std::atomic<bool>& stop);

    /// Resumes from the newest checkpoint that can be used if `resume`. Errors: the loss is not finite, the
    /// disk is full, there are checkpoints but none can be used.
    Result<Outcome> run(bool resume);

private:
    struct StepResult {
        double loss = 0;
        double auxiliaryLoss = 0;
        double gradientNorm = 0;
        std::int64_t tokens = 0;
        std::int64_t samples = 0;
        std::vector<double> taskLoss; ///< NaN: no row of the task
        double seconds = 0;
    };

    Result<StepResult> step(std::int64_t step, double learningRate);
    Status recordStep(std::int64_t step, double learningRate, const StepResult& result);
    Status analyse(std::int64_t step);
    /// False: stopped on the way.
    Result<bool> evaluate(std::int64_t step);
    Status checkpoint(std::int64_t step);
    /// Loads the newest checkpoint that can be used and gives its step; 0 if there is none at all. What is
    /// wrong with newer ones is said in the journal.
    Result<std::int64_t> loadNewestCheckpoint();
    Result<Outcome> finishStopped(std::int64_t step);
    [[nodiscard]] double remainingSeconds(std::int64_t step) const;

    JobSession& m_session;
    const protocol::Job& m_job;
    record::RunDirectory m_directory;
    RunLog& m_log;
    const std::atomic<bool>& m_stop;
    AdamW m_optimizer;
    BatchOrder m_order;
    analysis::LiveMeasures m_measures;
    std::int64_t m_tokensSeen = 0;
    std::int64_t m_saved = -1;    ///< step of the last checkpoint
    double m_trainingSeconds = 0; ///< of the steps of this process
    std::int64_t m_stepsTimed = 0;
    std::int64_t m_samplesTimed = 0;
    std::chrono::steady_clock::time_point m_loopStart; ///< before the first step of this process
    double m_evaluationSeconds = 0;                    ///< of the last evaluation
    double m_allEvaluationSeconds = 0;                 ///< of those since m_loopStart
    bool m_saidRotating = false;
};

} // namespace rankscope::train

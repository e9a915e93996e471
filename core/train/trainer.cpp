// SPDX-License-Identifier: Apache-2.0
#include "core/train/trainer.h"

#include "core/train/device.h"
#include "core/train/evaluation.h"
#include "core/train/schedule.h"
#include "core/train/supervised.h"
#include "kernels/loss_head/op.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <chrono>
#include <cmath>
#include <limits>

namespace rankscope::train
{
namespace
{

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start)
{
    return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::int64_t> lengthsOf(const std::vector<text::Example>& examples)
{
    std::vector<std::int64_t> lengths;
    for (const auto& example : examples)
        lengths.push_back(static_cast<std::int64_t>(example.ids.size()));
    return lengths;
}

record::MeasureInfo scalarInfo(const char* name, const char* title, const char* unit, const char* definition)
{
    return {name, title, unit, definition, {}};
}

} // namespace

Trainer::Trainer(JobSession& session, record::RunDirectory directory, RunLog& log,
                 const std::atomic<bool>& stop)
    : m_session(session),
      m_job(session.job),
      m_directory(std::move(directory)),
      m_log(log),
      m_stop(stop),
      m_optimizer(session.adapter->parameters(), session.job.training),
      m_order(lengthsOf(session.data.train), session.job.training.batchSize,
              static_cast<std::uint64_t>(session.job.training.seed)),
      m_measures(*session.adapter, session.model->config().layers, session.data.tasks,
                 session.job.analysis.budget)
{
}

Result<Trainer::StepResult> Trainer::step(std::int64_t step, double learningRate)
{
    const auto start = Clock::now();
    const auto& training = m_job.training;
    std::vector<std::vector<const text::Example*>> batches;
    std::int64_t labels = 0;
    for (std::int64_t micro = 0; micro < training.gradientAccumulation; ++micro) {
        std::vector<const text::Example*> rows;
        for (const std::int64_t row : m_order.batch(step * training.gradientAccumulation + micro))
            rows.push_back(&m_session.data.train[row]);
        labels += supervisedTokens(rows);
        batches.push_back(std::move(rows));
    }
    StepResult result;
    std::vector<double> taskSum(m_session.data.tasks.size(), 0);
    std::vector<std::int64_t> taskCount(m_session.data.tasks.size(), 0);
    m_optimizer.zeroGradients();
    double observing = 0;
    for (const auto& rows : batches) {
        const auto supervised = makeSupervisedPass(rows, {.training = true, .wholeRows = m_session.routed},
                                                   m_session.model->device());
        m_session.adapter->beginPass(supervised.pass);
        const at::Tensor hidden =
            m_session.model->forward(supervised.pass).index_select(0, supervised.positions);
        const auto [sum, each] =
            kernels::lossHead(hidden, m_session.model->outputEmbedding(), supervised.labels);
        // The mean over all answer tokens of the step, however the step is cut into passes.
        at::Tensor loss = sum / static_cast<double>(std::max<std::int64_t>(1, labels));
        const at::Tensor taskPart = loss.detach();
        at::Tensor share; // of the family's own loss
        if (const at::Tensor auxiliary = m_session.adapter->auxiliaryLoss(); auxiliary.defined()) {
            share = auxiliary / static_cast<double>(training.gradientAccumulation);
            loss = loss + share;
        }
        loss.backward();
        m_session.adapter->afterPass();
        // Read last: whoever reads a number waits for a GPU, which should have the whole pass to do
        // meanwhile.
        result.loss += taskPart.item<double>();
        result.auxiliaryLoss += share.defined() ? share.item<double>() : 0;
        const double before = m_measures.seconds();
        if (m_job.analysis.every > 0)
            m_measures.observe(supervised.pass);
        observing += m_measures.seconds() - before;
        const at::Tensor values = each.to(at::kCPU, at::kDouble).contiguous();
        for (std::int64_t i = 0; i < values.size(0); ++i) {
            const auto task = static_cast<std::size_t>(supervised.task.const_data_ptr<std::int64_t>()[i]);
            taskSum[task] += values.const_data_ptr<double>()[i];
            ++taskCount[task];
        }
        result.tokens += supervised.pass.tokens();
        result.samples += supervised.pass.rows();
    }
    if (!std::isfinite(result.loss) || !std::isfinite(result.auxiliaryLoss))
        return fail("the loss is not a finite number at step " + std::to_string(step + 1) +
                    "; lower training.learningRate (now " + base::Json(training.learningRate).dump() +
                    ") or raise training.warmup, and resume from the last checkpoint");
    result.gradientNorm = m_optimizer.clipGradients(training.maxGradientNorm);
    if (!std::isfinite(result.gradientNorm))
        return fail("the gradient is not finite at step " + std::to_string(step + 1) +
                    "; lower training.learningRate or set model.dtype to float32, and resume from the last "
                    "checkpoint");
    m_optimizer.step(learningRate);
    m_session.adapter->afterStep();
    for (std::size_t task = 0; task < taskSum.size(); ++task)
        result.taskLoss.push_back(taskCount[task] > 0 ? taskSum[task] / static_cast<double>(taskCount[task])
                                                      : std::numeric_limits<double>::quiet_NaN());
    m_tokensSeen += result.tokens;
    result.seconds = since(start) - observing;
    m_trainingSeconds += result.seconds;
    m_samplesTimed += result.samples;
    ++m_stepsTimed;
    return result;
}

Status Trainer::recordStep(std::int64_t step, double learningRate, const StepResult& result)
{
    auto scalar = [&](const record::MeasureInfo& info, double value) {
        return m_log.scalar(info, step, value);
    };
    RANKSCOPE_CHECK(
        scalar(scalarInfo("train/loss", "Training loss", "nats",
                          "Mean negative log-likelihood of the answers' tokens in the step's rows."),
               result.loss));
    RANKSCOPE_CHECK(scalar(
        scalarInfo("train/auxiliary_loss", "Auxiliary loss", "",
                   "The family's own loss (load balance and the like), weighted as it enters the total."),
        result.auxiliaryLoss));
    RANKSCOPE_CHECK(
        scalar(scalarInfo("train/learning_rate", "Learning rate", "",
                          "The job's at this step of its schedule; a family's factors for some of its "
                          "tensors come on top."),
               learningRate));
    RANKSCOPE_CHECK(scalar(scalarInfo("train/gradient_norm", "Gradient norm", "",
                                      "L2 norm over all trainable tensors, before clipping."),
                           result.gradientNorm));
    RANKSCOPE_CHECK(scalar(scalarInfo("train/tokens_per_second", "Throughput", "tokens/s",
                                      "Tokens computed in the step by its time; there is no padding."),
                           static_cast<double>(result.tokens) / result.seconds));
    RANKSCOPE_CHECK(scalar(scalarInfo("train/samples_per_second", "Throughput in rows", "samples/s",
                                      "Rows of the step by its time."),
                           static_cast<double>(result.samples) / result.seconds));
    RANKSCOPE_CHECK(
        scalar(scalarInfo("train/tokens_seen", "Tokens seen", "tokens", "Since the start of the run."),
               static_cast<double>(m_tokensSeen)));
    RANKSCOPE_CHECK(scalar(scalarInfo("train/step_time", "Step time", "s",
                                      "One optimizer step, without analysis, evaluation and checkpoints."),
                           result.seconds));
    RANKSCOPE_CHECK(scalar(
        scalarInfo("train/memory", "Peak memory", "B",
                   "Of the job so far: on a GPU what LibTorch took of its memory, else resident memory."),
        peakMemory(m_session.model->device())));
    analysis::Measured byTask{
        {"train/task_loss",
         "Training loss by task",
         "nats",
         "As the training loss, over the rows of one task; missing where the step had none.",
         {{"task", "", m_session.data.tasks}}},
        {}};
    for (const double loss : result.taskLoss)
        byTask.values.push_back(static_cast<float>(loss));
    return m_log.record(byTask, step);
}

Status Trainer::analyse(std::int64_t step)
{
    for (const auto& measure : m_measures.measure(m_trainingSeconds))
        RANKSCOPE_CHECK(m_log.record(measure, step));
    const auto measured = m_measures.lastMeasured();
    if (measured > 0 && measured < m_measures.sites() && !m_saidRotating) {
        m_saidRotating = true;
        return m_log.notice("info", "ranks and spectra of " + std::to_string(measured) + " of " +
                                        std::to_string(m_measures.sites()) +
                                        " adapted weights are measured at a time, in turn, to stay within " +
                                        base::Json(100 * m_job.analysis.budget).dump() +
                                        "% of the training time (analysis.budget)");
    }
    return {};
}

Result<bool> Trainer::evaluate(std::int64_t step)
{
    if (m_session.data.test.empty())
        return true;
    const auto start = Clock::now();
    std::int64_t total = 0;
    for (const auto& file : m_session.data.test)
        total += static_cast<std::int64_t>(file.rows.size());
    const float missing = std::numeric_limits<float>::quiet_NaN();
    const std::vector<record::Axis> axes{{"task", "", m_session.data.tasks}};
    analysis::Measured accuracy{
        {"eval/accuracy", "Accuracy", "",
         "Share of test rows answered right: choices by likelihood, open answers by greedy "
         "decoding and exact match. Step 0 is the untouched base model.",
         axes},
        std::vector<float>(m_session.data.tasks.size(), missing)};
    analysis::Measured loss{{"eval/loss", "Test loss", "nats",
                             "Mean negative log-likelihood of the right answers' tokens on the test rows.",
                             axes},
                            std::vector<float>(m_session.data.tasks.size(), missing)};
    // "Step 0 is the untouched base model" holds also for an adapter that changes the output from the start.
    const Evaluator evaluator = m_session.evaluator(step == 0 && m_session.changesOutput);
    std::int64_t done = 0;
    auto last = Clock::now();
    for (std::size_t i = 0; i < m_session.data.test.size(); ++i) {
        const auto& file = m_session.data.test[i];
        Status failed;
        const auto score = evaluator.evaluate(
            file,
            [&](std::int64_t rows) {
                if (since(last) > 0.5 && failed) {
                    last = Clock::now();
                    const double rate = since(start) / static_cast<double>(done + rows);
                    const double after = remainingSeconds(step);
                    failed = m_log.progress(
                        "evaluating", done + rows, total,
                        after < 0 ? after : rate * static_cast<double>(total - done - rows) + after);
                }
                return !m_stop.load() && failed.has_value();
            },
            m_session.data.trainedTask(i));
        RANKSCOPE_CHECK(failed);
        if (!score)
            return false;
        done += score->rows;
        const auto task = static_cast<std::size_t>(m_session.data.testTask[i]);
        accuracy.values[task] = static_cast<float>(score->accuracy);
        loss.values[task] = static_cast<float>(score->loss);
    }
    m_evaluationSeconds = since(start);
    m_allEvaluationSeconds += m_evaluationSeconds;
    RANKSCOPE_CHECK(m_log.record(accuracy, step));
    RANKSCOPE_CHECK(m_log.record(loss, step));
    return true;
}

double Trainer::remainingSeconds(std::int64_t step) const
{
    if (m_stepsTimed == 0)
        return -1;
    // With analysis and checkpoints.
    const double stepSeconds =
        (since(m_loopStart) - m_allEvaluationSeconds) / static_cast<double>(m_stepsTimed);
    const std::int64_t steps = m_job.training.steps;
    const std::int64_t every = m_job.evaluation.every;
    // Those on the way, and the last one.
    const std::int64_t evaluations =
        (every > 0 ? (steps - 1) / every - step / every : 0) + (step < steps ? 1 : 0);
    double evaluation = m_evaluationSeconds;
    if (evaluation == 0) { // before the first: a row costs about what a row of training does
        for (const auto& file : m_session.data.test)
            evaluation += static_cast<double>(file.rows.size());
        evaluation *= m_trainingSeconds / static_cast<double>(m_samplesTimed);
    }
    return stepSeconds * static_cast<double>(steps - step) +
           evaluation * static_cast<double>(std::max<std::int64_t>(0, evaluations));
}

Status Trainer::checkpoint(std::int64_t step)
{
    if (m_saved == step)
        return {};
    RANKSCOPE_CHECK(saveCheckpoint(m_directory, {step, m_tokensSeen, m_measures.turns()}, m_job,
                                   m_session.adapter->modules(), m_session.adapter->parameters(),
                                   m_optimizer));
    m_saved = step;
    RANKSCOPE_CHECK(
        m_log.checkpoint(step, "checkpoints/" + m_directory.checkpoint(step).filename().string()));
    return m_log.writeSnapshot();
}

Result<std::int64_t> Trainer::loadNewestCheckpoint()
{
    auto checkpoints = m_directory.completeCheckpoints();
    std::string unusable; ///< why the newest is
    for (; !checkpoints.empty(); checkpoints.pop_back()) {
        const auto point =
            loadCheckpoint(checkpoints.back().folder, m_job, m_session.adapter->parameters(), m_optimizer);
        if (point) {
            m_tokensSeen = point->tokensSeen;
            m_measures.setTurns(point->measureTurns);
            m_saved = point->step;
            return point->step;
        }
        if (unusable.empty())
            unusable = point.error().message;
        RANKSCOPE_CHECK(m_log.notice("warning", point.error().message));
    }
    if (!unusable.empty())
        return fail(unusable + "; and there is no earlier one to resume from");
    return 0;
}

Result<Outcome> Trainer::finishStopped(std::int64_t step)
{
    if (step > 0)
        RANKSCOPE_CHECK(checkpoint(step));
    RANKSCOPE_CHECK(
        m_log.state("stopped", "stopped at step " + std::to_string(step) + "; resume continues from there"));
    RANKSCOPE_CHECK(m_log.writeSnapshot());
    return Outcome::Stopped;
}

Result<Outcome> Trainer::run(bool resume)
{
    at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
    generator.set_current_seed(static_cast<std::uint64_t>(m_job.training.seed));
    std::int64_t start = 0;
    if (resume) {
        RANKSCOPE_TRY(start, loadNewestCheckpoint());
        RANKSCOPE_CHECK(m_log.rewind(start));
    }
    RANKSCOPE_CHECK(m_log.state("running", start > 0 ? "resumed at step " + std::to_string(start) : ""));
    // One that was due at the step it starts from; a run stopped in its middle has yet to make it.
    const auto& training = m_job.training;
    const auto* accuracy = m_log.run().measure("eval/accuracy");
    const bool evaluated = accuracy && !accuracy->empty() && accuracy->steps().back() == start;
    const bool due = start == 0 ? m_job.evaluation.before
                                : m_job.evaluation.every > 0 && start % m_job.evaluation.every == 0 &&
                                      start < training.steps;
    if (due && !evaluated) {
        RANKSCOPE_TRY(const bool whole, evaluate(start));
        if (!whole)
            return finishStopped(start);
    }
    m_loopStart = Clock::now();
    m_allEvaluationSeconds = 0;
    auto lastProgress = Clock::now() - std::chrono::hours(1);
    for (std::int64_t index = start; index < training.steps; ++index) {
        if (m_stop.load())
            return finishStopped(index);
        const double learningRate = training.learningRate * scheduleFactor(training, index);
        RANKSCOPE_TRY(const StepResult result, step(index, learningRate));
        const std::int64_t done = index + 1;
        RANKSCOPE_CHECK(recordStep(done, learningRate, result));
        if (m_job.analysis.every > 0 && (done % m_job.analysis.every == 0 || done == training.steps))
            RANKSCOPE_CHECK(analyse(done));
        if (since(lastProgress) > 0.2 || done == training.steps) {
            lastProgress = Clock::now();
            RANKSCOPE_CHECK(m_log.progress("training", done, training.steps, remainingSeconds(done)));
        }
        if (training.checkpointEvery > 0 && done % training.checkpointEvery == 0 && done < training.steps)
            RANKSCOPE_CHECK(checkpoint(done));
        if (m_job.evaluation.every > 0 && done % m_job.evaluation.every == 0 && done < training.steps) {
            RANKSCOPE_TRY(const bool whole, evaluate(done));
            if (!whole)
                return finishStopped(done);
        }
    }
    RANKSCOPE_CHECK(checkpoint(training.steps));
    RANKSCOPE_TRY(const bool whole, evaluate(training.steps));
    if (!whole)
        return finishStopped(training.steps);
    RANKSCOPE_CHECK(m_log.progress("done", training.steps, training.steps, 0));
    RANKSCOPE_CHECK(m_log.state("done"));
    RANKSCOPE_CHECK(m_log.writeSnapshot());
    return Outcome::Done;
}

} // namespace rankscope::train

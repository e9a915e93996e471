// SPDX-License-Identifier: Apache-2.0
// The job file: one fine-tune, complete. Every field has a default that works.
#pragma once

#include "core/base/json.h"
#include "core/base/result.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace rankscope::protocol
{

/// In the job.json of a run that has begun: the program's version, the hashes of base model and data, and the
/// type, device and threads that "auto" came to. A run that is resumed keeps to them; whoever else reads a job
/// passes over it.
inline constexpr const char* recordedKey = "recorded";

struct ModelSpec {
    std::string path;           ///< a GGUF file, a Hugging Face folder, or (to plan only) a config.json
    std::string dtype = "auto"; ///< "auto", "float32", "bfloat16": how the frozen base is stored and computed
};

struct DataSpec {
    std::vector<std::string> train;
    std::vector<std::string> test;
    /// Tokens; a longer row loses the front of its prompt, down to half of this, then the end of its answer.
    std::int64_t maxLength = 512;
    std::int64_t trainRows = 0; ///< at most this many rows of each training file; 0: all
    std::int64_t testRows = 0;  ///< at most this many rows of each test file; 0: all
};

struct AdapterSpec {
    std::string family = "lora";
    base::Json settings = base::Json::object(); ///< checked against the family's schema
};

struct TrainingSpec {
    std::int64_t steps = 200;              ///< optimizer steps
    std::int64_t batchSize = 16;           ///< rows of one forward pass
    std::int64_t gradientAccumulation = 1; ///< forward passes of one optimizer step
    double learningRate = 2e-4;
    std::string schedule = "cosine"; ///< "cosine", "linear", "constant"
    double warmup = 0.1;             ///< below 1: share of the steps; from 1: steps
    double weightDecay = 0.0;        ///< decoupled (AdamW)
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double maxGradientNorm = 1.0; ///< 0: no clipping
    std::int64_t seed = 1;
    std::int64_t checkpointEvery = 100; ///< steps; 0: only at the end
    std::int64_t threads = 0;           ///< 0: one for each core
    /// What the job says itself; for the rest the family's suggestions come before the defaults above
    /// (FamilyManifest::completeTraining).
    std::vector<std::string> given;

    /// How many checkpoints a run that stands at this step writes to its end, if nothing stops it.
    [[nodiscard]] std::int64_t checkpointsAfter(std::int64_t step) const;
    /// Takes over what is there. Errors: an unknown key or a value out of bounds, named.
    Status read(const base::Json& json);
};

struct EvaluationSpec {
    std::int64_t every = 0;         ///< steps; 0: only before and after
    bool before = true;             ///< evaluate the untouched base model first
    std::int64_t maxNewTokens = 64; ///< of an open answer
    std::int64_t batchSize = 32;
};

struct AnalysisSpec {
    std::int64_t every = 10; ///< steps between the measures of the adapter's inside; 0: none
    double budget = 0.02;    ///< largest share of the training time that they may take
};

struct Job {
    std::string name;
    ModelSpec model;
    DataSpec data;
    AdapterSpec adapter;
    TrainingSpec training;
    EvaluationSpec evaluation;
    AnalysisSpec analysis;
    std::string device = "auto"; ///< "auto", "cpu", "cuda", "cuda:N"

    /// Strict, but for `recorded`, which a run adds to its own job.json and which is no part of the request: an
    /// unknown key or a value out of bounds is an error that names it ("training.steps is 0,
    /// ...").
    static Result<Job> fromJson(const base::Json& json);
    static Result<Job> read(const std::filesystem::path& file);
    /// What a job without a name is called, "mixlora on arithmetic and 7 more": after its family and the tasks
    /// it trains on.
    [[nodiscard]] std::string defaultName() const;
    /// Complete, in the order of the documentation.
    [[nodiscard]] base::OrderedJson toJson() const;
    /// Makes every path absolute; relative ones start at `folder`. A model that is only a name is
    /// also looked up among the installed ones.
    Status resolvePaths(const std::filesystem::path& folder);
};

/// "2026-11-22T10-31-mixlora-smollm2": the name of a new run directory.
std::string runFolderName(const Job& job, std::int64_t unixSeconds);

} // namespace rankscope::protocol

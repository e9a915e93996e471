// SPDX-License-Identifier: Apache-2.0
#include "core/train/job_session.h"

#include "core/train/device.h"
#include "core/train/longest_batch.h"

#include <algorithm>

namespace rankscope::train
{
namespace
{

struct Fitted {
    const adapter::Plugin* plugin = nullptr;
    base::Json settings;
};

Result<Fitted> fitFamily(const protocol::Job& job, adapter::PluginLoader& plugins)
{
    Fitted fitted;
    RANKSCOPE_TRY(fitted.plugin, plugins.load(job.adapter.family));
    auto settings = fitted.plugin->manifest.complete(job.adapter.settings);
    if (!settings)
        return fail(settings.error().within("adapter.settings of " + job.adapter.family));
    fitted.settings = std::move(*settings);
    return fitted;
}

Result<adapter::Plan> planFamily(const Fitted& fitted, const checkpoint::ModelConfig& config)
{
    try {
        auto plan = fitted.plugin->family->plan(config, adapter::Settings(fitted.settings));
        if (!plan)
            return fail(plan.error().within("adapter.settings of " + fitted.plugin->manifest.name));
        return plan;
    } catch (const std::exception& error) {
        return fail("the adapter family " + fitted.plugin->manifest.name + " failed: " + error.what());
    }
}

Result<std::shared_ptr<const text::Tokenizer>> openTokenizer(const std::string& model,
                                                             const checkpoint::ModelConfig& config)
{
    RANKSCOPE_TRY(auto tokenizer, text::Tokenizer::open(model));
    if (static_cast<std::int64_t>(tokenizer->vocabularySize()) > config.vocabulary)
        return fail("the base model " + model + " has embeddings for " + std::to_string(config.vocabulary) +
                    " tokens, but its tokenizer has " + std::to_string(tokenizer->vocabularySize()) +
                    "; the file is damaged or its parts do not belong together");
    return tokenizer;
}

} // namespace

Result<JobPlan> planJob(const protocol::Job& job, adapter::PluginLoader& plugins)
{
    RANKSCOPE_TRY(const auto files, checkpoint::BaseModelFiles::open(job.model.path));
    RANKSCOPE_TRY(const auto fitted, fitFamily(job, plugins));
    const auto& config = files->config();
    RANKSCOPE_TRY(const auto plan, planFamily(fitted, config));
    JobPlan result;
    result.trainableParameters = plan.trainable;
    result.activatedParameters = plan.trainable - plan.idle;
    result.baseParameters = config.parameters();
    result.percentOfBase =
        100.0 * static_cast<double>(plan.trainable) / static_cast<double>(result.baseParameters);
    result.trainablePercent = 100.0 * static_cast<double>(plan.trainable) /
                              static_cast<double>(plan.trainable + result.baseParameters);
    const auto device = openDevice(job.device);
    const auto type = resolveDtype(job.model.dtype, device ? *device : c10::Device(c10::kCPU));
    const std::int64_t bytes = type == c10::kFloat ? 4 : 2;
    // Kept for the backward pass, a token and layer: norms' inputs, q, k, v, attention output, gate, up and
    // their product.
    const std::int64_t attentionWidth = (config.heads + 2 * config.kvHeads) * config.headDim;
    const std::int64_t perToken =
        config.layers * (6 * config.hidden + 2 * attentionWidth + 3 * config.feedForward) +
        plan.activationsPerToken;
    const std::int64_t tokens = longestBatchTokens(job);
    result.batchTokens = tokens;
    constexpr std::int64_t program = 540'000'000; // LibTorch, tokenizer, the mapped file, buffers
    // A trained element, its gradient, two moments, and half as much again of what clipping, the optimizer
    // and the live measures hold for a moment. With rows of 128 tokens within an eighth of what each
    // family was measured to take (docs/families.md).
    constexpr std::int64_t trained = 24;
    const std::int64_t training = plan.composed * 4 + tokens * perToken * bytes + 128 * config.vocabulary * 8;
    const bool answers = !job.data.test.empty() && (!device || device->is_cpu());
    result.memoryBytes = program + result.baseParameters * bytes + plan.trainable * trained +
                         plan.buffers * 4 + std::max(training, answers ? plan.answering * 4 : 0);
    return result;
}

Result<JobNeeds> checkJob(protocol::Job& job, adapter::PluginLoader& plugins)
{
    RANKSCOPE_TRY(const auto files, checkpoint::BaseModelFiles::open(job.model.path));
    const auto& config = files->config();
    if (!files->shape("model.embed_tokens.weight"))
        return fail("the base model " + job.model.path +
                    " holds no weights; training needs a GGUF file or a folder with safetensors");
    RANKSCOPE_CHECK(files->checkComplete());
    RANKSCOPE_TRY(const auto fitted, fitFamily(job, plugins));
    RANKSCOPE_TRY(const auto plan, planFamily(fitted, config));
    job.adapter.settings = fitted.settings;
    RANKSCOPE_CHECK(openDevice(job.device));
    RANKSCOPE_TRY(const auto tokenizer, openTokenizer(job.model.path, config));
    RANKSCOPE_TRY(const auto chat, text::ChatTemplate::forModel(job.model.path));
    RANKSCOPE_CHECK(TaskData::read(job, *tokenizer, chat));
    return JobNeeds{3 * 4 * plan.trainable + 4 * plan.buffers}; // float32, with two moments
}

std::vector<std::string> JobSession::warnings() const
{
    std::vector<std::string> sentences = data.losses(job.data.maxLength);
    if (auto departure = chat.departure(); !departure.empty())
        sentences.insert(sentences.begin(), std::move(departure));
    if (auto reason = unusedGpu(job.device); !reason.empty())
        sentences.insert(sentences.begin(), std::move(reason));
    return sentences;
}

Result<JobSession> JobSession::open(protocol::Job job, adapter::PluginLoader& plugins, bool train,
                                    const std::function<bool(std::int64_t, std::int64_t)>& progress)
{
    JobSession session;
    RANKSCOPE_TRY(const auto files, checkpoint::BaseModelFiles::open(job.model.path));
    RANKSCOPE_TRY(const auto fitted, fitFamily(job, plugins));
    job.adapter.settings = fitted.settings;
    session.identityFiles = files->identityFiles();
    RANKSCOPE_TRY(session.tokenizer, openTokenizer(job.model.path, files->config()));
    RANKSCOPE_TRY(session.chat, text::ChatTemplate::forModel(job.model.path));
    RANKSCOPE_TRY(session.data, TaskData::read(job, *session.tokenizer, session.chat, train));
    RANKSCOPE_TRY(const auto device, openDevice(job.device));
    model::Decoder::Options options;
    options.device = device;
    options.dtype = resolveDtype(job.model.dtype, device);
    options.progress = progress;
    RANKSCOPE_TRY(session.model, model::Decoder::load(*files, options));
    try {
        auto adapter = fitted.plugin->family->attach(
            *session.model, adapter::Settings(fitted.settings),
            adapter::AttachOptions{at::kFloat, static_cast<std::uint64_t>(job.training.seed)});
        if (!adapter)
            return fail(adapter.error().within("adapter.settings of " + job.adapter.family));
        session.adapter = std::move(*adapter);
    } catch (const std::exception& error) {
        return fail("the adapter family " + job.adapter.family + " cannot be attached to " + job.model.path +
                    ": " + error.what());
    }
    const auto& manifest = fitted.plugin->manifest;
    session.causal = !manifest.nonCausal.holds(fitted.settings);
    session.routed = manifest.routing != "none";
    session.changesOutput = manifest.initialOutputOf(fitted.settings) == "changed";
    session.job = std::move(job);
    return session;
}

} // namespace rankscope::train

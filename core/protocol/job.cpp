// SPDX-License-Identifier: Apache-2.0
#include "core/protocol/job.h"

#include "core/base/paths.h"

#include <algorithm>
#include <cctype>
#include <ctime>
#include <limits>

namespace rankscope::protocol
{
namespace fs = std::filesystem;
namespace
{

constexpr std::int64_t anyCount = 1'000'000'000;
constexpr std::size_t longestName = 200; ///< bytes

/// The task of a data file: its stem, or its folder's name where the stem only says which split it is.
std::string taskOf(const std::string& file)
{
    const fs::path path(file);
    const std::string stem = path.stem().string();
    const std::string folder = path.parent_path().filename().string();
    return (stem == "train" || stem == "test") && !folder.empty() ? folder : stem;
}

Status checkDevice(const std::string& device)
{
    const bool known = device == "auto" || device == "cpu" || device == "cuda";
    const std::string number = device.starts_with("cuda:") ? device.substr(5) : std::string();
    const bool numbered =
        !number.empty() && number.size() <= 3 && number.find_first_not_of("0123456789") == std::string::npos;
    if (!known && !numbered)
        return fail("device is '" + device + "', but must be auto, cpu, cuda or cuda:N");
    return {};
}

Status checkFiles(const char* key, const std::vector<std::string>& files)
{
    for (const auto& file : files) {
        if (file.empty())
            return fail(std::string("data.") + key + " names an empty path");
    }
    return {};
}

Status readModel(const base::Json& json, ModelSpec& model)
{
    base::ObjectReader reader(json, "model");
    reader.text("path", model.path).choice("dtype", model.dtype, {"auto", "float32", "bfloat16"});
    return reader.finish();
}

Status readData(const base::Json& json, DataSpec& data)
{
    base::ObjectReader reader(json, "data");
    reader.texts("train", data.train)
        .texts("test", data.test)
        .integer("maxLength", data.maxLength, 8, 1'048'576)
        .integer("trainRows", data.trainRows, 0, anyCount)
        .integer("testRows", data.testRows, 0, anyCount);
    RANKSCOPE_CHECK(reader.finish());
    RANKSCOPE_CHECK(checkFiles("train", data.train));
    return checkFiles("test", data.test);
}

Status readAdapter(const base::Json& json, AdapterSpec& adapter)
{
    base::ObjectReader reader(json, "adapter");
    reader.text("family", adapter.family);
    if (const base::Json* settings = reader.object("settings"))
        adapter.settings = *settings;
    RANKSCOPE_CHECK(reader.finish());
    if (adapter.family.empty())
        return fail("adapter.family is empty; `rankscope-engine families` lists the families");
    return {};
}

Status readEvaluation(const base::Json& json, EvaluationSpec& evaluation)
{
    base::ObjectReader reader(json, "evaluation");
    reader.integer("every", evaluation.every, 0, anyCount)
        .boolean("before", evaluation.before)
        .integer("maxNewTokens", evaluation.maxNewTokens, 1, 65536)
        .integer("batchSize", evaluation.batchSize, 1, 65536);
    return reader.finish();
}

Status readAnalysis(const base::Json& json, AnalysisSpec& analysis)
{
    base::ObjectReader reader(json, "analysis");
    reader.integer("every", analysis.every, 0, anyCount).number("budget", analysis.budget, 0, 1);
    return reader.finish();
}

/// Lower-case letters, digits and single hyphens: what may stand in a folder's name anywhere.
std::string folderPart(const std::string& text, std::size_t limit)
{
    std::string part;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 128 && std::isalnum(byte))
            part += static_cast<char>(std::tolower(byte));
        else if (!part.empty() && part.back() != '-')
            part += '-';
        if (part.size() >= limit)
            break;
    }
    while (!part.empty() && part.back() == '-')
        part.pop_back();
    return part;
}

/// "SmolLM2-135M-Instruct.Q4_1.gguf" is "smollm2": the first word of the file's name, or of the folder's
/// where the file is a config.json.
std::string modelPart(const std::string& model)
{
    fs::path path(model);
    if (!path.has_filename())
        path = path.parent_path();
    if (path.filename() == "config.json")
        path = path.parent_path();
    const std::string whole = folderPart(path.filename().string(), 64);
    return whole.substr(0, whole.find('-'));
}

} // namespace

std::int64_t TrainingSpec::checkpointsAfter(std::int64_t step) const
{
    if (step >= steps)
        return 0;
    return 1 + (checkpointEvery > 0 ? (steps - 1) / checkpointEvery - step / checkpointEvery : 0);
}

Status TrainingSpec::read(const base::Json& json)
{
    base::ObjectReader reader(json, "training");
    reader.integer("steps", steps, 1, anyCount)
        .integer("batchSize", batchSize, 1, 65536)
        .integer("gradientAccumulation", gradientAccumulation, 1, 65536)
        .number("learningRate", learningRate, 0, 1000)
        .choice("schedule", schedule, {"cosine", "linear", "constant"})
        .number("warmup", warmup, 0, static_cast<double>(anyCount))
        .number("weightDecay", weightDecay, 0, 1000)
        .number("beta1", beta1, 0, 1)
        .number("beta2", beta2, 0, 1)
        .number("epsilon", epsilon, 0, 1)
        .number("maxGradientNorm", maxGradientNorm, 0, base::ObjectReader::anyNumber)
        .integer("seed", seed, 0, std::numeric_limits<std::int64_t>::max())
        .integer("checkpointEvery", checkpointEvery, 0, anyCount)
        .integer("threads", threads, 0, 4096);
    RANKSCOPE_CHECK(reader.finish());
    if (beta1 >= 1 || beta2 >= 1)
        return fail("training.beta1 and training.beta2 must be below 1");
    if (warmup >= 1 && warmup > static_cast<double>(steps))
        return fail("training.warmup is " + base::Json(warmup).dump() + " steps, but the run has only " +
                    std::to_string(steps));
    for (const auto& item : json.items())
        given.push_back(item.key());
    return {};
}

Result<Job> Job::fromJson(const base::Json& json)
{
    Job job;
    base::ObjectReader reader(json, "");
    reader.text("name", job.name);
    const base::Json* model = reader.object("model");
    const base::Json* data = reader.object("data");
    const base::Json* adapter = reader.object("adapter");
    const base::Json* training = reader.object("training");
    const base::Json* evaluation = reader.object("evaluation");
    const base::Json* analysis = reader.object("analysis");
    reader.text("device", job.device);
    reader.any(recordedKey);
    RANKSCOPE_CHECK(reader.finish());
    if (model)
        RANKSCOPE_CHECK(readModel(*model, job.model));
    if (data)
        RANKSCOPE_CHECK(readData(*data, job.data));
    if (adapter)
        RANKSCOPE_CHECK(readAdapter(*adapter, job.adapter));
    if (training)
        RANKSCOPE_CHECK(job.training.read(*training));
    if (evaluation)
        RANKSCOPE_CHECK(readEvaluation(*evaluation, job.evaluation));
    if (analysis)
        RANKSCOPE_CHECK(readAnalysis(*analysis, job.analysis));
    RANKSCOPE_CHECK(checkDevice(job.device));
    if (job.name.size() > longestName)
        return fail("name is " + std::to_string(job.name.size()) + " bytes long; at most " +
                    std::to_string(longestName) + " are allowed");
    if (job.name.empty())
        job.name = job.defaultName();
    return job;
}

std::string Job::defaultName() const
{
    std::string name = adapter.family;
    if (!data.train.empty())
        name += " on " + taskOf(data.train.front());
    if (data.train.size() > 1)
        name += " and " + std::to_string(data.train.size() - 1) + " more";
    // No longer than a job file may say it, so that the job can be read again; no character is cut apart.
    std::size_t end = std::min(name.size(), longestName);
    while (end < name.size() && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80)
        --end;
    name.resize(end);
    return name;
}

Result<Job> Job::read(const fs::path& file)
{
    RANKSCOPE_TRY(const base::Json json, base::readJsonFile(file, std::uintmax_t{16} << 20));
    auto job = fromJson(json);
    if (!job)
        return fail(job.error().within(file.string()));
    return job;
}

base::OrderedJson Job::toJson() const
{
    base::OrderedJson json;
    json["name"] = name;
    json["model"] = {{"path", model.path}, {"dtype", model.dtype}};
    json["data"] = {{"train", data.train},
                    {"test", data.test},
                    {"maxLength", data.maxLength},
                    {"trainRows", data.trainRows},
                    {"testRows", data.testRows}};
    json["adapter"]["family"] = adapter.family;
    json["adapter"]["settings"] = base::OrderedJson(adapter.settings);
    json["training"] = {{"steps", training.steps},
                        {"batchSize", training.batchSize},
                        {"gradientAccumulation", training.gradientAccumulation},
                        {"learningRate", training.learningRate},
                        {"schedule", training.schedule},
                        {"warmup", training.warmup},
                        {"weightDecay", training.weightDecay},
                        {"beta1", training.beta1},
                        {"beta2", training.beta2},
                        {"epsilon", training.epsilon},
                        {"maxGradientNorm", training.maxGradientNorm},
                        {"seed", training.seed},
                        {"checkpointEvery", training.checkpointEvery},
                        {"threads", training.threads}};
    json["evaluation"] = {{"every", evaluation.every},
                          {"before", evaluation.before},
                          {"maxNewTokens", evaluation.maxNewTokens},
                          {"batchSize", evaluation.batchSize}};
    json["analysis"] = {{"every", analysis.every}, {"budget", analysis.budget}};
    json["device"] = device;
    return json;
}

Status Job::resolvePaths(const fs::path& folder)
{
    RANKSCOPE_TRY(const fs::path start, base::absolutePath(folder.empty() ? fs::path(".") : folder));
    const auto resolve = [&start](std::string& path) { path = (start / path).lexically_normal().string(); };
    model.path = (model.path.empty() ? base::defaultModel() : base::resolveModel(model.path, start)).string();
    resolve(model.path);
    for (auto* files : {&data.train, &data.test}) {
        for (auto& file : *files)
            resolve(file);
    }
    return {};
}

std::string runFolderName(const Job& job, std::int64_t unixSeconds)
{
    const auto seconds = static_cast<std::time_t>(unixSeconds);
    std::tm local{};
    ::localtime_r(&seconds, &local);
    char stamp[32];
    std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H-%M", &local);
    std::string name = stamp;
    for (const std::string& part : {folderPart(job.adapter.family, 40), modelPart(job.model.path)}) {
        if (!part.empty())
            name += "-" + part;
    }
    return name;
}

} // namespace rankscope::protocol

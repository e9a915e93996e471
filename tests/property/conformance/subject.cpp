// SPDX-License-Identifier: Apache-2.0
#include "tests/property/conformance/subject.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <algorithm>
#include <c10/core/GradMode.h>
#include <cctype>
#include <cstdlib>

namespace rankscope::conformance
{
namespace
{

adapter::PluginLoader& loader()
{
    static adapter::PluginLoader found = [] {
        at::set_num_threads(1); // models this small only lose by sharing the work
        const char* folder = std::getenv("RANKSCOPE_PLUGINS");
        adapter::PluginLoader all({folder ? folder : ""});
        all.loadAll();
        return all;
    }();
    return found;
}

/// Random at every pass: off, so that two passes can be compared.
base::Json quiet(const protocol::FamilyManifest& manifest)
{
    base::Json settings = base::Json::object();
    for (const auto& name : noiseSettings(manifest))
        settings[name] = 0;
    return settings;
}

} // namespace

std::vector<std::string> noiseSettings(const protocol::FamilyManifest& manifest)
{
    std::vector<std::string> names;
    for (const auto& schema : manifest.settings) {
        std::string lower = schema.name;
        std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
        for (const char* noise : {"dropout", "jitter", "noise"}) {
            if (schema.type == protocol::SettingType::Number && lower.find(noise) != std::string::npos)
                names.push_back(schema.name);
        }
    }
    return names;
}

base::Json shown(const protocol::FamilyManifest& manifest, const std::string& name)
{
    base::Json settings = base::Json::object();
    for (const auto& [other, values] : manifest.setting(name)->showWhen)
        settings[other] = values.front();
    return settings;
}

std::string Variant::name() const
{
    std::string text = family + "_" + model.architecture + "_" + changed;
    for (char& c : text)
        c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return text;
}

at::Tensor Subject::run(const model::Pass& pass) const
{
    if (adapter)
        adapter->beginPass(pass);
    return model->forward(pass);
}

at::Tensor Subject::run(const Rows& rows, bool training) const
{
    return run(model::makePass(rows, training));
}

std::map<std::string, at::Tensor> Subject::tensors() const
{
    std::map<std::string, at::Tensor> result;
    for (const auto& parameter : adapter->parameters().all())
        result[parameter.name] = parameter.tensor.detach().clone();
    return result;
}

const std::vector<adapter::Plugin>& plugins()
{
    return loader().plugins();
}

const adapter::Plugin& plugin(const std::string& name)
{
    return *loader().load(name).value();
}

Variant variant(const std::string& family, const base::Json& settings)
{
    const auto& manifest = plugin(family).manifest;
    base::Json all = manifest.small;
    all.update(quiet(manifest));
    all.update(settings);
    return {family, smallModel("llama"), settings.empty() ? "defaults" : settings.dump(),
            manifest.complete(all).value()};
}

std::vector<Variant> variants()
{
    std::vector<Variant> result;
    for (const auto& plugin : plugins()) {
        if (!plugin.family)
            continue; // reported by EveryPluginLoads
        const std::string& family = plugin.manifest.name;
        for (const auto& architecture : architectures()) {
            result.push_back(variant(family, base::Json::object()));
            setArchitecture(result.back().model, architecture);
        }
        auto change = [&](const std::string& name, const base::Json& value, const std::string& text) {
            base::Json settings = shown(plugin.manifest, name);
            settings[name] = value;
            result.push_back(variant(family, settings));
            result.back().changed = name + "=" + text;
        };
        for (const auto& schema : plugin.manifest.settings) {
            if (schema.type == protocol::SettingType::Boolean)
                change(schema.name, !schema.defaultValue.get<bool>(),
                       schema.defaultValue.get<bool>() ? "off" : "on");
            if (schema.type != protocol::SettingType::Text)
                continue;
            for (const auto& choice : schema.choices) {
                if (schema.defaultValue != choice)
                    change(schema.name, choice, choice);
            }
        }
    }
    return result;
}

const std::vector<std::string>& architectures()
{
    static const std::vector<std::string> all{"llama", "qwen2", "qwen3", "phi3"};
    return all;
}

void setArchitecture(checkpoint::ModelConfig& model, const std::string& architecture)
{
    model.architecture = architecture;
    model.qkvBias = architecture == "qwen2";
    model.qkNorm = architecture == "qwen3";
    model.fusedProjections = architecture == "phi3";
}

checkpoint::ModelConfig smallModel(const std::string& architecture)
{
    checkpoint::ModelConfig config;
    setArchitecture(config, architecture);
    config.vocabulary = 40;
    config.hidden = 32;
    config.feedForward = 48;
    config.layers = 2;
    config.heads = 4;
    config.kvHeads = 2;
    config.headDim = 8;
    config.maxPosition = 64;
    config.tiedEmbeddings = true;
    return config;
}

std::unique_ptr<model::Decoder> makeModel(const checkpoint::ModelConfig& config, at::ScalarType dtype,
                                          at::Device device)
{
    model::Decoder::Options options;
    options.dtype = dtype;
    options.device = device;
    return model::Decoder::random(config, 3, options);
}

at::ScalarType adapterType(at::ScalarType base)
{
    return base == at::kDouble ? at::kDouble : at::kFloat;
}

Subject attach(const Variant& variant, std::uint64_t seed, at::ScalarType base, at::Device device)
{
    Subject subject{makeModel(variant.model, base, device), nullptr};
    auto adapter =
        plugin(variant.family)
            .family->attach(*subject.model, adapter::Settings(variant.settings), {adapterType(base), seed});
    EXPECT_TRUE(adapter) << adapter.error().message;
    subject.adapter = std::move(adapter).value();
    return subject;
}

void disturb(adapter::Adapter& adapter, std::uint64_t seed)
{
    const at::NoGradGuard guard;
    for (const auto& parameter : adapter.parameters().trainable()) {
        at::Tensor tensor = parameter.tensor;
        tensor.add_(randomLike(tensor, seed++), 0.15);
    }
}

Rows someRows()
{
    return {{5, 9, 2, 31, 7}, {11, 3, 3, 28, 39}, {1, 20, 4, 6, 8, 13, 22}, {17}};
}

at::Tensor unevenLoss(const Subject& subject, const model::Pass& pass, double auxiliaryWeight)
{
    const at::Tensor hidden = subject.run(pass);
    const at::Tensor total = (hidden * randomLike(hidden, 55)).sum();
    const at::Tensor auxiliary = subject.adapter->auxiliaryLoss();
    return auxiliary.defined() ? total + auxiliaryWeight * auxiliary : total;
}

at::Tensor randomLike(const at::Tensor& tensor, std::uint64_t seed)
{
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    return at::randn(tensor.sizes(), generator, at::TensorOptions(at::kDouble))
        .to(tensor.device(), tensor.scalar_type());
}

double distance(const at::Tensor& a, const at::Tensor& b)
{
    EXPECT_EQ(a.sizes(), b.sizes());
    return a.numel() == 0
               ? 0
               : (a.detach().to(at::kDouble) - b.detach().to(at::kDouble)).abs().max().item<double>();
}

double relativeDistance(const at::Tensor& actual, const at::Tensor& expected)
{
    return distance(actual, expected) / std::max(1.0, distance(expected, at::zeros_like(expected)));
}

} // namespace rankscope::conformance

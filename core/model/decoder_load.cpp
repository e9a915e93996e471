// SPDX-License-Identifier: Apache-2.0
#include "core/model/decoder.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <cmath>
#include <map>
#include <numbers>

namespace rankscope::model
{
namespace
{

at::Tensor inverseFrequencies(const checkpoint::ModelConfig& config)
{
    const std::int64_t half = config.headDim / 2;
    at::Tensor result = at::empty({half}, at::kDouble);
    auto* out = result.mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < half; ++i) {
        double frequency =
            std::pow(config.ropeTheta, -2.0 * static_cast<double>(i) / static_cast<double>(config.headDim));
        if (config.ropeScaling) {
            // Llama 3.1: long wavelengths are stretched, short ones kept, the band between interpolated.
            const auto& s = *config.ropeScaling;
            const double wavelength = 2 * std::numbers::pi / frequency;
            const auto original = static_cast<double>(s.originalMaxPosition);
            if (wavelength > original / s.lowFrequencyFactor) {
                frequency /= s.factor;
            } else if (wavelength > original / s.highFrequencyFactor) {
                const double smooth = (original / wavelength - s.lowFrequencyFactor) /
                                      (s.highFrequencyFactor - s.lowFrequencyFactor);
                frequency = (1 - smooth) * frequency / s.factor + smooth * frequency;
            }
        }
        out[i] = frequency;
    }
    return result;
}

Result<at::Tensor> readTensor(const checkpoint::BaseModelFiles& files, const std::string& name,
                              const std::vector<std::int64_t>& expected, const Decoder::Options& options)
{
    if (const auto* view = files.plainView(name); view && options.device.is_cpu()) {
        const auto type = view->dtype == checkpoint::DType::F32    ? at::kFloat
                          : view->dtype == checkpoint::DType::BF16 ? at::kBFloat16
                                                                   : at::kHalf;
        // Tensors of a file may start at any byte; kernels need their natural alignment.
        const bool aligned = reinterpret_cast<std::uintptr_t>(view->bytes.data()) % 64 == 0;
        if (type == options.dtype && aligned) {
            auto owner = view->owner;
            return at::from_blob(
                const_cast<std::byte*>(view->bytes.data()), expected,
                [owner](void*) mutable { owner.reset(); }, at::TensorOptions(type));
        }
    }
    at::Tensor values = at::empty(expected, at::kFloat);
    const auto count = static_cast<std::size_t>(values.numel());
    RANKSCOPE_CHECK(files.read(name, {values.mutable_data_ptr<float>(), count}));
    return values.to(options.device, options.dtype);
}

} // namespace

Decoder::Decoder(const checkpoint::ModelConfig& config, const Options& options)
    : m_config(config),
      m_dtype(options.dtype),
      m_device(options.device),
      m_inverseFrequencies(inverseFrequencies(config))
{
}

Result<std::unique_ptr<Decoder>> Decoder::load(const checkpoint::BaseModelFiles& files,
                                               const Options& options)
{
    RANKSCOPE_CHECK(files.checkComplete()); // of the announced shapes they are since they were opened
    std::unique_ptr<Decoder> model(new Decoder(files.config(), options));
    const TensorSource source = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
        return readTensor(files, name, shape, options);
    };
    RANKSCOPE_CHECK(model->fill(source, options));
    return model;
}

std::unique_ptr<Decoder> Decoder::random(const checkpoint::ModelConfig& config, std::uint64_t seed,
                                         const Options& options)
{
    std::unique_ptr<Decoder> model(new Decoder(config, options));
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    const TensorSource source = [&](const std::string&,
                                    const std::vector<std::int64_t>& shape) -> Result<at::Tensor> {
        // Norm weights near 1, matrices of unit gain: activations keep their size through the layers.
        if (shape.size() == 1)
            return (1 + 0.1 * at::randn(shape, generator, at::TensorOptions(at::kDouble)))
                .to(options.device, options.dtype);
        return (at::randn(shape, generator, at::TensorOptions(at::kDouble)) /
                std::sqrt(static_cast<double>(shape[1])))
            .to(options.device, options.dtype);
    };
    (void)model->fill(source, options); // a random source has no way to fail
    return model;
}

Status Decoder::fill(const TensorSource& source, const Options& options)
{
    // What the config does not list is not checked before a run begins, so nothing else is read here.
    std::map<std::string, std::vector<std::int64_t>> listed;
    for (auto& tensor : m_config.tensors())
        listed.emplace(std::move(tensor.name), std::move(tensor.shape));
    auto take = [&](const std::string& name) -> Result<at::Tensor> {
        const auto found = listed.find(name);
        if (found == listed.end())
            return fail("the architecture " + m_config.architecture + " has no tensor " + name);
        return source(name, found->second);
    };
    const auto linears = m_config.linears();
    const std::int64_t total = static_cast<std::int64_t>(linears.size()) + 2 * m_config.layers + 2;
    std::int64_t done = 0;
    auto advance = [&]() -> Status {
        if (options.progress && !options.progress(++done, total))
            return fail("loading the base model was cancelled");
        return {};
    };
    RANKSCOPE_TRY(m_embedding, take("model.embed_tokens.weight"));
    RANKSCOPE_CHECK(advance());
    RANKSCOPE_TRY(m_finalNorm, take("model.norm.weight"));
    if (m_config.tiedEmbeddings) {
        m_outputEmbedding = m_embedding;
    } else {
        RANKSCOPE_TRY(m_outputEmbedding, take("lm_head.weight"));
    }
    RANKSCOPE_CHECK(advance());
    m_layers.resize(static_cast<std::size_t>(m_config.layers));
    for (std::int64_t index = 0; index < m_config.layers; ++index) {
        DecoderLayer& layer = m_layers[index];
        layer.index = index;
        layer.mlp.layer = index;
        const std::string prefix = "model.layers." + std::to_string(index) + ".";
        RANKSCOPE_TRY(layer.attentionNorm, take(prefix + "input_layernorm.weight"));
        RANKSCOPE_TRY(layer.mlpNorm, take(prefix + "post_attention_layernorm.weight"));
        if (m_config.qkNorm) {
            RANKSCOPE_TRY(layer.queryNorm, take(prefix + "self_attn.q_norm.weight"));
            RANKSCOPE_TRY(layer.keyNorm, take(prefix + "self_attn.k_norm.weight"));
        }
        RANKSCOPE_CHECK(advance());
    }
    for (const auto& shape : linears) {
        LinearSite site;
        site.base.shape = shape;
        RANKSCOPE_TRY(site.base.weight, take(shape.path + ".weight"));
        if (shape.bias) {
            RANKSCOPE_TRY(site.base.bias, take(shape.path + ".bias"));
        }
        DecoderLayer& layer = m_layers[shape.layer];
        const std::string& module = shape.module;
        if (module == "q_proj" || module == "k_proj" || module == "v_proj" || module == "qkv_proj")
            layer.attentionInputs.push_back(std::move(site));
        else if (module == "o_proj")
            layer.attentionOutput = std::move(site);
        else if (module == "gate_proj" || module == "up_proj" || module == "gate_up_proj")
            layer.mlp.inputs.push_back(std::move(site));
        else if (module == "down_proj")
            layer.mlp.down = std::move(site);
        else
            return fail("the architecture " + m_config.architecture +
                        " cannot be trained yet: no decoder has a module " + module);
        RANKSCOPE_CHECK(advance());
    }
    return {};
}

} // namespace rankscope::model

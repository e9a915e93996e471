// SPDX-License-Identifier: Apache-2.0
#include "core/interchange/merged_model.h"

#include "core/base/files.h"
#include "core/checkpoint/safetensors.h"
#include "core/interchange/output_folder.h"
#include "core/text/gguf_tokenizer_json.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <map>

namespace rankscope::interchange
{
namespace fs = std::filesystem;
namespace
{

using checkpoint::DType;

/// What a decoder-only model is made of, by Hugging Face's names, where the base has it.
std::vector<std::string> tensorNames(const checkpoint::BaseModelFiles& base)
{
    const auto& config = base.config();
    std::vector<std::string> names{"model.embed_tokens.weight"};
    const auto linears = config.linears();
    std::size_t next = 0;
    for (std::int64_t layer = 0; layer < config.layers; ++layer) {
        const std::string prefix = "model.layers." + std::to_string(layer) + ".";
        for (const char* name : {"input_layernorm.weight", "post_attention_layernorm.weight",
                                 "self_attn.q_norm.weight", "self_attn.k_norm.weight"})
            names.push_back(prefix + name);
        for (; next < linears.size() && linears[next].layer == layer; ++next) {
            names.push_back(linears[next].path + ".weight");
            names.push_back(linears[next].path + ".bias");
        }
    }
    names.emplace_back("model.norm.weight");
    if (!config.tiedEmbeddings)
        names.emplace_back("lm_head.weight");
    std::erase_if(names, [&](const std::string& name) { return !base.shape(name); });
    return names;
}

DType storedType(const checkpoint::BaseModelFiles& base)
{
    const auto* view = base.plainView(base.config().linears().front().path + ".weight");
    return view && (view->dtype == DType::F16 || view->dtype == DType::BF16) ? view->dtype : DType::F32;
}

at::ScalarType scalarType(DType dtype)
{
    return dtype == DType::BF16 ? at::kBFloat16 : dtype == DType::F16 ? at::kHalf : at::kFloat;
}

Result<at::Tensor> readTensor(const checkpoint::BaseModelFiles& base, const std::string& name)
{
    at::Tensor values = at::empty(*base.shape(name), at::kFloat);
    RANKSCOPE_CHECK(
        base.read(name, {values.mutable_data_ptr<float>(), static_cast<std::size_t>(values.numel())}));
    return values;
}

/// By the tensor's name.
using Sites = std::map<std::string, adapter::DeltaSite>;

Sites adaptedWeights(const checkpoint::BaseModelFiles& base, const adapter::Adapter& adapter)
{
    Sites sites;
    for (const auto& site : adapter.deltaSites()) {
        for (const auto& linear : base.config().linears()) {
            if (linear.layer == site.layer && linear.module == site.module)
                sites[linear.path + ".weight"] = site;
        }
    }
    return sites;
}

Status writeWeights(const checkpoint::BaseModelFiles& base, const adapter::Adapter& adapter,
                    const fs::path& file, DType dtype, const MergeOptions& options)
{
    const at::NoGradGuard guard;
    const Sites sites = adaptedWeights(base, adapter);
    const auto names = tensorNames(base);
    std::vector<at::Tensor> kept; // alive until written
    std::vector<checkpoint::TensorView> views;
    for (const std::string& name : names) {
        if (options.progress && !options.progress(static_cast<std::int64_t>(views.size()),
                                                  static_cast<std::int64_t>(names.size())))
            return fail("the export was cancelled");
        const auto site = sites.find(name);
        const auto* plain = base.plainView(name);
        if (site == sites.end() && plain && plain->dtype == dtype) {
            views.push_back({name, dtype, *base.shape(name), plain->bytes, plain->owner});
            continue;
        }
        RANKSCOPE_TRY(at::Tensor values, readTensor(base, name));
        if (site != sites.end())
            values = values + adapter::denseDelta(adapter.delta(site->second.layer, site->second.module, 0))
                                  .to(at::kCPU, at::kFloat);
        kept.push_back(values.to(scalarType(dtype)).contiguous());
        const at::Tensor& out = kept.back();
        views.push_back({name,
                         dtype,
                         out.sizes().vec(),
                         {static_cast<const std::byte*>(out.const_data_ptr()), out.nbytes()},
                         nullptr});
    }
    RANKSCOPE_CHECK(checkpoint::writeSafetensors(file, views, {{"format", "pt"}}));
    if (options.progress)
        (void)options.progress(static_cast<std::int64_t>(names.size()),
                               static_cast<std::int64_t>(names.size()));
    return {};
}

const char* torchName(DType dtype)
{
    return dtype == DType::BF16 ? "bfloat16" : dtype == DType::F16 ? "float16" : "float32";
}

Status writeJson(const fs::path& file, const base::OrderedJson& json)
{
    return base::writeFileAtomically(
        file, json.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n");
}

/// config.json as it is, but for the type of the weights; tokenizer and generation settings byte for byte.
Status copyFolder(const fs::path& from, const fs::path& to, DType dtype, std::vector<std::string>& notes)
{
    RANKSCOPE_TRY(const std::string text, base::readFile(from / "config.json", std::uintmax_t{64} << 20));
    RANKSCOPE_TRY(base::OrderedJson config, base::parseOrderedJson(text));
    config[config.contains("dtype") ? "dtype" : "torch_dtype"] = torchName(dtype);
    config.erase("quantization_config");
    RANKSCOPE_CHECK(writeJson(to / "config.json", config));
    std::error_code code;
    for (const char* name :
         {"generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
          "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja"}) {
        if (!fs::exists(from / name, code))
            continue;
        fs::copy_file(from / name, to / name, code);
        if (code)
            return fail("cannot copy " + (from / name).string() + ": " + code.message());
    }
    if (!fs::exists(from / "tokenizer.json", code))
        notes.push_back(
            "the base model has no tokenizer.json: copy the model's tokenizer files into the folder");
    return {};
}

Status describeGguf(const checkpoint::BaseModelFiles& base, const fs::path& to, DType dtype,
                    std::vector<std::string>& notes)
{
    base::OrderedJson config = base.config().toHuggingFace();
    config["torch_dtype"] = torchName(dtype);
    RANKSCOPE_CHECK(writeJson(to / "config.json", config));
    RANKSCOPE_TRY(const auto file, checkpoint::GgufFile::open(base.path()));
    const auto tokenizer = text::tokenizerJson(file);
    if (!tokenizer) {
        notes.push_back("copy the model's tokenizer files into the folder: " + tokenizer.error().message);
        return {};
    }
    RANKSCOPE_CHECK(writeJson(to / "tokenizer.json", tokenizer->tokenizer));
    return writeJson(to / "tokenizer_config.json", tokenizer->config);
}

} // namespace

Status checkMergeable(const protocol::FamilyManifest& family)
{
    if (!family.mergeable)
        return fail(family.title +
                    " cannot be merged: what it adds depends on the input, so no single weight can hold it");
    return {};
}

Status checkMergeable(const protocol::FamilyManifest& family, const adapter::Adapter& adapter)
{
    RANKSCOPE_CHECK(checkMergeable(family));
    for (const auto& site : adapter.deltaSites()) {
        if (!site.linear)
            return fail(family.title +
                        " with these settings cannot be merged: what it adds is not linear in the input, "
                        "so no weight can hold it");
    }
    return {};
}

Result<std::vector<std::string>> writeMerged(const checkpoint::BaseModelFiles& base,
                                             const adapter::Adapter& adapter, const fs::path& folder,
                                             const MergeOptions& options)
{
    const DType dtype = options.dtype.value_or(storedType(base));
    RANKSCOPE_TRY(OutputFolder out, OutputFolder::create(folder));
    std::vector<std::string> notes;
    std::error_code code;
    if (fs::is_directory(base.path(), code))
        RANKSCOPE_CHECK(copyFolder(base.path(), out.path(), dtype, notes));
    else
        RANKSCOPE_CHECK(describeGguf(base, out.path(), dtype, notes));
    RANKSCOPE_CHECK(writeWeights(base, adapter, out.path() / "model.safetensors", dtype, options));
    RANKSCOPE_CHECK(out.commit());
    return notes;
}

} // namespace rankscope::interchange

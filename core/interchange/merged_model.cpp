// SPDX-License-Identifier: Apache-2.0
#include "core/interchange/merged_model.h"

#include "core/base/files.h"
#include "core/checkpoint/safetensors.h"
#include "core/interchange/output_folder.h"
#include "core/text/gguf_tokenizer_json.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <cstdio>
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

/// Every tensor of the merged model, computed when it is asked for: one at a time is in memory.
class MergedTensors
{
public:
    MergedTensors(const checkpoint::BaseModelFiles& base, const adapter::Adapter& adapter, DType dtype)
        : m_base(base),
          m_adapter(adapter),
          m_dtype(dtype),
          m_sites(adaptedWeights(base, adapter))
    {
        for (const std::string& name : tensorNames(base))
            m_outlines.push_back({name, dtype, *base.shape(name)});
    }

    [[nodiscard]] const std::vector<checkpoint::TensorOutline>& outlines() const { return m_outlines; }

    Status append(const std::string& name, checkpoint::SafetensorsWriter& file) const
    {
        const auto site = m_sites.find(name);
        const auto* plain = m_base.plainView(name);
        if (site == m_sites.end() && plain && plain->dtype == m_dtype)
            return file.append(plain->bytes);
        RANKSCOPE_TRY(at::Tensor values, readTensor(m_base, name));
        if (site != m_sites.end())
            values.add_(adapter::denseDelta(m_adapter.delta(site->second.layer, site->second.module, 0))
                            .to(at::kCPU, at::kFloat));
        values = values.to(scalarType(m_dtype)).contiguous();
        return file.append({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
    }

private:
    const checkpoint::BaseModelFiles& m_base;
    const adapter::Adapter& m_adapter;
    DType m_dtype;
    Sites m_sites;
    std::vector<checkpoint::TensorOutline> m_outlines;
};

std::int64_t bytesOf(const checkpoint::TensorOutline& tensor)
{
    auto bytes = static_cast<std::int64_t>(checkpoint::blockBytes(tensor.dtype));
    for (const std::int64_t length : tensor.shape)
        bytes *= length;
    return bytes;
}

/// The tensors in their order, cut where the next one would take a file over the limit.
std::vector<std::vector<checkpoint::TensorOutline>>
shardsOf(const std::vector<checkpoint::TensorOutline>& tensors, std::int64_t limit)
{
    std::vector<std::vector<checkpoint::TensorOutline>> shards;
    std::int64_t size = 0;
    for (const auto& tensor : tensors) {
        const std::int64_t bytes = bytesOf(tensor);
        if (shards.empty() || size + bytes > limit) {
            shards.emplace_back();
            size = 0;
        }
        shards.back().push_back(tensor);
        size += bytes;
    }
    return shards;
}

/// "model-00002-of-00003.safetensors", as transformers names it.
std::string shardName(std::size_t shard, std::size_t count)
{
    if (count == 1)
        return "model.safetensors";
    char name[64];
    (void)std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1, count);
    return name;
}

Status writeJson(const fs::path& file, const base::OrderedJson& json)
{
    return base::writeFileAtomically(
        file, json.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n");
}

/// Which tensor lies in which file, for readers of a model in several.
Status writeIndex(const fs::path& folder, const std::vector<std::vector<checkpoint::TensorOutline>>& shards)
{
    std::int64_t bytes = 0;
    std::map<std::string, std::string> places;
    for (std::size_t shard = 0; shard < shards.size(); ++shard) {
        for (const auto& tensor : shards[shard]) {
            bytes += bytesOf(tensor);
            places[tensor.name] = shardName(shard, shards.size());
        }
    }
    base::OrderedJson index;
    index["metadata"]["total_size"] = bytes;
    index["weight_map"] = places;
    return writeJson(folder / "model.safetensors.index.json", index);
}

Status writeWeights(const MergedTensors& tensors, const fs::path& folder, const MergeOptions& options)
{
    const at::NoGradGuard guard;
    const auto shards = shardsOf(tensors.outlines(), options.shardBytes);
    const auto total = static_cast<std::int64_t>(tensors.outlines().size());
    std::int64_t done = 0;
    for (std::size_t shard = 0; shard < shards.size(); ++shard) {
        RANKSCOPE_TRY(auto file,
                      checkpoint::SafetensorsWriter::create(folder / shardName(shard, shards.size()),
                                                            shards[shard], {{"format", "pt"}}));
        for (const std::size_t place : file.order()) {
            if (options.progress && !options.progress(done, total))
                return fail("the export was cancelled");
            RANKSCOPE_CHECK(tensors.append(shards[shard][place].name, file));
            ++done;
        }
        RANKSCOPE_CHECK(file.commit());
    }
    if (shards.size() > 1)
        RANKSCOPE_CHECK(writeIndex(folder, shards));
    if (options.progress)
        (void)options.progress(total, total);
    return {};
}

const char* torchName(DType dtype)
{
    return dtype == DType::BF16 ? "bfloat16" : dtype == DType::F16 ? "float16" : "float32";
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
    RANKSCOPE_CHECK(writeWeights(MergedTensors(base, adapter, dtype), out.path(), options));
    RANKSCOPE_CHECK(out.commit());
    return notes;
}

} // namespace rankscope::interchange

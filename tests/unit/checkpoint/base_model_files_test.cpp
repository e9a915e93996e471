// SPDX-License-Identifier: Apache-2.0
// Base models: the GGUF that gguf's writer made, against the same weights under Hugging Face's names.
#include "core/base/files.h"
#include "core/base/hash.h"
#include "core/base/paths.h"
#include "core/checkpoint/base_model_files.h"
#include "core/checkpoint/gguf_model_files.h"
#include "core/checkpoint/safetensors.h"
#include "tests/unit/checkpoint/gguf_builder.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <numeric>

using namespace rankscope;
using namespace rankscope::checkpoint;
namespace fs = std::filesystem;

namespace
{

fs::path testData()
{
    const char* source = std::getenv("RANKSCOPE_SOURCE");
    return fs::path(source ? source : ".") / "tests" / "data";
}

constexpr const char* tinyConfig =
    R"({"model_type": "llama", "vocab_size": 32, "hidden_size": 256, "intermediate_size": 32,
  "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "tie_word_embeddings": true,
  "eos_token_id": 2})";

std::vector<float> valuesOf(const BaseModelFiles& model, const std::string& name, std::int64_t elements)
{
    std::vector<float> values(static_cast<std::size_t>(elements));
    const auto status = model.read(name, values);
    EXPECT_TRUE(status) << status.error().message;
    return values;
}

using checkpoint::test::GgufBuilder;

/// What is said of a one-layer llama, two heads of 16, whose file has one more key and one more tensor.
std::string errorOf(const GgufBuilder& key, const std::string& tensor = "output_norm.weight")
{
    GgufBuilder gguf;
    gguf.head(3, 2, 7 + (key.bytes.empty() ? 0 : 1)).text("general.architecture").put(8U).text("llama");
    for (const auto& [name, value] :
         {std::pair{"block_count", 1U}, std::pair{"context_length", 64U}, std::pair{"embedding_length", 32U},
          std::pair{"feed_forward_length", 32U}, std::pair{"attention.head_count", 2U}})
        gguf.text(std::string("llama.") + name).put(4U).put(value);
    gguf.text("llama.attention.layer_norm_rms_epsilon").put(6U).put(1e-5F);
    gguf.bytes += key.bytes;
    gguf.tensor("token_embd.weight", {32, 8}, 0, 0).tensor(tensor, {32}, 0, 1024).data(1024 + 128);
    const auto file = GgufFile::parse(std::as_bytes(std::span(gguf.bytes)), nullptr, "test");
    if (!file)
        return file.error().message;
    const auto model = GgufModelFiles::fromFile(*file, "test");
    return model ? std::string("no error") : model.error().message;
}

template <typename T>
std::string errorWithKey(const std::string& key, std::uint32_t type, T value)
{
    return errorOf(GgufBuilder().text("llama." + key).put(type).put(value));
}

/// A Hugging Face folder with the tiny model, removed at the end.
class Folder : public testing::Test
{
protected:
    void SetUp() override
    {
        m_folder =
            fs::path(testing::TempDir()) /
            (std::string("rankscope-model-") + testing::UnitTest::GetInstance()->current_test_info()->name());
        fs::remove_all(m_folder);
        fs::create_directories(m_folder);
        write("config.json", tinyConfig);
    }
    void TearDown() override { fs::remove_all(m_folder); }
    void write(const std::string& name, const std::string& content)
    {
        std::ofstream(m_folder / name, std::ios::binary) << content;
    }
    std::string errorNow()
    {
        const auto model = BaseModelFiles::open(m_folder);
        return model ? std::string("no error") : model.error().message;
    }

    fs::path m_folder;
    fs::path m_weights = testData() / "checkpoint" / "tiny-llama.safetensors";
};

} // namespace

TEST(GgufModel, GivesTheWeightsOfTheUnconvertedModel)
{
    const auto model = BaseModelFiles::open(testData() / "checkpoint" / "tiny-llama.gguf");
    ASSERT_TRUE(model) << model.error().message;
    const auto reference = SafetensorsFile::open(testData() / "checkpoint" / "tiny-llama.safetensors");
    ASSERT_TRUE(reference) << reference.error().message;
    ASSERT_EQ(reference->tensors().size(), 11U);
    for (const auto& [name, tensor] : reference->tensors()) {
        EXPECT_EQ((*model)->shape(name), tensor.shape) << name;
        std::vector<float> expected(static_cast<std::size_t>(tensor.elements()));
        ASSERT_TRUE(decode(tensor, expected));
        EXPECT_EQ(valuesOf(**model, name, tensor.elements()), expected) << name;
    }
    const ModelConfig& config = (*model)->config();
    EXPECT_EQ(config.architecture, "llama");
    EXPECT_EQ(config.vocabulary, 32);
    EXPECT_EQ(config.headDim, 8);
    EXPECT_EQ(config.kvHeads, 1);
    EXPECT_EQ(config.ropeTheta, 50000);
    EXPECT_FLOAT_EQ(static_cast<float>(config.normEpsilon), 1e-5F);
    EXPECT_TRUE(config.tiedEmbeddings);
    EXPECT_EQ(config.bosToken, 1);
    EXPECT_EQ(config.eosTokens, std::vector<std::int64_t>{2});

    // Bytes as they lie only where they lie as Hugging Face has them.
    const auto plain = [&](const char* name) { return (*model)->plainView(name) != nullptr; };
    EXPECT_TRUE(plain("model.embed_tokens.weight"));
    EXPECT_TRUE(plain("model.layers.0.self_attn.o_proj.weight"));
    EXPECT_FALSE(plain("model.layers.0.self_attn.k_proj.weight")); // F32, but its rows are permuted
    EXPECT_FALSE(plain("model.layers.0.mlp.up_proj.weight"));      // quantised
    EXPECT_FALSE(plain("lm_head.weight"));
    EXPECT_FALSE((*model)->shape("lm_head.weight"));
    std::vector<float> one(1);
    EXPECT_FALSE((*model)->read("lm_head.weight", one));
    EXPECT_FALSE((*model)->read("model.layers.0.self_attn.q_proj.weight", one));
    const std::vector<fs::path> itself{testData() / "checkpoint" / "tiny-llama.gguf"};
    EXPECT_EQ((*model)->identityFiles(), itself);
    EXPECT_EQ(identityHash(itself).value_or("an error"), base::sha256File(itself[0]).value_or("none"));
}

TEST(GgufModel, RecognisesTheRotaryScalingOfLlama31)
{
    const auto model = BaseModelFiles::open(testData() / "checkpoint" / "tiny-vocab.gguf");
    ASSERT_TRUE(model) << model.error().message;
    const ModelConfig& config = (*model)->config();
    ASSERT_TRUE(config.ropeScaling);
    EXPECT_EQ(config.ropeScaling->factor, 32);
    EXPECT_EQ(config.ropeScaling->lowFrequencyFactor, 1);
    EXPECT_EQ(config.ropeScaling->highFrequencyFactor, 4);
    EXPECT_EQ(config.ropeScaling->originalMaxPosition, 8192);
    EXPECT_EQ(config.vocabulary, 260);
    EXPECT_EQ(config.kvHeads, 1);
}

TEST(GgufModel, LeavesTheRowsOfQwenAsTheyAre)
{
    for (const std::string architecture : {"qwen2", "qwen3"}) {
        const auto model =
            BaseModelFiles::open(testData() / "checkpoint" / ("tiny-" + architecture + ".gguf"));
        ASSERT_TRUE(model) << model.error().message;
        EXPECT_EQ((*model)->config().architecture, architecture);
        EXPECT_FALSE((*model)->config().tiedEmbeddings);
        EXPECT_EQ((*model)->config().qkvBias, architecture == "qwen2");
        EXPECT_EQ((*model)->config().qkNorm, architecture == "qwen3");
        EXPECT_EQ((*model)->config().ropeTheta, 10000);
        std::vector<std::string> names{"self_attn.q_proj.weight", "self_attn.k_proj.weight"};
        for (const char* more : {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.q_norm.weight",
                                 "self_attn.k_norm.weight"}) {
            if ((*model)->shape(std::string("model.layers.0.") + more))
                names.emplace_back(more);
        }
        EXPECT_EQ(names.size(), 4U);
        for (const auto& name : names) {
            const TensorView* view = (*model)->plainView("model.layers.0." + name);
            ASSERT_TRUE(view) << name;
            const auto values = valuesOf(**model, "model.layers.0." + name, view->elements());
            for (std::size_t i = 0; i < values.size(); ++i)
                ASSERT_EQ(values[i], static_cast<float>(i)) << name;
        }
    }
}

/// Whatever is in the file and not computed would make it another model without a word.
TEST(GgufModel, RefusesTensorsThatAreNotComputed)
{
    EXPECT_EQ(errorOf({}), "no error");
    EXPECT_EQ(errorOf({}, "blk.0.ffn_norm.weight"), "no error");
    for (const char* name : {"blk.0.attn_q.bias", "blk.0.ffn_up.bias", "blk.0.post_attention_norm.weight",
                             "blk.1.ffn_norm.weight", "rope_factors_long.weight", "blk.0.attn_q_norm.weight",
                             "output_norm.bias", "anything", "model.norm.weight"}) {
        const std::string sentence = std::string("tensor ") + name + " is no part of the architecture llama";
        EXPECT_NE(errorOf({}, name).find(sentence), std::string::npos) << errorOf({}, name);
    }
}

TEST(GgufModel, RefusesKeysThatAskForAnotherComputation)
{
    constexpr std::uint32_t unsignedType = 4;
    constexpr std::uint32_t floatType = 6;
    constexpr std::uint32_t flagType = 7;
    for (const auto& [key, refused, harmless] : {std::tuple{"rope.scaling.factor", 4.0F, 1.0F},
                                                 {"rope.scale_linear", 4.0F, 1.0F},
                                                 {"attention.scale", 0.9F, 0.25F},
                                                 {"attention.output_scale", 0.5F, 1.0F},
                                                 {"logit_scale", 0.1F, 1.0F},
                                                 {"embedding_scale", 12.0F, 0.0F},
                                                 {"residual_scale", 0.2F, 1.0F},
                                                 {"rope.scaling.attn_factor", 1.2F, 1.0F},
                                                 {"attention.clamp_kqv", 8.0F, 0.0F},
                                                 {"attention.max_alibi_bias", 8.0F, 0.0F},
                                                 {"attn_logit_softcapping", 50.0F, 0.0F},
                                                 {"final_logit_softcapping", 30.0F, 0.0F}}) {
        const auto sentence = errorWithKey(key, floatType, refused);
        EXPECT_NE(sentence.find(std::string("llama.") + key), std::string::npos) << key << ": " << sentence;
        EXPECT_EQ(errorWithKey(key, floatType, harmless), "no error") << key;
        EXPECT_NE(errorWithKey(key, flagType, 'x'), "no error") << key; // no number
    }
    EXPECT_NE(errorWithKey("attention.causal", flagType, '\0').find("llama.attention.causal"),
              std::string::npos);
    EXPECT_EQ(errorWithKey("attention.causal", flagType, '\1'), "no error");
    EXPECT_NE(errorWithKey("use_parallel_residual", flagType, '\1'), "no error");
    EXPECT_EQ(errorWithKey("use_parallel_residual", flagType, '\0'), "no error");
    EXPECT_NE(errorWithKey("attention.sliding_window", unsignedType, 8U).find("window of 8 tokens"),
              std::string::npos);
    EXPECT_EQ(errorWithKey("attention.sliding_window", unsignedType, 64U), "no error");
    GgufBuilder type;
    type.text("llama.rope.scaling.type").put(8U);
    EXPECT_EQ(errorOf(GgufBuilder(type).text("linear")), "no error"); // by nothing, as none is named
    EXPECT_EQ(errorOf(GgufBuilder(type).text("none")), "no error");
    EXPECT_NE(errorOf(GgufBuilder(type).text("yarn")).find("type 'yarn'"), std::string::npos);
}

TEST(GgufModel, ReadsTheInstalledModel)
{
    ASSERT_TRUE(fs::exists(base::defaultModel()))
        << "the base model is missing: run ./setup or set RANKSCOPE_MODEL";
    const auto model = BaseModelFiles::open(base::defaultModel());
    ASSERT_TRUE(model) << model.error().message;
    const ModelConfig& config = (*model)->config();
    EXPECT_EQ(config.parameters(), 134'515'008);
    EXPECT_EQ(config.layers, 30);
    EXPECT_EQ(config.ropeTheta, 100000);
    EXPECT_EQ(config.eosTokens, std::vector<std::int64_t>{2});
    for (const LinearShape& linear : config.linears())
        EXPECT_EQ((*model)->shape(linear.path + ".weight"),
                  (std::vector<std::int64_t>{linear.out, linear.in}));
}

TEST_F(Folder, ReadsASingleFile)
{
    fs::copy_file(m_weights, m_folder / "model.safetensors");
    write("generation_config.json", R"({"eos_token_id": [2, 7]})");
    const auto model = BaseModelFiles::open(m_folder);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ((*model)->identityFiles(),
              (std::vector<fs::path>{m_folder / "config.json", m_folder / "generation_config.json",
                                     m_folder / "model.safetensors"}));
    EXPECT_EQ((*model)->config().eosTokens, (std::vector<std::int64_t>{2, 7}));
    const TensorView* view = (*model)->plainView("model.norm.weight");
    ASSERT_TRUE(view);
    const auto values = valuesOf(**model, "model.norm.weight", 256);
    EXPECT_EQ(std::memcmp(values.data(), view->bytes.data(), view->bytes.size()), 0);
}

TEST_F(Folder, ReadsShards)
{
    const auto whole = SafetensorsFile::open(m_weights);
    ASSERT_TRUE(whole);
    std::vector<TensorView> parts[2];
    base::Json map = base::Json::object();
    for (const auto& [name, tensor] : whole->tensors()) {
        const std::size_t part = map.size() % 2;
        parts[part].push_back(tensor);
        map[name] = part == 0 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
    }
    ASSERT_TRUE(writeSafetensors(m_folder / "model-00001-of-00002.safetensors", parts[0]));
    ASSERT_TRUE(writeSafetensors(m_folder / "model-00002-of-00002.safetensors", parts[1]));
    write("model.safetensors.index.json", base::Json{{"weight_map", map}}.dump());
    const auto model = BaseModelFiles::open(m_folder);
    ASSERT_TRUE(model) << model.error().message;
    for (const auto& [name, tensor] : whole->tensors()) {
        std::vector<float> expected(static_cast<std::size_t>(tensor.elements()));
        ASSERT_TRUE(decode(tensor, expected));
        EXPECT_EQ(valuesOf(**model, name, tensor.elements()), expected) << name;
    }
    // A change of any file that is read is a change of the model, one of another file is not.
    const std::vector<std::string> read{"config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "chat_template.jinja",
                                        "model-00001-of-00002.safetensors",
                                        "model-00002-of-00002.safetensors",
                                        "model.safetensors.index.json"};
    write("generation_config.json", "{}");
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "README.md"})
        write(name, "{}");
    std::vector<fs::path> expected;
    std::string list;
    for (const auto& name : read) {
        expected.push_back(m_folder / name);
        list += base::sha256File(expected.back()).value_or("none") + "  " + name + "\n";
    }
    const auto files = (*model)->identityFiles();
    EXPECT_EQ(files, expected);
    const std::string before = identityHash(files).value_or("an error");
    EXPECT_EQ(before, base::sha256(list));
    for (const auto& name : read) {
        const auto content = base::readFile(m_folder / name);
        ASSERT_TRUE(content);
        std::string changed = *content;
        changed.back() = static_cast<char>(changed.back() ^ 1);
        fs::remove(m_folder / name); // the mapped one stays as it was
        write(name, changed);
        EXPECT_NE(identityHash(files).value_or(before), before) << name;
        fs::remove(m_folder / name);
        write(name, *content);
        EXPECT_EQ(identityHash(files).value_or("an error"), before) << name;
    }
    write("README.md", "another");
    EXPECT_EQ(identityHash(files).value_or("an error"), before);
    fs::remove(m_folder / "model-00002-of-00002.safetensors");
    EXPECT_FALSE(identityHash(files));
}

TEST_F(Folder, DoesNotFollowShardNamesOutOfTheFolder)
{
    fs::copy_file(m_weights, m_folder.parent_path() / "rankscope-outside.safetensors",
                  fs::copy_options::overwrite_existing);
    for (const std::string name : {"../rankscope-outside.safetensors", "/etc/passwd", "..", ".", "", "a/b"}) {
        write("model.safetensors.index.json",
              base::Json{{"weight_map", {{"model.norm.weight", name}}}}.dump());
        EXPECT_NE(errorNow().find("leads out"), std::string::npos) << name;
    }
    fs::remove(m_folder.parent_path() / "rankscope-outside.safetensors");
    write("model.safetensors.index.json", R"({"weight_map": {"x": 5}})");
    EXPECT_NE(errorNow().find("not a text"), std::string::npos);
    write("model.safetensors.index.json", R"({})");
    EXPECT_NE(errorNow().find("weight_map"), std::string::npos);
    fs::copy_file(m_weights, m_folder / "a.safetensors");
    write("model.safetensors.index.json", R"({"weight_map": {"x": "a.safetensors"}})");
    EXPECT_NE(errorNow().find("does not hold x"), std::string::npos);
}

TEST_F(Folder, RefusesWeightsThatContradictTheConfig)
{
    fs::copy_file(m_weights, m_folder / "model.safetensors");
    auto config = *base::parseJson(tinyConfig);
    config["intermediate_size"] = 64U;
    write("config.json", config.dump());
    EXPECT_NE(errorNow().find("mlp.gate_proj.weight is [32, 256], but the model's config makes it [64, 256]"),
              std::string::npos)
        << errorNow();
    fs::remove(m_folder / "model.safetensors");
    EXPECT_NE(errorNow().find("neither model.safetensors"), std::string::npos);
    fs::remove(m_folder / "config.json");
    EXPECT_NE(errorNow().find("config.json"), std::string::npos);
}

/// As of a GGUF: what the config does not list is not computed.
TEST_F(Folder, RefusesTensorsThatAreNotComputed)
{
    const auto whole = SafetensorsFile::open(m_weights);
    ASSERT_TRUE(whole);
    const auto errorWith = [&](const std::string& name, const std::string& like) {
        std::vector<TensorView> tensors;
        for (const auto& item : whole->tensors())
            tensors.push_back(item.second);
        tensors.push_back(*whole->find(like));
        tensors.back().name = name;
        EXPECT_TRUE(writeSafetensors(m_folder / "model.safetensors", tensors));
        return errorNow();
    };
    const std::string norm = "model.norm.weight";
    for (const char* name :
         {"model.layers.0.self_attn.q_proj.bias", "model.layers.0.pre_feedforward_layernorm.weight",
          "model.layers.1.input_layernorm.weight", "lm_head.bias", "score.weight"}) {
        const auto sentence = errorWith(name, norm);
        EXPECT_NE(sentence.find(std::string("tensor ") + name + " is no part of"), std::string::npos)
            << sentence;
    }
    EXPECT_EQ(errorWith("model.layers.0.self_attn.rotary_emb.inv_freq", norm), "no error");
    EXPECT_EQ(errorWith("lm_head.weight", "model.embed_tokens.weight"), "no error");
    // One of a shard that the index does not name is loaded by others.
    fs::remove(m_folder / "weights.safetensors");
    errorWith("model.layers.0.self_attn.q_proj.bias", norm);
    fs::rename(m_folder / "model.safetensors", m_folder / "weights.safetensors");
    write("model.safetensors.index.json", R"({"weight_map": {"model.norm.weight": "weights.safetensors"}})");
    EXPECT_NE(errorNow().find("tensor model.layers.0.self_attn.q_proj.bias is no part of"), std::string::npos)
        << errorNow();
}

/// As bitsandbytes writes them: bytes, or pairs of 4-bit numbers in bytes, which only it can read.
TEST_F(Folder, RefusesWeightsThatAreNoNumbers)
{
    const auto whole = SafetensorsFile::open(m_weights);
    ASSERT_TRUE(whole);
    const std::string quantised = "model.layers.0.mlp.up_proj.weight"; // [32, 256]
    const std::vector<std::byte> bytes(32 * 256);
    for (const auto& [type, rows] : {std::pair{DType::I8, 32}, std::pair{DType::U8, 16}}) {
        std::vector<TensorView> tensors;
        for (const auto& [name, tensor] : whole->tensors()) {
            tensors.push_back(tensor);
            if (name == quantised)
                tensors.back() = {name, type, {rows, 256}, std::span(bytes).first(rows * 256), nullptr};
        }
        ASSERT_TRUE(writeSafetensors(m_folder / "model.safetensors", tensors));
        auto config = *base::parseJson(tinyConfig);
        write("config.json", config.dump());
        const std::string sentence = "tensor " + quantised + " is of type " + checkpoint::name(type) +
                                     ", but weights are read from F64, F32, F16 and BF16 alone";
        EXPECT_NE(errorNow().find(sentence), std::string::npos) << errorNow();
        EXPECT_EQ(errorNow().find("bfloat16"), std::string::npos) << errorNow();
        config["quantization_config"] = {{"quant_method", "bitsandbytes"}};
        write("config.json", config.dump());
        EXPECT_NE(errorNow().find("quantised (bitsandbytes in config.json): save the model in bfloat16"),
                  std::string::npos)
            << errorNow();
    }
}

/// The list of a config's tensors, against the folders that Transformers wrote: all of theirs, and no other.
TEST(BaseModelFiles, AnnouncesEveryTensorOfAModel)
{
    for (const char* name : {"llama", "llama3-scaled-rope", "qwen2", "qwen3", "phi3"}) {
        const fs::path folder = testData() / "tiny-models" / name;
        const auto model = BaseModelFiles::open(folder);
        ASSERT_TRUE(model) << model.error().message;
        EXPECT_TRUE((*model)->checkComplete()) << name;
        std::map<std::string, std::vector<std::int64_t>> written;
        for (const auto& entry : fs::directory_iterator(folder)) {
            if (entry.path().extension() != ".safetensors")
                continue;
            const auto file = SafetensorsFile::open(entry.path());
            ASSERT_TRUE(file) << file.error().message;
            for (const auto& [tensor, view] : file->tensors())
                written.emplace(tensor, view.shape);
        }
        const auto announced = (*model)->config().tensors();
        EXPECT_EQ(announced.size(), written.size()) << name;
        std::int64_t elements = 0;
        for (const auto& tensor : announced) {
            ASSERT_TRUE(written.contains(tensor.name)) << name << ": " << tensor.name;
            EXPECT_EQ(written[tensor.name], tensor.shape) << name << ": " << tensor.name;
            elements += std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1},
                                        std::multiplies<>());
        }
        EXPECT_EQ(elements, (*model)->config().parameters()) << name;
    }
}

TEST_F(Folder, SaysWhichTensorIsMissing)
{
    const auto whole = SafetensorsFile::open(m_weights);
    ASSERT_TRUE(whole);
    for (const auto& [missing, ignored] : whole->tensors()) {
        std::vector<TensorView> others;
        for (const auto& [name, tensor] : whole->tensors()) {
            if (name != missing)
                others.push_back(tensor);
        }
        ASSERT_TRUE(writeSafetensors(m_folder / "model.safetensors", others));
        const auto model = BaseModelFiles::open(m_folder);
        ASSERT_TRUE(model) << model.error().message;
        const auto status = (*model)->checkComplete();
        ASSERT_FALSE(status) << missing;
        EXPECT_NE(status.error().message.find("has no tensor " + missing + ";"), std::string::npos)
            << status.error().message;
    }
}

/// A head that is stored beside a tied embedding is used by some programs and not by others.
TEST_F(Folder, RefusesAnotherHeadThanTheTiedOne)
{
    const auto whole = SafetensorsFile::open(m_weights);
    ASSERT_TRUE(whole);
    const TensorView* embedding = whole->find("model.embed_tokens.weight");
    std::vector<std::byte> bytes(embedding->bytes.begin(), embedding->bytes.end());
    const auto errorWithHead = [&](TensorView head) {
        std::vector<TensorView> tensors;
        for (const auto& item : whole->tensors())
            tensors.push_back(item.second);
        head.name = "lm_head.weight";
        tensors.push_back(std::move(head));
        EXPECT_TRUE(writeSafetensors(m_folder / "model.safetensors", tensors));
        const auto model = BaseModelFiles::open(m_folder);
        EXPECT_TRUE(model) << model.error().message;
        const auto status = (*model)->checkComplete();
        return status ? std::string("no error") : status.error().message;
    };
    TensorView head = *embedding;
    head.bytes = bytes;
    EXPECT_EQ(errorWithHead(head), "no error");
    bytes.back() ^= std::byte{1};
    EXPECT_NE(errorWithHead(head).find("set tie_word_embeddings to false"), std::string::npos);
    EXPECT_NE(errorWithHead(*whole->find("model.norm.weight")), "no error");
    auto config = *base::parseJson(tinyConfig);
    config["tie_word_embeddings"] = false;
    write("config.json", config.dump());
    EXPECT_EQ(errorWithHead(head), "no error"); // the stored one it is
}

TEST(BaseModelFiles, OpensABareConfig)
{
    const auto model = BaseModelFiles::open(testData() / "configs" / "llama3-8b" / "config.json");
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ((*model)->config().parameters(), 8'030'261'248);
    EXPECT_FALSE((*model)->shape("model.norm.weight"));
    EXPECT_FALSE(BaseModelFiles::open("/no/such/model.gguf"));
    EXPECT_FALSE(BaseModelFiles::open("/dev/null"));
}

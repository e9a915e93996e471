// SPDX-License-Identifier: Apache-2.0
// Hugging Face folders, of a model in shards and of a PEFT adapter, with one damaged file each.
#include "core/checkpoint/base_model_files.h"
#include "core/checkpoint/peft_adapter.h"

#include "tests/fuzz/damage.h"
#include "tests/unit/record/temporary_folder.h"

#include <array>

using namespace rankscope;
using namespace rankscope::checkpoint;
using namespace rankscope::test;

namespace
{

void readTensor(const BaseModelFiles& model, const std::string& name,
                const std::vector<std::int64_t>& announced)
{
    const auto shape = model.shape(name);
    if (!shape)
        return;
    EXPECT_EQ(*shape, announced) << name;
    std::vector<float> values(
        static_cast<std::size_t>((TensorView{name, DType::F32, *shape, {}, nullptr}).elements()));
    if (const auto status = model.read(name, values); !status)
        expectSentence(status.error());
    if (const TensorView* view = model.plainView(name)) {
        EXPECT_EQ(view->bytes.size(), values.size() * blockBytes(view->dtype));
    }
}

/// Whatever the model has of the tensors that its config announces is of the announced shape and readable.
void tryModel(const std::filesystem::path& folder)
{
    const auto model = BaseModelFiles::open(folder);
    if (!model)
        return expectSentence(model.error());
    for (const LinearShape& linear : (*model)->config().linears())
        readTensor(**model, linear.path + ".weight", {linear.out, linear.in});
    const auto& config = (*model)->config();
    readTensor(**model, "model.embed_tokens.weight", {config.vocabulary, config.hidden});
    for (const std::int64_t token : config.eosTokens)
        EXPECT_TRUE(token >= 0 && token < config.vocabulary);
}

void tryAdapter(const std::filesystem::path& folder)
{
    const auto adapter = PeftAdapter::open(folder);
    if (!adapter)
        return expectSentence(adapter.error());
    EXPECT_TRUE(adapter->config.is_object());
    for (const auto& [name, tensor] : adapter->weights.tensors()) {
        std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
        if (const auto status = decode(tensor, values); !status)
            expectSentence(status.error());
    }
}

class ModelFolder : public testing::Test
{
protected:
    void SetUp() override
    {
        std::filesystem::copy(sourcePath("tests/data/tiny-models/qwen2"), m_folder.path());
        put(m_folder / "generation_config.json", R"({"eos_token_id": [1, 2], "do_sample": true})");
        const auto model = BaseModelFiles::open(m_folder.path());
        ASSERT_TRUE(model) << model.error().message;
    }
    /// The folder with these bytes in place of one file, which is itself again afterwards.
    [[nodiscard]] Attempt with(const std::string& file)
    {
        return [this, path = m_folder / file](const std::string& bytes) {
            put(path, bytes);
            tryModel(m_folder.path());
        };
    }
    [[nodiscard]] std::string bytesOf(const std::string& file) const
    {
        return base::readFile(m_folder / file).value_or("");
    }

    const ModestMemory m_modest;
    TemporaryFolder m_folder;
};

class AdapterFolder : public testing::Test
{
protected:
    void SetUp() override
    {
        constexpr std::array<float, 8> numbers{1, 2, 3, 4, 5, 6, 7, 8};
        std::vector<TensorView> tensors;
        for (const char* name : {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
                                 "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"})
            tensors.push_back({name, DType::F32, {2, 4}, std::as_bytes(std::span(numbers)), nullptr});
        const base::OrderedJson config = {
            {"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 4}, {"target_modules", {"q_proj"}}};
        ASSERT_TRUE(writePeftAdapter(m_folder.path(), config, tensors));
        ASSERT_TRUE(PeftAdapter::open(m_folder.path()));
    }

    const ModestMemory m_modest;
    TemporaryFolder m_folder;
};

} // namespace

TEST_F(ModelFolder, Index)
{
    const std::string name = "model.safetensors.index.json";
    const std::string bytes = bytesOf(name);
    truncate(bytes, 11, with(name));
    damage(bytes, bytes.size(), 1500, with(name));
    damageValues(*base::parseJson(bytes), 1000,
                 [&](const base::Json& changed) { with(name)(changed.dump()); });
}

TEST_F(ModelFolder, ShardNamesStayInTheFolder)
{
    auto index = *base::parseJson(bytesOf("model.safetensors.index.json"));
    auto& shard = index["weight_map"].begin().value();
    const std::string real = shard.get<std::string>();
    for (const std::string& name :
         {std::string(), std::string("."), std::string(".."), "../" + real, "./" + real, "/" + real,
          real + std::string(1, '\0'), std::string("config.json"), std::string("missing.safetensors"),
          std::string(5000, 'x')}) {
        shard = name;
        put(m_folder / "model.safetensors.index.json", index.dump());
        const auto model = BaseModelFiles::open(m_folder.path());
        ASSERT_FALSE(model) << name;
    }
}

TEST_F(ModelFolder, Shard)
{
    const std::string name = "model-00002-of-00004.safetensors";
    const std::string bytes = bytesOf(name);
    truncate(bytes, 61, with(name));
    damage(bytes, bytes.size(), 1000, with(name));
    damage(bytes, 600, 2000, with(name)); // the header
}

TEST_F(ModelFolder, Config)
{
    const std::string bytes = bytesOf("config.json");
    truncate(bytes, 3, with("config.json"));
    damage(bytes, bytes.size(), 1500, with("config.json"));
    damageValues(*base::parseJson(bytes), 1500,
                 [&](const base::Json& changed) { with("config.json")(changed.dump()); });
}

TEST_F(ModelFolder, GenerationConfig)
{
    const std::string bytes = bytesOf("generation_config.json");
    truncate(bytes, 1, with("generation_config.json"));
    damage(bytes, bytes.size(), 1000, with("generation_config.json"));
    damageValues(*base::parseJson(bytes), 500,
                 [&](const base::Json& changed) { with("generation_config.json")(changed.dump()); });
}

TEST_F(AdapterFolder, ConfigAndWeights)
{
    for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
        const std::string bytes = base::readFile(m_folder / name).value_or("");
        ASSERT_FALSE(bytes.empty());
        const auto attempt = [&](const std::string& damaged) {
            put(m_folder / name, damaged);
            tryAdapter(m_folder.path());
        };
        truncate(bytes, 1, attempt);
        damage(bytes, bytes.size(), 8000, attempt);
        put(m_folder / name, bytes);
    }
}

TEST_F(AdapterFolder, FilesThatAreMissingOrFolders)
{
    for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
        const std::string bytes = base::readFile(m_folder / name).value_or("");
        std::filesystem::remove(m_folder / name);
        EXPECT_FALSE(PeftAdapter::open(m_folder.path()));
        std::filesystem::create_directory(m_folder / name);
        EXPECT_FALSE(PeftAdapter::open(m_folder.path()));
        std::filesystem::remove(m_folder / name);
        put(m_folder / name, bytes);
        EXPECT_TRUE(PeftAdapter::open(m_folder.path()));
    }
}

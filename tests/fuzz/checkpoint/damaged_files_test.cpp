// SPDX-License-Identifier: Apache-2.0
// Every truncation and many random changes of small files: each gives one error or a result that can be used,
// never a crash, a hang or a read outside the file (run with the asan preset to see the last). Seeds are
// fixed.
#include "core/checkpoint/gguf_model_files.h"
#include "core/checkpoint/model_config.h"
#include "core/checkpoint/safetensors.h"
#include "core/text/bpe_tokenizer.h"

#include "tests/fuzz/damage.h"

using namespace rankscope;
using namespace rankscope::checkpoint;
using namespace rankscope::test;

namespace
{

/// A buffer of exactly the file's size, so that AddressSanitizer sees a read past it.
struct Exact {
    explicit Exact(const std::string& bytes) : memory(new std::byte[bytes.size()]), size(bytes.size())
    {
        std::memcpy(memory.get(), bytes.data(), bytes.size());
    }
    std::shared_ptr<std::byte[]> memory;
    std::size_t size;
    [[nodiscard]] std::span<const std::byte> span() const { return {memory.get(), size}; }
};

void decodeAll(const std::map<std::string, TensorView>& tensors)
{
    for (const auto& [name, tensor] : tensors) {
        std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
        if (const auto status = decode(tensor, values); !status)
            expectSentence(status.error());
    }
}

void trySafetensors(const std::string& bytes)
{
    const Exact exact(bytes);
    const auto file = SafetensorsFile::parse(exact.span(), exact.memory, "damaged");
    if (!file)
        return expectSentence(file.error());
    decodeAll(file->tensors());
}

void tryTokenizer(const Result<std::shared_ptr<const text::Tokenizer>>& tokenizer)
{
    if (!tokenizer)
        return expectSentence(tokenizer.error());
    const auto encoding =
        (*tokenizer)->encode("In 1984 the 42 routers don't merge naïve 日本\xFF <|end|><|eot_id|>\n\n");
    (*tokenizer)->decode(encoding.ids, false);
}

void tryGguf(const std::string& bytes)
{
    const Exact exact(bytes);
    const auto file = GgufFile::parse(exact.span(), exact.memory, "damaged");
    if (!file)
        return expectSentence(file.error());
    decodeAll(file->tensors());
    const auto model = GgufModelFiles::fromFile(*file, "damaged");
    if (!model)
        expectSentence(model.error());
    else
        for (const char* name : {"model.layers.0.self_attn.q_proj.weight", "model.norm.weight"}) {
            if (const auto shape = (*model)->shape(name)) {
                std::vector<float> values(
                    static_cast<std::size_t>((TensorView{name, DType::F32, *shape, {}, nullptr}).elements()));
                EXPECT_TRUE((*model)->read(name, values));
            }
        }
    tryTokenizer(text::BpeTokenizer::fromGguf(*file));
}

void tryTokenizerJson(const std::string& bytes)
{
    const auto json = base::parseJson(bytes);
    if (!json)
        return expectSentence(json.error());
    tryTokenizer(text::BpeTokenizer::fromJson(*json));
}

void tryConfig(const std::string& bytes)
{
    const auto json = base::parseJson(bytes);
    if (!json)
        return expectSentence(json.error());
    const auto config = ModelConfig::fromHuggingFace(*json);
    if (!config)
        return expectSentence(config.error());
    EXPECT_GT(config->parameters(), 0);
}

} // namespace

TEST(DamagedFiles, Safetensors)
{
    const ModestMemory modest;
    const std::string bytes = contentOf("tests/data/checkpoint/plain.safetensors");
    ASSERT_FALSE(bytes.empty());
    truncate(bytes, 1, trySafetensors);
    damage(bytes, bytes.size(), 20000, trySafetensors);
}

TEST(DamagedFiles, Gguf)
{
    const ModestMemory modest;
    const std::string bytes = contentOf("tests/data/checkpoint/tiny-vocab.gguf");
    ASSERT_FALSE(bytes.empty());
    truncate(bytes, 1, tryGguf);
    damage(bytes, bytes.size(), 4000, tryGguf);
    damage(bytes, 500, 4000, tryGguf); // the numbers of the model
    const std::string model = contentOf("tests/data/checkpoint/tiny-llama.gguf");
    truncate(model, 97, tryGguf);
    damage(model, 1600, 3000, tryGguf);
}

/// Names and texts end up in messages, and these in journals and JSON: neither takes bytes that are not
/// UTF-8.
TEST(DamagedFiles, GgufTextsThatAreNoText)
{
    const std::string bytes = contentOf("tests/data/checkpoint/tiny-vocab.gguf");
    for (const std::string& name :
         {std::string("general.architecture"), std::string("llama"), std::string("tokenizer.ggml.pre")}) {
        for (const char* wrong : {"\xFF", "\x80", "\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80"}) {
            std::string changed = bytes;
            const auto at = changed.find(name);
            ASSERT_NE(at, std::string::npos);
            changed.replace(at, std::strlen(wrong), wrong);
            const Exact exact(changed);
            const auto file = GgufFile::parse(exact.span(), exact.memory, "damaged");
            ASSERT_FALSE(file) << name;
            expectSentence(file.error());
        }
        std::string changed = bytes;
        changed.replace(changed.find(name), 2, "é"); // another name, but a text
        const Exact exact(changed);
        EXPECT_TRUE(GgufFile::parse(exact.span(), exact.memory, "damaged"));
    }
}

TEST(DamagedFiles, TokenizerJson)
{
    const ModestMemory modest;
    for (const char* name : {"llama3", "phi4"}) {
        const std::string bytes = contentOf(std::string("tests/data/tokenizer/") + name + ".json");
        ASSERT_FALSE(bytes.empty());
        truncate(bytes, 7, tryTokenizerJson);
        damage(bytes, bytes.size(), 1500, tryTokenizerJson);
        damage(bytes, 1200, 1500, tryTokenizerJson); // added tokens, normalizer, patterns
    }
}

TEST(DamagedFiles, ModelConfig)
{
    const ModestMemory modest;
    for (const char* name : {"llama3.2-3b", "deberta-v3-base"}) {
        const std::string bytes = contentOf(std::string("tests/data/configs/") + name + "/config.json");
        ASSERT_FALSE(bytes.empty());
        truncate(bytes, 1, tryConfig);
        damage(bytes, bytes.size(), 10000, tryConfig);
    }
}

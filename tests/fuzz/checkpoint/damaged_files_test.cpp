// SPDX-License-Identifier: Apache-2.0
// Every truncation and many random changes of small files: each gives one error or a result that can be used,
// never a crash, a hang or a read outside the file (run with the asan preset to see the last). Seeds are
// fixed.
#include "core/base/files.h"
#include "core/base/json.h"
#include "core/checkpoint/gguf_model_files.h"
#include "core/checkpoint/model_config.h"
#include "core/checkpoint/safetensors.h"
#include "core/text/bpe_tokenizer.h"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <random>

using namespace rankscope;
using namespace rankscope::checkpoint;

namespace
{

std::string contentOf(const std::string& file)
{
    const char* source = std::getenv("RANKSCOPE_SOURCE");
    const auto content =
        base::readFile(std::filesystem::path(source ? source : ".") / "tests" / "data" / file);
    EXPECT_TRUE(content) << content.error().message;
    return content.value_or("");
}

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

void expectSentence(const Error& error)
{
    EXPECT_GT(error.message.size(), 10U);
}

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

void truncate(const std::string& bytes, std::size_t step,
              const std::function<void(const std::string&)>& attempt)
{
    for (std::size_t size = 0; size < bytes.size(); size += step)
        attempt(bytes.substr(0, size));
}

/// One to four changes: a bit, a byte, or eight bytes with the largest and smallest numbers.
void damage(const std::string& bytes, std::size_t within, int rounds,
            const std::function<void(const std::string&)>& attempt)
{
    std::mt19937_64 random(20261122);
    const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
    for (int round = 0; round < rounds; ++round) {
        std::string changed = bytes;
        for (std::size_t change = 0; change <= below(4); ++change) {
            const std::size_t at = below(std::min(within, changed.size()));
            switch (below(4)) {
            case 0:
                changed[at] = static_cast<char>(changed[at] ^ (1 << below(8)));
                break;
            case 1:
                changed[at] = static_cast<char>(below(256));
                break;
            case 2: {
                const std::uint64_t extremes[] = {
                    0, 1, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, ~std::uint64_t{0}};
                std::memcpy(changed.data() + at, &extremes[below(6)],
                            std::min<std::size_t>(8, changed.size() - at));
                break;
            }
            default:
                changed[at] = "0123456789\"{}[],:-"[below(18)];
            }
        }
        attempt(changed);
    }
}

} // namespace

TEST(DamagedFiles, Safetensors)
{
    const std::string bytes = contentOf("checkpoint/plain.safetensors");
    ASSERT_FALSE(bytes.empty());
    truncate(bytes, 1, trySafetensors);
    damage(bytes, bytes.size(), 20000, trySafetensors);
}

TEST(DamagedFiles, Gguf)
{
    const std::string bytes = contentOf("checkpoint/tiny-vocab.gguf");
    ASSERT_FALSE(bytes.empty());
    truncate(bytes, 1, tryGguf);
    damage(bytes, bytes.size(), 4000, tryGguf);
    damage(bytes, 500, 4000, tryGguf); // the numbers of the model
    const std::string model = contentOf("checkpoint/tiny-llama.gguf");
    truncate(model, 97, tryGguf);
    damage(model, 1600, 3000, tryGguf);
}

TEST(DamagedFiles, TokenizerJson)
{
    for (const char* name : {"llama3", "phi4"}) {
        const std::string bytes = contentOf(std::string("tokenizer/") + name + ".json");
        ASSERT_FALSE(bytes.empty());
        truncate(bytes, 7, tryTokenizerJson);
        damage(bytes, bytes.size(), 1500, tryTokenizerJson);
        damage(bytes, 1200, 1500, tryTokenizerJson); // added tokens, normalizer, patterns
    }
}

TEST(DamagedFiles, ModelConfig)
{
    for (const char* name : {"llama3.2-3b", "deberta-v3-base"}) {
        const std::string bytes = contentOf(std::string("configs/") + name + "/config.json");
        ASSERT_FALSE(bytes.empty());
        truncate(bytes, 1, tryConfig);
        damage(bytes, bytes.size(), 10000, tryConfig);
    }
}

// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/base_model_files.h"

#include "core/checkpoint/gguf_model_files.h"
#include "core/checkpoint/hugging_face_model_files.h"

namespace rankscope::checkpoint
{
namespace
{

std::string describe(const std::vector<std::int64_t>& shape)
{
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    return text + "]";
}

} // namespace

Result<std::unique_ptr<BaseModelFiles>> BaseModelFiles::open(const std::filesystem::path& path)
{
    std::error_code code;
    const auto status = std::filesystem::status(path, code);
    if (!std::filesystem::exists(status))
        return fail("the model " + path.string() + " does not exist");
    if (std::filesystem::is_directory(status))
        return HuggingFaceModelFiles::openFolder(path);
    if (path.extension() == ".gguf")
        return GgufModelFiles::open(path);
    if (path.extension() == ".json")
        return HuggingFaceModelFiles::openConfig(path);
    return fail("the model " + path.string() +
                " is neither a .gguf file nor a folder with config.json nor a config.json itself");
}

Status BaseModelFiles::checkShapes() const
{
    const auto expect = [&](const std::string& name, const std::vector<std::int64_t>& expected) -> Status {
        const auto actual = shape(name);
        if (actual && *actual != expected)
            return fail("tensor " + name + " is " + describe(*actual) + ", but the model's config makes it " +
                        describe(expected));
        return {};
    };
    for (const LinearShape& linear : m_config.linears()) {
        RANKSCOPE_CHECK(expect(linear.path + ".weight", {linear.out, linear.in}));
        RANKSCOPE_CHECK(expect(linear.path + ".bias", {linear.out}));
    }
    if (m_config.architecture == "deberta-v2")
        return expect("deberta.embeddings.word_embeddings.weight", {m_config.vocabulary, m_config.hidden});
    RANKSCOPE_CHECK(expect("model.embed_tokens.weight", {m_config.vocabulary, m_config.hidden}));
    RANKSCOPE_CHECK(expect("lm_head.weight", {m_config.vocabulary, m_config.hidden}));
    RANKSCOPE_CHECK(expect("model.norm.weight", {m_config.hidden}));
    for (std::int64_t layer = 0; layer < m_config.layers; ++layer) {
        const std::string path = "model.layers." + std::to_string(layer) + ".";
        RANKSCOPE_CHECK(expect(path + "input_layernorm.weight", {m_config.hidden}));
        RANKSCOPE_CHECK(expect(path + "post_attention_layernorm.weight", {m_config.hidden}));
        RANKSCOPE_CHECK(expect(path + "self_attn.q_norm.weight", {m_config.headDim}));
        RANKSCOPE_CHECK(expect(path + "self_attn.k_norm.weight", {m_config.headDim}));
    }
    return {};
}

} // namespace rankscope::checkpoint

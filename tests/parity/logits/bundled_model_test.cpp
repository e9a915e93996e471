// SPDX-License-Identifier: Apache-2.0
// The model that the product ships with, against Transformers on the same file in float32
// (make_reference.py).
#include "core/base/json.h"
#include "core/base/paths.h"
#include "core/model/decoder.h"
#include "core/text/tokenizer.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <cstdlib>
#include <gtest/gtest.h>

namespace rankscope::model
{
namespace
{

struct Prompt {
    std::string text;
    std::vector<std::int32_t> ids;
    std::vector<std::int64_t> positions;
    at::Tensor logits;             ///< [positions, sample]
    at::Tensor logSumExp;          ///< [positions]
    at::Tensor argmax;             ///< [positions]
    double bfloat16Difference = 0; ///< of Transformers in bfloat16, root mean square behind the first token
};

std::unique_ptr<Decoder> load(at::ScalarType dtype)
{
    const auto files = checkpoint::BaseModelFiles::open(base::defaultModel());
    EXPECT_TRUE(files) << files.error().message;
    if (!files)
        return nullptr;
    Decoder::Options options;
    options.dtype = dtype;
    auto model = Decoder::load(**files, options);
    EXPECT_TRUE(model) << model.error().message;
    return model ? std::move(*model) : nullptr;
}

class BundledModel : public testing::Test
{
protected:
    static void SetUpTestSuite()
    {
        const auto reference = base::readJsonFile(std::filesystem::path(std::getenv("RANKSCOPE_SOURCE")) /
                                                  "tests/parity/logits/reference.json");
        ASSERT_TRUE(reference) << reference.error().message;
        sample = at::tensor(reference->at("sample").get<std::vector<std::int64_t>>(), at::kLong);
        for (const auto& entry : reference->at("prompts")) {
            Prompt prompt;
            prompt.text = entry.at("text");
            prompt.ids = entry.at("ids").get<std::vector<std::int32_t>>();
            prompt.positions = entry.at("positions").get<std::vector<std::int64_t>>();
            std::vector<at::Tensor> rows;
            for (const auto& row : entry.at("logits"))
                rows.push_back(at::tensor(row.get<std::vector<float>>()).unsqueeze(0));
            prompt.logits = at::cat(rows);
            prompt.logSumExp = at::tensor(entry.at("logSumExp").get<std::vector<float>>());
            prompt.argmax = at::tensor(entry.at("argmax").get<std::vector<std::int64_t>>(), at::kLong);
            if (entry.at("bfloat16Difference").is_number())
                prompt.bfloat16Difference = entry.at("bfloat16Difference");
            prompts.push_back(std::move(prompt));
        }
        ASSERT_GE(prompts.size(), 12U);
        at::set_num_threads(2);
        model = load(at::kFloat);
    }
    static void TearDownTestSuite() { model.reset(); }
    void SetUp() override { ASSERT_TRUE(model); }

    /// Our logits [positions, vocabulary], from the hidden states of all tokens of the prompt.
    static at::Tensor at(const Decoder& decoder, const Prompt& prompt, const at::Tensor& hidden)
    {
        return decoder.logits(hidden.index_select(0, at::tensor(prompt.positions, at::kLong)));
    }
    static void expectEqual(const Prompt& prompt, const at::Tensor& logits)
    {
        constexpr double tolerance = 2e-3;
        EXPECT_LT((logits.index_select(1, sample) - prompt.logits).abs().max().item<double>(), tolerance)
            << prompt.text;
        EXPECT_LT((logits.logsumexp(-1) - prompt.logSumExp).abs().max().item<double>(), tolerance)
            << prompt.text;
        EXPECT_TRUE(logits.argmax(-1).equal(prompt.argmax)) << prompt.text;
    }

    static inline std::unique_ptr<Decoder> model;
    static inline at::Tensor sample;
    static inline std::vector<Prompt> prompts;
    at::NoGradGuard m_noGradients;
};

TEST_F(BundledModel, TokensAreThoseOfThePublishedTokenizer)
{
    const auto tokenizer = text::Tokenizer::open(base::defaultModel());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    for (const auto& prompt : prompts) {
        auto ids = (*tokenizer)->encode(prompt.text).ids;
        ids.resize(std::min<std::size_t>(ids.size(), 600)); // as the reference cuts its longest
        EXPECT_EQ(ids, prompt.ids) << prompt.text;
    }
}

TEST_F(BundledModel, LogitsAreThoseOfTransformers)
{
    for (const auto& prompt : prompts)
        expectEqual(prompt, at(*model, prompt, model->forward(makePass({prompt.ids}, false))));
}

TEST_F(BundledModel, RowsOfOnePassDoNotSeeEachOther)
{
    std::vector<std::vector<std::int32_t>> rows;
    for (const auto& prompt : prompts)
        rows.push_back(prompt.ids);
    rows.pop_back(); // the long one has had its turn
    const Pass pass = makePass(rows, false);
    const at::Tensor hidden = model->forward(pass);
    for (std::size_t row = 0; row < rows.size(); ++row)
        expectEqual(prompts[row],
                    at(*model, prompts[row], hidden.slice(0, pass.starts[row], pass.starts[row + 1])));
}

TEST_F(BundledModel, DecodingWithTheCacheGivesTheSameLogits)
{
    const auto& config = model->config();
    // Rows of different length advance together; a row that has come to its end leaves the cache.
    std::vector<std::size_t> active{0, 1, 3, 4};
    KvCache cache(config.layers, static_cast<std::int64_t>(active.size()), 128, config.kvHeads,
                  config.headDim, at::kFloat, at::kCPU);
    std::vector<std::vector<at::Tensor>> hidden(prompts.size());
    std::vector<std::size_t> given(prompts.size(), 0);
    while (!active.empty()) {
        std::vector<std::vector<std::int32_t>> rows;
        for (const std::size_t i : active) {
            const auto& ids = prompts[i].ids;
            const std::size_t count = given[i] == 0 ? 1 + ids.size() / 2 : 1;
            rows.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(given[i]),
                              ids.begin() + static_cast<std::ptrdiff_t>(given[i] + count));
            given[i] += count;
        }
        Pass pass = makePass(rows, false);
        pass.cache = &cache;
        const at::Tensor out = model->forward(pass);
        std::vector<std::size_t> still;
        std::vector<std::int64_t> kept;
        for (std::size_t row = 0; row < active.size(); ++row) {
            hidden[active[row]].push_back(out.slice(0, pass.starts[row], pass.starts[row + 1]));
            if (given[active[row]] < prompts[active[row]].ids.size()) {
                still.push_back(active[row]);
                kept.push_back(static_cast<std::int64_t>(row));
            }
        }
        if (!still.empty() && still.size() < active.size())
            cache.select(kept);
        active = std::move(still);
    }
    for (const std::size_t i : {0, 1, 3, 4})
        expectEqual(prompts[i], at(*model, prompts[i], at::cat(hidden[i])));
}

TEST_F(BundledModel, BFloat16IsNear)
{
    const auto half = load(at::kBFloat16);
    ASSERT_TRUE(half);
    double ours = 0;
    double theirs = 0;
    for (const auto& prompt : prompts) {
        const at::Tensor hidden = half->forward(makePass({prompt.ids}, false));
        ASSERT_EQ(hidden.scalar_type(), at::kBFloat16);
        const at::Tensor logits = at(*half, prompt, hidden);
        ASSERT_EQ(logits.scalar_type(), at::kFloat);
        EXPECT_TRUE(logits.isfinite().all().item<bool>());
        if (prompt.ids.size() == 1)
            continue;
        const at::Tensor difference = (logits.index_select(1, sample) - prompt.logits).slice(0, 1);
        const double distance = difference.pow(2).mean().sqrt().item<double>();
        EXPECT_LT(distance, 0.1 * prompt.logits.std().item<double>()) << prompt.text;
        ours += distance;
        theirs += prompt.bfloat16Difference;
    }
    // Rounding has its luck on a few positions; over all prompts ours is not farther away than the
    // reference's own.
    EXPECT_LT(ours, 1.5 * theirs);
}

} // namespace
} // namespace rankscope::model

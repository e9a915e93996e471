// SPDX-License-Identifier: Apache-2.0
// Where the loss is taken, and that it is the plain definition: -log softmax of the full logits at the
// answers.
#include "core/train/supervised.h"
#include "kernels/loss_head/op.h"
#include "tests/unit/train/small_llama.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

namespace rankscope::train
{
namespace
{

text::Example example(std::vector<text::TokenId> ids, std::int64_t promptLength, std::int32_t task)
{
    text::Example made;
    made.ids = std::move(ids);
    made.promptLength = promptLength;
    made.task = task;
    return made;
}

std::vector<std::int64_t> values(const at::Tensor& tensor)
{
    const at::Tensor whole = tensor.contiguous();
    return {whole.const_data_ptr<std::int64_t>(), whole.const_data_ptr<std::int64_t>() + whole.numel()};
}

TEST(Supervised, PositionsAreThoseBeforeEachTokenOfAnAnswer)
{
    const auto a = example({10, 11, 12, 13, 14}, 3, 0);
    const auto b = example({20, 21, 22}, 2, 1);
    const auto supervised = makeSupervisedPass({&a, &b}, {.training = true}, at::kCPU);
    // The last token of a row is a label only.
    EXPECT_EQ(values(supervised.pass.ids), (std::vector<std::int64_t>{10, 11, 12, 13, 20, 21}));
    EXPECT_EQ(supervised.pass.starts, (std::vector<std::int64_t>{0, 4, 6}));
    EXPECT_EQ(supervised.pass.positions, (std::vector<std::int64_t>{0, 1, 2, 3, 0, 1}));
    EXPECT_EQ(supervised.pass.tasks, (std::vector<std::int64_t>{0, 1}));
    EXPECT_EQ(supervised.pass.promptLengths, (std::vector<std::int64_t>{3, 2}));
    EXPECT_TRUE(supervised.pass.training);
    EXPECT_EQ(values(supervised.positions), (std::vector<std::int64_t>{2, 3, 5}));
    EXPECT_EQ(values(supervised.labels), (std::vector<std::int64_t>{13, 14, 22}));
    EXPECT_EQ(values(supervised.task), (std::vector<std::int64_t>{0, 0, 1}));
    EXPECT_EQ(supervisedTokens({&a, &b}), 3);
}

TEST(Supervised, WholeRowsComputeTheirLastTokenToo)
{
    const auto a = example({10, 11, 12, 13, 14}, 3, 0);
    const auto b = example({20, 21, 22}, 2, 1);
    const auto supervised = makeSupervisedPass({&a, &b}, {.wholeRows = true}, at::kCPU);
    EXPECT_EQ(values(supervised.pass.ids), (std::vector<std::int64_t>{10, 11, 12, 13, 14, 20, 21, 22}));
    EXPECT_EQ(supervised.pass.starts, (std::vector<std::int64_t>{0, 5, 8}));
    EXPECT_EQ(supervised.pass.promptLengths, (std::vector<std::int64_t>{3, 2}));
    EXPECT_FALSE(supervised.pass.training);
    EXPECT_EQ(values(supervised.positions), (std::vector<std::int64_t>{2, 3, 6}));
    EXPECT_EQ(values(supervised.labels), (std::vector<std::int64_t>{13, 14, 22}));
}

TEST(Supervised, ARowWithoutAPromptHasNoLabelForItsFirstToken)
{
    const auto bare = example({7, 8, 9}, 0, 0);
    const auto supervised = makeSupervisedPass({&bare}, {}, at::kCPU);
    EXPECT_EQ(values(supervised.positions), (std::vector<std::int64_t>{0, 1}));
    EXPECT_EQ(values(supervised.labels), (std::vector<std::int64_t>{8, 9}));
    EXPECT_EQ(supervisedTokens({&bare}), 2);
}

TEST(Supervised, LossOnAnswersIsTheDefinition)
{
    const auto config = tests::smallLlama(300);
    model::Decoder::Options options;
    options.dtype = at::kDouble;
    const auto decoder = model::Decoder::random(config, 11, options);
    const std::vector<text::Example> rows{example({5, 9, 200, 31, 7, 299}, 2, 0), example({1, 2, 3}, 2, 0),
                                          example({0, 44, 45, 46, 47, 48, 49, 50}, 7, 0)};
    const auto supervised = makeSupervisedPass({&rows[0], &rows[1], &rows[2]}, {.training = true}, at::kCPU);
    const at::Tensor hidden = decoder->forward(supervised.pass).index_select(0, supervised.positions);
    const auto [sum, each] = kernels::lossHead(hidden, decoder->outputEmbedding(), supervised.labels);

    std::vector<double> expected;
    for (const auto& row : rows) {
        const at::Tensor all = decoder->logits(decoder->forward(model::makePass({row.ids}, true)));
        const at::Tensor logProbability = all.log_softmax(-1);
        for (auto label = row.promptLength; label < static_cast<std::int64_t>(row.ids.size()); ++label)
            expected.push_back(-logProbability[label - 1][row.ids[label]].item<double>());
    }
    ASSERT_EQ(each.size(0), static_cast<std::int64_t>(expected.size()));
    double total = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_NEAR(each[static_cast<std::int64_t>(i)].item<double>(), expected[i], 1e-10);
        total += expected[i];
    }
    EXPECT_NEAR(sum.item<double>(), total, 1e-9);
}

} // namespace
} // namespace rankscope::train

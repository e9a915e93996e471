// SPDX-License-Identifier: Apache-2.0
// One small Hugging Face folder for each architecture, against the logits that Transformers computes
// (make_tiny_models.py).
#include "core/base/json.h"
#include "core/model/decoder.h"

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

class TinyModel : public testing::TestWithParam<const char*>
{
protected:
    TinyModel()
        : m_folder(std::filesystem::path(std::getenv("RANKSCOPE_SOURCE")) / "tests/data/tiny-models" /
                   GetParam())
    {
    }

    void SetUp() override
    {
        const auto files = checkpoint::BaseModelFiles::open(m_folder);
        ASSERT_TRUE(files) << files.error().message;
        auto model = Decoder::load(**files, {});
        ASSERT_TRUE(model) << model.error().message;
        m_model = std::move(*model);
        const auto expected = base::readJsonFile(m_folder / "expected.json");
        ASSERT_TRUE(expected) << expected.error().message;
        m_rows = expected->at("rows").get<std::vector<std::vector<std::int32_t>>>();
        m_logits = expected->at("lastLogits").get<std::vector<std::vector<std::vector<float>>>>();
        ASSERT_EQ(m_rows.size(), m_logits.size());
    }

    /// The largest difference from the expected logits of the row's last tokens. `hidden`: of all the row's
    /// tokens.
    [[nodiscard]] double difference(std::size_t row, const at::Tensor& hidden) const
    {
        const auto& expected = m_logits[row];
        const at::Tensor logits = m_model->logits(hidden).contiguous();
        const auto count = static_cast<std::int64_t>(expected.size());
        double largest = 0;
        for (std::int64_t token = 0; token < count; ++token) {
            const at::Tensor ours = logits[logits.size(0) - count + token];
            largest = std::max(largest, (ours - at::tensor(expected[token])).abs().max().item<double>());
        }
        return largest;
    }

    at::NoGradGuard m_noGradients;
    std::filesystem::path m_folder;
    std::unique_ptr<Decoder> m_model;
    std::vector<std::vector<std::int32_t>> m_rows;
    std::vector<std::vector<std::vector<float>>> m_logits;
};

constexpr double tolerance = 1e-4;

TEST_P(TinyModel, LogitsOfEachRowAlone)
{
    for (std::size_t row = 0; row < m_rows.size(); ++row)
        EXPECT_LT(difference(row, m_model->forward(makePass({m_rows[row]}, false))), tolerance)
            << "row " << row;
}

TEST_P(TinyModel, LogitsOfAllRowsInOnePass)
{
    const Pass pass = makePass(m_rows, false);
    const at::Tensor hidden = m_model->forward(pass);
    for (std::size_t row = 0; row < m_rows.size(); ++row)
        EXPECT_LT(difference(row, hidden.slice(0, pass.starts[row], pass.starts[row + 1])), tolerance)
            << "row " << row;
}

TEST_P(TinyModel, LogitsThroughTheCacheInPieces)
{
    const auto& config = m_model->config();
    const auto& row = m_rows.back();
    KvCache cache(config.layers, 1, static_cast<std::int64_t>(row.size()), config.kvHeads, config.headDim,
                  at::kFloat, at::kCPU);
    std::vector<at::Tensor> hidden;
    // A prompt, a longer piece behind it, then token by token: the three ways in which the cache is used.
    for (std::size_t start = 0; start < row.size();) {
        const std::size_t count = start == 0 ? 50 : start == 50 ? 30 : 1;
        Pass pass = makePass({{row.begin() + static_cast<std::ptrdiff_t>(start),
                               row.begin() + static_cast<std::ptrdiff_t>(start + count)}},
                             false);
        pass.cache = &cache;
        hidden.push_back(m_model->forward(pass));
        start += count;
    }
    EXPECT_LT(difference(m_rows.size() - 1, at::cat(hidden)), tolerance);
}

/// A row that waits while another goes on by two: as many new tokens as rows, but not one in each.
TEST_P(TinyModel, LogitsThroughTheCacheWhileARowWaits)
{
    const auto& config = m_model->config();
    const auto& row = m_rows.back();
    const auto piece = [&](std::ptrdiff_t from, std::ptrdiff_t to) {
        return std::vector<std::int32_t>(row.begin() + from, row.begin() + to);
    };
    KvCache cache(config.layers, 2, 16, config.kvHeads, config.headDim, at::kFloat, at::kCPU);
    Pass first = makePass({piece(0, 7), piece(0, 4)}, false);
    first.cache = &cache;
    static_cast<void>(m_model->forward(first));
    Pass second = makePass({{}, piece(4, 6)}, false);
    second.cache = &cache;
    const at::Tensor behind = m_model->forward(second);
    const at::Tensor whole = m_model->forward(makePass({piece(0, 6)}, false));
    ASSERT_EQ(behind.size(0), 2);
    EXPECT_LT((behind - whole.slice(0, 4)).abs().max().item<double>(), tolerance);
}

INSTANTIATE_TEST_SUITE_P(Architectures, TinyModel,
                         testing::Values("llama", "llama3-scaled-rope", "qwen2", "qwen3", "phi3"),
                         [](const auto& info) {
                             std::string name = info.param;
                             std::erase(name, '-');
                             return name;
                         });

} // namespace
} // namespace rankscope::model

// SPDX-License-Identifier: Apache-2.0
// Base models, loaded from their files onto a device whose memory the host cannot read, compute there as on
// the CPU.
#include "core/interchange/merged_model.h"
#include "core/model/decoder.h"
#include "kernels/loss_head/op.h"
#include "tests/parity/device/guarded_device.h"
#include "tests/property/conformance/subject.h"
#include "tests/unit/record/temporary_folder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <cstdlib>
#include <fstream>

namespace rankscope::parity
{
namespace
{

namespace fs = std::filesystem;
using conformance::Rows;

fs::path folderOf(const std::string& model)
{
    return fs::path(std::getenv("RANKSCOPE_SOURCE")) / "tests/data/tiny-models" / model;
}

std::unique_ptr<checkpoint::BaseModelFiles> filesOf(const std::string& model)
{
    return checkpoint::BaseModelFiles::open(folderOf(model)).value();
}

std::unique_ptr<model::Decoder> load(const std::string& model, at::ScalarType dtype, at::Device device)
{
    model::Decoder::Options options;
    options.dtype = dtype;
    options.device = device;
    return model::Decoder::load(*filesOf(model), options).value();
}

class TinyModelElsewhere : public testing::TestWithParam<const char*>
{
protected:
    at::NoGradGuard m_noGradients;
    Rows m_rows{{28, 10, 15, 44, 44, 3, 25}, {17, 31, 39}, {7, 8, 13}, {2}};
};

TEST_P(TinyModelElsewhere, HiddenStatesAndLoss)
{
    for (const auto& [type, tolerance] : {std::pair{at::kFloat, 1e-5}, std::pair{at::kBFloat16, 4e-2}}) {
        std::vector<at::Tensor> hidden;
        std::vector<at::Tensor> losses;
        for (const at::Device device : {at::Device(at::kCPU), guardedDevice()}) {
            const auto model = load(GetParam(), type, device);
            hidden.push_back(model->forward(model::makePass(m_rows, false, device)));
            const at::Tensor labels = at::tensor({1, 5, 40, 2}, at::kLong).to(device);
            losses.push_back(
                kernels::lossHead(hidden.back().narrow(0, 3, 4), model->outputEmbedding(), labels).second);
            EXPECT_TRUE(hidden.back().device() == device && losses.back().device() == device);
        }
        EXPECT_LT(conformance::relativeDistance(hidden[1].cpu(), hidden[0]), tolerance);
        EXPECT_LT(conformance::relativeDistance(losses[1].cpu(), losses[0]), tolerance);
    }
}

/// A prompt, several tokens behind it, one of each row, and of one row after the other has ended.
TEST_P(TinyModelElsewhere, DecodingThroughTheCache)
{
    std::vector<at::Tensor> decoded;
    for (const at::Device device : {at::Device(at::kCPU), guardedDevice()}) {
        const auto model = load(GetParam(), at::kFloat, device);
        const auto& config = model->config();
        model::KvCache cache(config.layers, 2, 16, config.kvHeads, config.headDim, at::kFloat, device);
        std::vector<at::Tensor> parts;
        const auto step = [&](const Rows& rows) {
            model::Pass pass = model::makePass(rows, false, device);
            pass.cache = &cache;
            parts.push_back(model->logits(model->forward(pass)).cpu());
        };
        step({{5, 9, 2}, {31, 7, 3, 11}});
        step({{12, 1}, {6}});
        step({{4}, {8}});
        step({{2}, {3}});
        cache.select({1});
        step({{30}});
        step({{29}});
        decoded.push_back(at::cat(parts));
    }
    EXPECT_LT(conformance::relativeDistance(decoded[1], decoded[0]), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Architectures, TinyModelElsewhere,
                         testing::Values("llama", "qwen2", "qwen3", "phi3"),
                         [](const auto& info) { return info.param; });

std::string bytes(const fs::path& file)
{
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// What a trained adapter makes of the base's weights does not depend on where both lie.
TEST(MergedElsewhere, HasTheSameWeights)
{
    const test::TemporaryFolder folder;
    for (const auto& plugin : conformance::plugins()) {
        if (!plugin.family || !plugin.manifest.mergeable)
            continue;
        std::vector<std::string> weights;
        for (const at::Device device : {at::Device(at::kCPU), guardedDevice()}) {
            const auto model = load("llama", at::kFloat, device);
            const auto settings = conformance::variant(plugin.manifest.name, base::Json::object()).settings;
            const auto adapter =
                plugin.family->attach(*model, adapter::Settings(settings), {at::kFloat, 7}).value();
            conformance::disturb(*adapter, 100);
            if (!interchange::checkMergeable(plugin.manifest, *adapter))
                continue;
            const fs::path target = folder / (plugin.manifest.name + device.str());
            const auto notes = interchange::writeMerged(*filesOf("llama"), *adapter, target, {});
            ASSERT_TRUE(notes) << notes.error().message;
            weights.push_back(bytes(target / "model.safetensors"));
        }
        if (weights.empty())
            continue; // not linear as its manifest sets it up
        ASSERT_EQ(weights.size(), 2U) << plugin.manifest.name;
        EXPECT_TRUE(!weights[0].empty() && weights[0] == weights[1]) << plugin.manifest.name;
    }
}

} // namespace
} // namespace rankscope::parity

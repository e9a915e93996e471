// SPDX-License-Identifier: Apache-2.0
// Every family in every variant, on small models read from disk: a merged folder gives the adapted model's
// logits, a PEFT adapter its weights, and what cannot be exported leaves nothing behind.
#include "core/checkpoint/peft_adapter.h"
#include "core/interchange/merged_model.h"
#include "core/interchange/peft_folder.h"
#include "tests/property/conformance/subject.h"
#include "tests/unit/record/temporary_folder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <c10/core/GradMode.h>
#include <cstdlib>

namespace rankscope::interchange
{
namespace
{

using conformance::Variant;

std::filesystem::path tinyModel(const std::string& architecture)
{
    return std::filesystem::path(std::getenv("RANKSCOPE_SOURCE")) / "tests/data/tiny-models" / architecture;
}

class Exports : public testing::TestWithParam<Variant>
{
protected:
    void SetUp() override
    {
        auto files = checkpoint::BaseModelFiles::open(tinyModel(GetParam().architecture));
        ASSERT_TRUE(files) << files.error().message;
        m_files = std::move(*files);
        m_subject.model = load(*m_files);
        base::Json settings = GetParam().settings;
        auto attached = conformance::plugin(GetParam().family)
                            .family->attach(*m_subject.model, adapter::Settings(settings), {at::kDouble, 7});
        if (!attached)
            GTEST_SKIP()
                << attached.error().message; // this model is smaller still than the conformance suite's
        m_subject.adapter = std::move(*attached);
        conformance::disturb(*m_subject.adapter, 100);
    }

    static std::unique_ptr<model::Decoder> load(const checkpoint::BaseModelFiles& files)
    {
        model::Decoder::Options options;
        options.dtype = at::kDouble;
        auto model = model::Decoder::load(files, options);
        EXPECT_TRUE(model) << model.error().message;
        return std::move(*model);
    }
    static at::Tensor logits(const conformance::Subject& subject)
    {
        const at::NoGradGuard guard;
        return subject.model->logits(subject.run({{5, 9, 2, 31, 7}, {1, 20, 4}}));
    }
    [[nodiscard]] const protocol::FamilyManifest& manifest() const
    {
        return conformance::plugin(GetParam().family).manifest;
    }

    rankscope::test::TemporaryFolder m_folder;
    std::unique_ptr<checkpoint::BaseModelFiles> m_files;
    conformance::Subject m_subject;
};

TEST_P(Exports, MergedGiveTheSameLogits)
{
    const auto mergeable = checkMergeable(manifest(), *m_subject.adapter);
    if (!manifest().mergeable) {
        ASSERT_FALSE(mergeable);
        EXPECT_NE(mergeable.error().message.find(manifest().title + " cannot be merged"), std::string::npos);
        return;
    }
    if (!mergeable) {
        EXPECT_NE(mergeable.error().message.find("with these settings cannot be merged"), std::string::npos);
        return;
    }
    std::int64_t reported = 0;
    MergeOptions options;
    options.dtype = checkpoint::DType::F32;
    options.progress = [&](std::int64_t done, std::int64_t total) {
        EXPECT_LE(done, total);
        reported = done;
        return true;
    };
    const auto notes = writeMerged(*m_files, *m_subject.adapter, m_folder / "merged", options);
    ASSERT_TRUE(notes) << notes.error().message;
    EXPECT_GT(reported, 0);
    const auto merged = checkpoint::BaseModelFiles::open(m_folder / "merged");
    ASSERT_TRUE(merged) << merged.error().message;
    const at::Tensor expected = logits(m_subject);
    const conformance::Subject plain{load(**merged), nullptr};
    EXPECT_LT(conformance::distance(logits(plain), expected) / expected.abs().max().item<double>(), 2e-5);
    EXPECT_TRUE(std::filesystem::exists(m_folder / "merged/config.json"));
    // The place is taken now.
    EXPECT_FALSE(writeMerged(*m_files, *m_subject.adapter, m_folder / "merged", options));
}

TEST_P(Exports, ACancelledMergeLeavesNothing)
{
    if (!checkMergeable(manifest(), *m_subject.adapter))
        GTEST_SKIP() << "not mergeable";
    MergeOptions options;
    options.progress = [](std::int64_t done, std::int64_t) { return done < 3; };
    EXPECT_FALSE(writeMerged(*m_files, *m_subject.adapter, m_folder / "out/merged", options));
    EXPECT_TRUE(std::filesystem::is_empty(m_folder / "out"));
}

TEST_P(Exports, PeftPairsMakeTheSameWeights)
{
    protocol::Job job;
    job.adapter.family = GetParam().family;
    job.adapter.settings = GetParam().settings;
    const auto known = checkPeft(job.adapter.family, *m_subject.adapter);
    const auto written = writePeft(job, m_files->config().linears(), *m_subject.adapter, m_folder / "peft");
    ASSERT_EQ(known.has_value(), written.has_value());
    if (!known) {
        EXPECT_FALSE(std::filesystem::exists(m_folder / "peft"));
        return;
    }
    const auto peft = checkpoint::PeftAdapter::open(m_folder / "peft");
    ASSERT_TRUE(peft) << peft.error().message;
    EXPECT_EQ(peft->config.at("peft_type"), "LORA");
    const double scale = peft->config.at("lora_alpha").get<double>() / peft->config.at("r").get<double>();
    auto read = [&](const std::string& name) {
        const auto* view = peft->weights.find(name);
        EXPECT_NE(view, nullptr) << name;
        at::Tensor values = at::empty(view->shape, at::kFloat);
        EXPECT_TRUE(checkpoint::decode(
            *view, {values.mutable_data_ptr<float>(), static_cast<std::size_t>(values.numel())}));
        return values.to(at::kDouble);
    };
    const at::NoGradGuard guard;
    for (const auto& site : m_subject.adapter->deltaSites()) {
        const auto& base = m_subject.model->linear(site.layer, site.module)->base;
        const std::string path = "base_model.model." + base.shape.path;
        at::Tensor weight =
            base.weight + scale * at::matmul(read(path + ".lora_B.weight"), read(path + ".lora_A.weight"));
        if (peft->config.at("use_dora").get<bool>())
            weight = (read(path + ".lora_magnitude_vector") / weight.norm(2, {1})).unsqueeze(1) * weight;
        const at::Tensor expected =
            base.weight + adapter::denseDelta(m_subject.adapter->delta(site.layer, site.module, 0));
        EXPECT_LT(conformance::distance(weight, expected), 1e-4) << path;
    }
}

INSTANTIATE_TEST_SUITE_P(Every, Exports, testing::ValuesIn(conformance::variants()),
                         [](const auto& info) { return info.param.name(); });

} // namespace
} // namespace rankscope::interchange

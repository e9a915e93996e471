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
#include <ATen/ops/zeros.h>
#include <algorithm>
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

/// A PEFT adapter on disk, and the weights it makes: each formula as the method's paper has it.
class StoredAdapter
{
public:
    explicit StoredAdapter(const std::filesystem::path& folder)
    {
        auto opened = checkpoint::PeftAdapter::open(folder);
        EXPECT_TRUE(opened) << opened.error().message;
        m_peft = std::move(*opened);
    }

    [[nodiscard]] const base::Json& config() const { return m_peft.config; }
    [[nodiscard]] const checkpoint::TensorView& view(const std::string& name) const
    {
        const auto* found = m_peft.weights.find(name);
        EXPECT_NE(found, nullptr) << name;
        return *found;
    }
    [[nodiscard]] at::Tensor read(const std::string& name) const
    {
        const auto& stored = view(name);
        using checkpoint::DType;
        const auto type = stored.dtype == DType::U8    ? at::kByte
                          : stored.dtype == DType::I16 ? at::kShort
                          : stored.dtype == DType::I32 ? at::kInt
                                                       : at::kFloat;
        at::Tensor values = at::empty(stored.shape, type);
        EXPECT_EQ(stored.bytes.size(), values.nbytes()) << name;
        std::ranges::copy(stored.bytes, static_cast<std::byte*>(values.mutable_data_ptr()));
        return values.to(at::kDouble);
    }
    /// The adapted weight of the linear at `path`, from its base weight [out, in].
    [[nodiscard]] at::Tensor adapted(const std::string& path, const at::Tensor& weight) const
    {
        const std::string name = "base_model.model." + path;
        if (config().at("peft_type") == "VBLORA")
            return weight + at::matmul(vbloraFactor(name + ".vblora_logits_B").transpose(1, 2).flatten(0, 1),
                                       vbloraFactor(name + ".vblora_logits_A").flatten(1));
        const double scale = number("lora_alpha", "alpha_pattern", path) / number("r", "rank_pattern", path);
        const at::Tensor direction =
            weight + scale * at::matmul(read(name + ".lora_B.weight"), read(name + ".lora_A.weight"));
        return config().at("use_dora").get<bool>()
                   ? (read(name + ".lora_magnitude_vector") / direction.norm(2, {1})).unsqueeze(1) * direction
                   : direction;
    }

private:
    /// A number of the config that single linears may have otherwise.
    [[nodiscard]] double number(const char* key, const char* pattern, const std::string& path) const
    {
        return config().value(pattern, base::Json::object()).value(path, config().at(key).get<double>());
    }
    /// [n, m, b]: each slice its K bank vectors, the last with what the others leave of 1.
    [[nodiscard]] at::Tensor vbloraFactor(const std::string& name) const
    {
        const at::Tensor bank = read("base_model.vblora_vector_bank");
        const at::Tensor indices = read(name + "_topk_indices");
        const at::Tensor weights = read(name + "_topk_weights");
        at::Tensor slices = at::zeros({indices.size(0), indices.size(1), bank.size(1)}, bank.options());
        for (std::int64_t n = 0; n < indices.size(0); ++n) {
            for (std::int64_t m = 0; m < indices.size(1); ++m) {
                double left = 1;
                for (std::int64_t k = 0; k < indices.size(2); ++k) {
                    const bool last = k + 1 == indices.size(2);
                    const double weight = last ? left : weights[n][m][k].item<double>();
                    left -= weight;
                    slices[n][m] += weight * bank[indices[n][m][k].item<std::int64_t>()];
                }
            }
        }
        return slices;
    }

    checkpoint::PeftAdapter m_peft;
};

void expectTheSameWeights(const StoredAdapter& peft, const conformance::Subject& subject)
{
    const at::NoGradGuard guard;
    for (const auto& site : subject.adapter->deltaSites()) {
        const auto& base = subject.model->linear(site.layer, site.module)->base;
        const at::Tensor expected =
            base.weight + adapter::denseDelta(subject.adapter->delta(site.layer, site.module, 0));
        EXPECT_LT(conformance::distance(peft.adapted(base.shape.path, base.weight), expected), 1e-4)
            << base.shape.path;
    }
}

std::unique_ptr<model::Decoder> load(const checkpoint::BaseModelFiles& files)
{
    model::Decoder::Options options;
    options.dtype = at::kDouble;
    auto model = model::Decoder::load(files, options);
    EXPECT_TRUE(model) << model.error().message;
    return std::move(*model);
}

class Exports : public testing::TestWithParam<Variant>
{
protected:
    void SetUp() override
    {
        auto files = checkpoint::BaseModelFiles::open(tinyModel(GetParam().model.architecture));
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

TEST_P(Exports, PeftFormsMakeTheSameWeights)
{
    const auto linears = m_files->config().linears();
    const auto known = checkPeft(manifest(), linears, *m_subject.adapter);
    const auto written = writePeft(manifest(), "base", linears, *m_subject.adapter, m_folder / "peft");
    ASSERT_EQ(known.has_value(), written.has_value());
    if (!manifest().mergeable) { // its router, gate or capacity would be lost, with a single pair too
        ASSERT_FALSE(known);
        EXPECT_EQ(known.error().message,
                  manifest().title + " has no form that PEFT knows: what it adds depends on the input");
    }
    if (!known) {
        EXPECT_FALSE(std::filesystem::exists(m_folder / "peft"));
        return;
    }
    expectTheSameWeights(StoredAdapter(m_folder / "peft"), m_subject);
}

/// Two linears of the tiny Llama with any updates.
class AnyUpdates : public adapter::Adapter
{
public:
    AnyUpdates(adapter::Delta q, adapter::Delta v)
        : Adapter(std::make_unique<adapter::ParameterStore>(at::kDouble, at::kCPU, 1)),
          m_q(std::move(q)),
          m_v(std::move(v))
    {
    }
    [[nodiscard]] std::vector<adapter::DeltaSite> deltaSites() const override
    {
        return {{0, "q_proj", 1, {}, true}, {1, "v_proj", 1, {}, true}};
    }
    [[nodiscard]] adapter::Delta delta(std::int64_t, const std::string& module, std::int64_t) const override
    {
        return module == "q_proj" ? m_q : m_v;
    }
    [[nodiscard]] at::Tensor expertForward(std::int64_t, const std::string&, std::int64_t,
                                           const at::Tensor&) const override
    {
        return {};
    }

private:
    adapter::Delta m_q;
    adapter::Delta m_v;
};

/// A family with these settings on the tiny Llama, exported.
class ExportOf : public testing::Test
{
protected:
    void SetUp() override
    {
        auto files = checkpoint::BaseModelFiles::open(tinyModel("llama"));
        ASSERT_TRUE(files) << files.error().message;
        m_files = std::move(*files);
        m_linears = m_files->config().linears();
        m_subject.model = load(*m_files);
    }
    void attach(const std::string& family, const base::Json& settings)
    {
        const Variant variant = conformance::variant(family, settings);
        m_subject.adapter.reset();
        auto attached = conformance::plugin(family).family->attach(
            *m_subject.model, adapter::Settings(variant.settings), {at::kDouble, 7});
        ASSERT_TRUE(attached) << attached.error().message;
        m_subject.adapter = std::move(*attached);
        m_family = conformance::plugin(family).manifest;
        conformance::disturb(*m_subject.adapter, 100);
    }
    [[nodiscard]] StoredAdapter exported(const std::string& name = "peft") const
    {
        const auto written = writePeft(m_family, "base", m_linears, *m_subject.adapter, m_folder / name);
        EXPECT_TRUE(written) << written.error().message;
        return StoredAdapter(m_folder / name);
    }

    rankscope::test::TemporaryFolder m_folder;
    protocol::FamilyManifest m_family;
    std::unique_ptr<checkpoint::BaseModelFiles> m_files;
    std::vector<checkpoint::LinearShape> m_linears;
    conformance::Subject m_subject;
};

TEST_F(ExportOf, VbloraIsItsBankAndItsChoices)
{
    attach("vblora", {{"topK", 2}});
    const StoredAdapter peft = exported();
    EXPECT_EQ(peft.config().at("peft_type"), "VBLORA");
    EXPECT_EQ(peft.config().at("save_only_topk_weights"), true);
    EXPECT_EQ(peft.config().at("num_vectors"), 12);
    EXPECT_EQ(peft.config().at("vector_length"), 8);
    EXPECT_EQ(peft.config().at("topk"), 2);
    const std::string name = "base_model.model.model.layers.0.self_attn.q_proj.vblora_logits_A";
    const auto& linear = m_subject.model->linear(0, "q_proj")->base.shape;
    EXPECT_EQ(peft.view(name + "_topk_indices").dtype, checkpoint::DType::U8);
    EXPECT_EQ(peft.view(name + "_topk_indices").shape, (std::vector<std::int64_t>{4, linear.in / 8, 2}));
    EXPECT_EQ(peft.view(name + "_topk_weights").shape, (std::vector<std::int64_t>{4, linear.in / 8, 1}));
    expectTheSameWeights(peft, m_subject);
}

TEST_F(ExportOf, VbloraWithOneVectorForEachSliceHasNoWeights)
{
    attach("vblora", {{"topK", 1}, {"vectors", 300}});
    const StoredAdapter peft = exported();
    const std::string name = "base_model.model.model.layers.0.self_attn.q_proj.vblora_logits_B";
    EXPECT_EQ(peft.view(name + "_topk_indices").dtype, checkpoint::DType::I16);
    EXPECT_EQ(peft.view(name + "_topk_weights").shape.back(), 0);
    expectTheSameWeights(peft, m_subject);
}

TEST_F(ExportOf, VbloraLeavesTheLastWeightAtLeastNothing)
{
    // PEFT takes the logarithm of 1 less the float32 sum of the others, which softmax itself lets pass 1
    // where one logit is far ahead.
    for (const double factor : {0.0, 10.0, 30.0, 50.0, 1e3}) {
        attach("vblora", {{"topK", 12}});
        {
            const at::NoGradGuard guard;
            for (const auto& parameter : m_subject.adapter->parameters().all()) {
                at::Tensor tensor = parameter.tensor;
                if (parameter.name.find("logits") != std::string::npos)
                    tensor.mul_(factor);
            }
        }
        const StoredAdapter peft = exported("peft-" + std::to_string(factor));
        expectTheSameWeights(peft, m_subject);
        for (const auto& linear : m_linears) {
            for (const char* logits : {".vblora_logits_A_topk_weights", ".vblora_logits_B_topk_weights"}) {
                const at::Tensor weights =
                    peft.read("base_model.model." + linear.path + logits).to(at::kFloat);
                EXPECT_GE((1 - weights.sum(-1)).min().item<float>(), 0) << linear.path;
                for (const at::Tensor& order : {weights, weights.flip(-1)})
                    EXPECT_LE(order.cumsum(-1).max().item<float>(), 1) << linear.path;
            }
        }
    }
}

TEST_F(ExportOf, MogsDoraFormIsPeftsDora)
{
    attach("mog", {{"form", "dora"}, {"rank", 6}, {"alpha", 1.5}});
    const StoredAdapter peft = exported();
    EXPECT_EQ(peft.config().at("use_dora"), true);
    EXPECT_EQ(peft.config().at("r"), 6);
    EXPECT_NEAR(peft.config().at("lora_alpha").get<double>(), 9, 1e-9); // scaled by alpha, not by alpha / r
    expectTheSameWeights(peft, m_subject);
}

TEST_F(ExportOf, PairsOfSeveralRanksAndScalesKeepThem)
{
    const auto& q = m_subject.model->linear(0, "q_proj")->base.weight;
    const auto& v = m_subject.model->linear(1, "v_proj")->base.weight;
    const auto pair = [](const at::Tensor& weight, std::int64_t rank, double scale) {
        return adapter::LowRankDelta{conformance::randomLike(weight.narrow(1, 0, rank), 1),
                                     conformance::randomLike(weight.narrow(0, 0, rank), 2),
                                     {},
                                     scale};
    };
    m_family.title = "Any";
    m_family.mergeable = true;
    m_subject.adapter = std::make_unique<AnyUpdates>(pair(q, 2, 0.5), pair(v, 3, 2));
    const StoredAdapter peft = exported();
    EXPECT_EQ(peft.config().at("r"), 2);
    EXPECT_EQ(peft.config().at("rank_pattern"), base::Json({{"model.layers.1.self_attn.v_proj", 3}}));
    expectTheSameWeights(peft, m_subject);

    const auto turned = [](const adapter::LowRankDelta& update, const at::Tensor& weight) {
        return adapter::MagnitudeDelta{update, weight.norm(2, {1}) * 1.5, weight};
    };
    m_subject.adapter = std::make_unique<AnyUpdates>(turned(pair(q, 2, 0.5), q), turned(pair(v, 3, 2), v));
    expectTheSameWeights(exported("turned"), m_subject);
    m_subject.adapter = std::make_unique<AnyUpdates>(turned(pair(q, 2, 0.5), q), pair(v, 2, 0.5));
    const auto refused = checkPeft(m_family, m_linears, *m_subject.adapter);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "Any with these settings has no form that PEFT knows");
}

TEST_F(ExportOf, ALargeModelIsSeveralFilesAndAnIndex)
{
    attach("lora", base::Json::object());
    MergeOptions options;
    ASSERT_TRUE(writeMerged(*m_files, *m_subject.adapter, m_folder / "one", options));
    options.shardBytes = 20'000;
    std::vector<std::int64_t> reported;
    options.progress = [&](std::int64_t done, std::int64_t) {
        reported.push_back(done);
        return true;
    };
    ASSERT_TRUE(writeMerged(*m_files, *m_subject.adapter, m_folder / "many", options));
    EXPECT_TRUE(std::ranges::is_sorted(reported));

    std::int64_t size = 0;
    std::size_t tensors = 0;
    const auto index = base::readJsonFile(m_folder / "many/model.safetensors.index.json");
    ASSERT_TRUE(index) << index.error().message;
    for (const char* name : {"model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors",
                             "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors"}) {
        const auto shard = checkpoint::SafetensorsFile::open(m_folder.path() / "many" / name);
        ASSERT_TRUE(shard) << shard.error().message;
        std::int64_t held = 0;
        for (const auto& [tensor, view] : shard->tensors()) {
            EXPECT_EQ(index->at("weight_map").at(tensor), name);
            held += static_cast<std::int64_t>(view.bytes.size());
            ++tensors;
        }
        EXPECT_TRUE(held <= options.shardBytes || shard->tensors().size() == 1) << name;
        size += held;
    }
    EXPECT_EQ(index->at("metadata").at("total_size"), size);
    EXPECT_EQ(index->at("weight_map").size(), tensors);
    EXPECT_EQ(static_cast<std::size_t>(reported.back()), tensors);
    EXPECT_FALSE(std::filesystem::exists(m_folder / "many/model.safetensors"));
    EXPECT_FALSE(std::filesystem::exists(m_folder / "one/model.safetensors.index.json"));

    const auto one = checkpoint::BaseModelFiles::open(m_folder / "one");
    const auto many = checkpoint::BaseModelFiles::open(m_folder / "many");
    ASSERT_TRUE(one && many);
    for (const auto& item : index->at("weight_map").items()) {
        const auto* expected = (*one)->plainView(item.key());
        const auto* actual = (*many)->plainView(item.key());
        ASSERT_TRUE(expected && actual) << item.key();
        EXPECT_TRUE(std::ranges::equal(expected->bytes, actual->bytes)) << item.key();
    }

    // A tensor that alone is over the limit has a file of its own.
    options.shardBytes = 1;
    ASSERT_TRUE(writeMerged(*m_files, *m_subject.adapter, m_folder / "each", options));
    EXPECT_TRUE(checkpoint::BaseModelFiles::open(m_folder / "each"));
    // Cancelled in the third file: the first two go too.
    options.progress = [](std::int64_t done, std::int64_t) { return done < 3; };
    EXPECT_FALSE(writeMerged(*m_files, *m_subject.adapter, m_folder / "cancelled", options));
    EXPECT_FALSE(std::filesystem::exists(m_folder / "cancelled"));
}

INSTANTIATE_TEST_SUITE_P(Every, Exports, testing::ValuesIn(conformance::variants()),
                         [](const auto& info) { return info.param.name(); });

} // namespace
} // namespace rankscope::interchange

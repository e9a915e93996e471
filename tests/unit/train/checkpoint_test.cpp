// SPDX-License-Identifier: Apache-2.0
// What a checkpoint holds, under which names, and that damage is found before anything is used.
#include "core/adapter/plugin_loader.h"
#include "core/base/files.h"
#include "core/base/paths.h"
#include "core/checkpoint/peft_adapter.h"
#include "core/train/checkpoint.h"
#include "tests/unit/record/temporary_folder.h"
#include "tests/unit/train/small_llama.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/rand.h>
#include <c10/core/GradMode.h>
#include <fstream>
#include <gtest/gtest.h>

namespace rankscope::train
{
namespace
{

namespace fs = std::filesystem;
using adapter::Init;
using adapter::ParameterStore;

void flipByte(const fs::path& file, std::int64_t fromEnd)
{
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(-fromEnd, std::ios::end);
    const char old = static_cast<char>(stream.get());
    stream.seekp(-fromEnd, std::ios::end);
    stream.put(static_cast<char>(old ^ 0x10));
}

struct Training {
    explicit Training(std::uint64_t seed) : store(at::kFloat, at::kCPU, seed), optimizer(filled(store), {}) {}

    static const ParameterStore& filled(ParameterStore& store)
    {
        store.add("base_model.model.x.lora_A.weight", {3, 4}, Init::normal(1));
        store.add("base_model.model.x.lora_B.weight", {5, 3}, Init::normal(1), 2.0);
        store.addBuffer("base_model.model.x.balance", {3}, Init::uniform(1));
        return store;
    }
    void step(double gradient)
    {
        for (const auto& parameter : store.trainable())
            const_cast<at::Tensor&>(parameter.tensor).mutable_grad() =
                at::full_like(parameter.tensor.detach(), gradient);
        optimizer.step(0.05);
    }
    [[nodiscard]] bool equals(const Training& other) const
    {
        for (const auto& parameter : store.all()) {
            if (!parameter.tensor.equal(other.store.find(parameter.name)->tensor))
                return false;
        }
        const auto mine = optimizer.state();
        for (const auto& [name, tensor] : other.optimizer.state()) {
            if (!mine.at(name).equal(tensor))
                return false;
        }
        return true;
    }

    ParameterStore store;
    AdamW optimizer;
};

class CheckpointTest : public testing::Test
{
protected:
    [[nodiscard]] Status save(const Training& training, std::int64_t step) const
    {
        return saveCheckpoint(m_run, {step, 1234, {{"weights", 5}, {"gates/scores", 2}}}, m_job, {"x"},
                              training.store, training.optimizer);
    }
    void expectRefused(Training& into, const std::string& sentence) const
    {
        const auto refused = loadCheckpoint(m_run.checkpoint(3), m_job, into.store, into.optimizer);
        ASSERT_FALSE(refused);
        EXPECT_NE(refused.error().message.find(sentence), std::string::npos) << refused.error().message;
        EXPECT_EQ(refused.error().message.find('\n'), std::string::npos);
    }

    test::TemporaryFolder m_folder;
    record::RunDirectory m_run{m_folder.path()};
    protocol::Job m_job;
};

TEST_F(CheckpointTest, GivesBackTensorsMomentsAndTheRandomState)
{
    Training first(1);
    first.step(0.3);
    first.step(-0.1);
    auto generator = at::globalContext().defaultGenerator(at::kCPU);
    generator.set_current_seed(77);
    (void)at::rand({13});
    ASSERT_TRUE(save(first, 3));
    const at::Tensor drawn = at::rand({50});

    Training second(2);
    ASSERT_FALSE(first.equals(second));
    generator.set_current_seed(1);
    const auto point = loadCheckpoint(m_run.checkpoint(3), m_job, second.store, second.optimizer);
    ASSERT_TRUE(point) << point.error().message;
    EXPECT_EQ(point->step, 3);
    EXPECT_EQ(point->tokensSeen, 1234);
    EXPECT_EQ(point->measureTurns, (std::map<std::string, std::size_t>{{"weights", 5}, {"gates/scores", 2}}));
    EXPECT_TRUE(first.equals(second));
    EXPECT_TRUE(drawn.equal(at::rand({50}))) << "the random draws do not continue";
    first.step(0.7);
    second.step(0.7);
    EXPECT_TRUE(first.equals(second));
}

TEST_F(CheckpointTest, ACheckpointWithoutItsNameIsNotComplete)
{
    Training training(1);
    ASSERT_TRUE(save(training, 2));
    ASSERT_TRUE(save(training, 3));
    fs::rename(m_run.checkpoint(3), m_run.checkpoints() / ".step-000003.part");
    ASSERT_TRUE(m_run.lastCheckpoint());
    EXPECT_EQ(m_run.lastCheckpoint()->step, 2);
    ASSERT_TRUE(save(training, 3)) << "what a crash left behind is in the way";
    EXPECT_EQ(m_run.lastCheckpoint()->step, 3);
}

TEST_F(CheckpointTest, DamageIsFoundAndNamed)
{
    Training training(1);
    for (const char* name : {"adapter_model.safetensors", "optimizer.safetensors"}) {
        ASSERT_TRUE(save(training, 3));
        flipByte(m_run.checkpoint(3) / name, 5);
        Training other(2);
        expectRefused(other, (m_run.checkpoint(3) / name).string() + " is damaged");
        EXPECT_TRUE(other.equals(Training(2))) << "something was loaded all the same";
    }
    ASSERT_TRUE(save(training, 3));
    fs::resize_file(m_run.checkpoint(3) / "optimizer.safetensors", 20);
    expectRefused(training, "optimizer.safetensors is damaged");
    fs::remove(m_run.checkpoint(3) / "optimizer.safetensors");
    expectRefused(training, "optimizer.safetensors");
}

TEST_F(CheckpointTest, AStateFileThatCannotBeUsed)
{
    Training training(1);
    const fs::path state = m_run.checkpoint(3) / "state.json";
    auto with = [&](const std::string& key, const base::Json& value) {
        ASSERT_TRUE(save(training, 3));
        auto json = *base::readJsonFile(state);
        if (value.is_null())
            json.erase(key);
        else
            json[key] = value;
        std::ofstream(state) << json.dump();
    };
    with("step", -1);
    expectRefused(training, "step");
    with("randomState", nullptr);
    expectRefused(training, "randomState");
    with("randomState", "abcd");
    expectRefused(training, "the random state");
    with("randomState", "zz");
    expectRefused(training, "the random state");
    with("sha256", base::Json::object());
    expectRefused(training, "has no hash of adapter_model.safetensors");
    std::ofstream(state) << "{\"step\": 3";
    expectRefused(training, "state.json");
    fs::remove(state);
    expectRefused(training, "state.json");
}

TEST_F(CheckpointTest, AnotherAdaptersTensorsAreRefused)
{
    Training training(1);
    ASSERT_TRUE(save(training, 3));
    ParameterStore other(at::kFloat, at::kCPU, 1);
    other.add("base_model.model.x.lora_A.weight", {3, 4}, Init::zeros());
    AdamW optimizer(other, {});
    const auto refused = loadCheckpoint(m_run.checkpoint(3), m_job, other, optimizer);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("base_model.model.x."), std::string::npos)
        << refused.error().message;
}

TEST_F(CheckpointTest, LoRaHasTheNamesAndShapesOfPeft)
{
    const auto decoder = model::Decoder::random(tests::smallLlama(32), 1, {});
    adapter::PluginLoader plugins(base::pluginFolders());
    const auto lora = plugins.load("lora");
    ASSERT_TRUE(lora) << lora.error().message;
    m_job.adapter.settings = *(*lora)->manifest.complete({{"rank", 4}, {"alpha", 8}});
    const auto adapter = (*lora)->family->attach(*decoder, adapter::Settings(m_job.adapter.settings), {});
    ASSERT_TRUE(adapter) << adapter.error().message;
    const AdamW optimizer((*adapter)->parameters(), {});
    ASSERT_TRUE(
        saveCheckpoint(m_run, {1, 0}, m_job, (*adapter)->modules(), (*adapter)->parameters(), optimizer));

    const auto saved = checkpoint::PeftAdapter::open(m_run.checkpoint(1));
    ASSERT_TRUE(saved) << saved.error().message;
    EXPECT_EQ(saved->config.at("peft_type"), "LORA");
    EXPECT_EQ(saved->config.at("task_type"), "CAUSAL_LM");
    EXPECT_EQ(saved->config.at("r"), 4);
    EXPECT_EQ(saved->config.at("lora_alpha"), 8);
    const std::vector<std::string> all{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                       "gate_proj", "up_proj", "down_proj"};
    EXPECT_EQ(saved->config.at("target_modules"), all);
    const std::map<std::string, std::pair<std::int64_t, std::int64_t>> linears{
        {"self_attn.q_proj", {16, 16}}, {"self_attn.k_proj", {8, 16}}, {"self_attn.v_proj", {8, 16}},
        {"self_attn.o_proj", {16, 16}}, {"mlp.gate_proj", {24, 16}},   {"mlp.up_proj", {24, 16}},
        {"mlp.down_proj", {16, 24}}};
    EXPECT_EQ(saved->weights.tensors().size(), 2 * 2 * linears.size());
    for (int layer = 0; layer < 2; ++layer) {
        for (const auto& [name, shape] : linears) {
            const std::string path = "base_model.model.model.layers." + std::to_string(layer) + "." + name;
            const auto* a = saved->weights.find(path + ".lora_A.weight");
            const auto* b = saved->weights.find(path + ".lora_B.weight");
            ASSERT_TRUE(a && b) << path;
            EXPECT_EQ(a->shape, (std::vector<std::int64_t>{4, shape.second})) << path;
            EXPECT_EQ(b->shape, (std::vector<std::int64_t>{shape.first, 4})) << path;
        }
    }
}

/// "attention" and "mlp" are names of ours; PEFT looks for modules.
TEST_F(CheckpointTest, NamesTheModulesThatAPresetMeans)
{
    const auto decoder = model::Decoder::random(tests::smallLlama(32), 1, {});
    adapter::PluginLoader plugins(base::pluginFolders());
    const auto lora = plugins.load("lora");
    ASSERT_TRUE(lora) << lora.error().message;
    const std::vector<std::string> attention{"q_proj", "k_proj", "v_proj", "o_proj"};
    const std::vector<std::string> mlp{"gate_proj", "up_proj", "down_proj"};
    std::int64_t step = 0;
    for (const auto& [preset, modules] : {std::pair{"attention", attention}, std::pair{"mlp", mlp}}) {
        m_job.adapter.settings = *(*lora)->manifest.complete({{"rank", 4}, {"targets", {preset}}});
        const auto adapter = (*lora)->family->attach(*decoder, adapter::Settings(m_job.adapter.settings), {});
        ASSERT_TRUE(adapter) << adapter.error().message;
        const AdamW optimizer((*adapter)->parameters(), {});
        ASSERT_TRUE(saveCheckpoint(m_run, {++step, 0}, m_job, (*adapter)->modules(), (*adapter)->parameters(),
                                   optimizer));
        const auto saved = checkpoint::PeftAdapter::open(m_run.checkpoint(step));
        ASSERT_TRUE(saved) << saved.error().message;
        EXPECT_EQ(saved->config.at("target_modules"), modules) << preset;
    }
}

} // namespace
} // namespace rankscope::train

// SPDX-License-Identifier: Apache-2.0
// A run of the bundled GGUF leaves as a Hugging Face folder and as a PEFT adapter.
#include "core/base/paths.h"
#include "core/checkpoint/base_model_files.h"
#include "core/checkpoint/peft_adapter.h"
#include "core/text/chat_template.h"
#include "core/text/tokenizer.h"
#include "tests/unit/worker/job_fixture.h"

#include <fstream>

namespace rankscope::worker::test
{
namespace
{

namespace fs = std::filesystem;

using WorkerExport = JobTest;

TEST_F(WorkerExport, GivesAFolderWithWeightsConfigAndTokenizer)
{
    const auto run = train("run", R"({"training":{"steps":2,"checkpointEvery":0}})");
    const fs::path merged = m_folder / "merged";
    const auto exported = engine(
        {"export", run.folder().string(), "--format", "merged", "--dtype", "bf16", "--out", merged.string()});
    ASSERT_EQ(exported.exitStatus(), 0) << exported.error;
    const auto files = checkpoint::BaseModelFiles::open(merged);
    ASSERT_TRUE(files) << files.error().message;
    const auto original = checkpoint::BaseModelFiles::open(base::defaultModel());
    ASSERT_TRUE(original);
    EXPECT_EQ((*files)->config().parameters(), (*original)->config().parameters());
    EXPECT_EQ((*files)->config().eosTokens, (*original)->config().eosTokens);
    EXPECT_EQ((*files)->config().ropeTheta, (*original)->config().ropeTheta);
    const auto* weight = (*files)->plainView("model.layers.3.mlp.up_proj.weight");
    ASSERT_NE(weight, nullptr);
    EXPECT_EQ(weight->dtype, checkpoint::DType::BF16);
    // Tokenizer and chat template speak as the GGUF's do.
    const auto tokenizer = text::Tokenizer::open(merged);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    const auto reference = text::Tokenizer::open(base::defaultModel());
    ASSERT_TRUE(reference);
    EXPECT_EQ((*tokenizer)->endOfText(), (*reference)->endOfText());
    for (const char* sentence :
         {"<|im_start|>user\nAdd 1234 and 56.<|im_end|>\n", "  Grüße an\tdie \n\n Welt's 3½ 東京!"})
        EXPECT_EQ((*tokenizer)->encode(sentence).ids, (*reference)->encode(sentence).ids) << sentence;
    EXPECT_EQ(text::ChatTemplate::forModel(merged)->format(),
              text::ChatTemplate::forModel(base::defaultModel())->format());

    // A second export to the same place is refused, and PEFT's form works on a checkpoint too.
    EXPECT_EQ(engine({"export", run.folder().string(), "--out", merged.string()}).exitStatus(), 2);
    const fs::path peft = m_folder / "peft";
    const auto adapter =
        engine({"export", run.lastCheckpoint()->folder.string(), "--format", "peft", "--out", peft.string()});
    ASSERT_EQ(adapter.exitStatus(), 0) << adapter.error;
    EXPECT_TRUE(checkpoint::PeftAdapter::open(peft));
}

TEST_F(WorkerExport, OfAFamilyThatRoutesIsRefusedAndLeavesNothing)
{
    base::Json routed = job();
    routed["adapter"] = {{"family", "mixlora"}, {"settings", base::Json::object()}};
    const fs::path run = m_folder / "run";
    fs::create_directories(run / "checkpoints/step-000001");
    std::ofstream(run / "job.json") << routed.dump();
    std::ofstream(run / "checkpoints/step-000001/adapter_model.safetensors") << "never read";
    const auto refused =
        engine({"export", run.string(), "--format", "merged", "--out", (m_folder / "out").string()});
    EXPECT_EQ(refused.exitStatus(), 2);
    EXPECT_EQ(refused.error, "rankscope-engine: MixLoRA cannot be merged: what it adds depends on the input, "
                             "so no single weight can hold it\n");
    const auto unknown =
        engine({"export", run.string(), "--format", "peft", "--out", (m_folder / "out").string()});
    EXPECT_EQ(unknown.exitStatus(), 2);
    EXPECT_EQ(unknown.error,
              "rankscope-engine: MixLoRA has no form that PEFT knows: what it adds depends on the input\n");
    EXPECT_FALSE(fs::exists(m_folder / "out"));
    EXPECT_EQ(engine({"export", run.string(), "--format", "onnx", "--out", (m_folder / "out").string()})
                  .exitStatus(),
              2);
}

} // namespace
} // namespace rankscope::worker::test

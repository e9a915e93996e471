// SPDX-License-Identifier: Apache-2.0
// A wrong request: exit status 2, one line on standard error that says what to do, and nothing written.
#include "core/base/paths.h"
#include "core/checkpoint/safetensors.h"
#include "tests/unit/worker/job_fixture.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <poll.h>

namespace rankscope::worker::test
{
namespace
{

namespace fs = std::filesystem;

class Refusal : public JobTest
{
protected:
    static void expectOneLine(const engine::Captured& captured, const std::string& sentence)
    {
        EXPECT_EQ(captured.exitStatus(), 2) << captured.error;
        EXPECT_NE(captured.error.find(sentence), std::string::npos) << "got: " << captured.error;
        EXPECT_EQ(std::ranges::count(captured.error, '\n'), 1) << captured.error;
        EXPECT_EQ(captured.output, "");
    }
    void expectNothingWritten() const
    {
        EXPECT_FALSE(fs::exists(m_folder / "runs"));
        EXPECT_TRUE(fs::is_empty(m_folder / "runtime") || fs::is_empty(m_folder / "runtime" / "rankscope"))
            << "the job file for the check was left behind";
    }
    void expectRefused(const base::Json& job, const std::string& sentence) const
    {
        expectOneLine(engine({"run", write("job", job)}), sentence);
        expectNothingWritten();
    }
    void expectChangeRefused(const std::string& changes, const std::string& sentence) const
    {
        expectRefused(job(changes), sentence);
    }
    [[nodiscard]] base::Json withModel(const fs::path& model) const
    {
        return job(base::Json{{"model", {{"path", model.string()}}}}.dump());
    }
    [[nodiscard]] base::Json withData(const std::string& name, const std::string& content) const
    {
        std::ofstream(m_folder / name) << content;
        return job(base::Json{{"data", {{"train", {(m_folder / name).string()}}}}}.dump());
    }
    /// The first bytes of the bundled model, with one number of its header replaced.
    [[nodiscard]] fs::path damagedModel(const std::string& name, std::size_t size, std::size_t offset = 0,
                                        std::uint64_t number = 0) const
    {
        std::string head(size, '\0');
        std::ifstream(base::defaultModel(), std::ios::binary)
            .read(head.data(), static_cast<std::streamsize>(size));
        if (offset > 0)
            std::memcpy(head.data() + offset, &number, sizeof number);
        std::ofstream(m_folder / name, std::ios::binary) << head;
        return m_folder / name;
    }
};

TEST_F(Refusal, AModelThatIsMissingOrBroken)
{
    expectRefused(withModel(m_folder / "none.gguf"), (m_folder / "none.gguf").string());
    // The installed model has this name, but it is not what was asked for.
    const fs::path elsewhere = m_folder / "moved" / base::defaultModel().filename();
    expectRefused(withModel(elsewhere), elsewhere.string());
    expectRefused(withModel(damagedModel("short.gguf", 100)), "short.gguf");
    expectRefused(withModel(damagedModel("cut.gguf", 8 << 20)), "cut.gguf");
    // The header: magic, version, uint64 tensors, uint64 entries, then the first entry's key with its length.
    expectRefused(withModel(damagedModel("tensors.gguf", 8 << 20, 8, std::uint64_t{1} << 60)),
                  "tensors.gguf");
    expectRefused(withModel(damagedModel("entries.gguf", 8 << 20, 16, ~std::uint64_t{0})), "entries.gguf");
    expectRefused(withModel(damagedModel("key.gguf", 8 << 20, 24, std::uint64_t{1} << 62)), "key.gguf");
    std::ofstream(m_folder / "text.gguf") << "this is no model";
    expectRefused(withModel(m_folder / "text.gguf"), "text.gguf");
    fs::create_directories(m_folder / "empty-folder");
    expectRefused(withModel(m_folder / "empty-folder"), "empty-folder");
    expectRefused(
        withModel(fs::path(std::getenv("RANKSCOPE_SOURCE")) / "tests/data/configs/llama2-7b/config.json"),
        "holds no weights");
}

/// Whatever the decoder would miss when it is loaded is found before there is a run.
TEST_F(Refusal, AModelThatLacksATensor)
{
    const fs::path models = fs::path(std::getenv("RANKSCOPE_SOURCE")) / "tests/data/tiny-models";
    for (const auto& [model, tensor] :
         {std::pair{"llama3-scaled-rope", "lm_head.weight"},
          std::pair{"llama3-scaled-rope", "model.layers.1.input_layernorm.weight"},
          std::pair{"qwen3", "model.layers.0.self_attn.k_norm.weight"}}) {
        const fs::path folder = m_folder / "holed";
        fs::remove_all(folder);
        fs::create_directories(folder);
        fs::copy_file(models / model / "config.json", folder / "config.json");
        const auto whole = checkpoint::SafetensorsFile::open(models / model / "model.safetensors");
        ASSERT_TRUE(whole) << whole.error().message;
        std::vector<checkpoint::TensorView> kept;
        for (const auto& [name, view] : whole->tensors()) {
            if (name != tensor)
                kept.push_back(view);
        }
        ASSERT_EQ(kept.size() + 1, whole->tensors().size()) << tensor;
        ASSERT_TRUE(checkpoint::writeSafetensors(folder / "model.safetensors", kept));
        expectRefused(withModel(folder), "has no tensor " + std::string(tensor));
    }
}

TEST_F(Refusal, ACommandWithoutWhatItIsAbout)
{
    for (const char* command : {"evaluate", "export"}) {
        expectOneLine(engine({command}), "RUN_OR_CHECKPOINT is required");
        EXPECT_NE(engine({command, "--help"}).output.find("RUN_OR_CHECKPOINT"), std::string::npos);
        EXPECT_EQ(engine({command, "--help"}).output.find("\n  run "), std::string::npos);
    }
}

/// So is what it would compute of another model, or could not read.
TEST_F(Refusal, AModelWhoseTensorsAreNotWhatItsConfigSays)
{
    const fs::path models = fs::path(std::getenv("RANKSCOPE_SOURCE")) / "tests/data/tiny-models/qwen3";
    const auto whole = checkpoint::SafetensorsFile::open(models / "model.safetensors");
    ASSERT_TRUE(whole) << whole.error().message;
    const fs::path folder = m_folder / "changed";
    fs::create_directories(folder);
    fs::copy_file(models / "config.json", folder / "config.json");
    const auto expectRefusedWith =
        [&](const std::function<void(std::vector<checkpoint::TensorView>&)>& change,
            const std::string& sentence) {
            std::vector<checkpoint::TensorView> tensors;
            for (const auto& item : whole->tensors())
                tensors.push_back(item.second);
            change(tensors);
            ASSERT_TRUE(checkpoint::writeSafetensors(folder / "model.safetensors", tensors));
            expectRefused(withModel(folder), sentence);
        };
    expectRefusedWith(
        [&](auto& tensors) {
            tensors.push_back(*whole->find("model.norm.weight"));
            tensors.back().name = "model.layers.0.self_attn.q_proj.bias";
        },
        "tensor model.layers.0.self_attn.q_proj.bias is no part of the architecture qwen3");
    expectRefusedWith(
        [](auto& tensors) {
            auto& tensor = tensors.front();
            tensor.dtype = checkpoint::DType::I8;
            tensor.bytes = tensor.bytes.first(static_cast<std::size_t>(tensor.elements()));
        },
        "is of type I8");
    auto config = *base::readJsonFile(models / "config.json");
    config["tie_word_embeddings"] = true;
    std::ofstream(folder / "config.json") << config.dump();
    const auto* embedding = whole->find("model.embed_tokens.weight");
    const std::vector<std::byte> other(embedding->bytes.size());
    expectRefusedWith(
        [&](auto& tensors) {
            std::erase_if(tensors, [](const auto& tensor) { return tensor.name == "lm_head.weight"; });
            tensors.push_back(*embedding);
            tensors.back().name = "lm_head.weight";
            tensors.back().bytes = other;
        },
        "set tie_word_embeddings to false");
}

TEST_F(Refusal, AFamilyOrSettingThatDoesNotExist)
{
    expectChangeRefused(R"({"adapter":{"family":"lorra","settings":null}})",
                        "no adapter family named 'lorra'");
    expectChangeRefused(R"({"adapter":{"settings":{"rank":0}}})", "adapter.settings of lora: rank is 0");
    expectChangeRefused(R"({"adapter":{"settings":{"rank":"big"}}})", "rank");
    expectChangeRefused(R"({"adapter":{"settings":{"rnak":4}}})", "rnak");
    expectChangeRefused(R"({"adapter":{"settings":{"targets":["nose_proj"]}}})", "nose_proj");
    expectChangeRefused(
        R"({"adapter":{"family":"mixlora","settings":{"experts":2,"topK":5,"targets":null}}})", "topK");
    expectChangeRefused(R"({"training":{"learningRate":-1}})", "training.learningRate");
    expectChangeRefused(R"({"training":{"stepz":3}})", "training.stepz");
    expectChangeRefused(R"({"colour":"red"})", "colour");
    expectChangeRefused(R"({"device":"cuda:99"})", "cuda:99");
}

TEST_F(Refusal, AJobFileThatIsNoJob)
{
    expectOneLine(engine({"run", (m_folder / "none.json").string()}), "none.json");
    std::ofstream(m_folder / "torn.json") << R"({"name": "x",)";
    expectOneLine(engine({"run", (m_folder / "torn.json").string()}), "torn.json");
    std::ofstream(m_folder / "list.json") << "[1, 2]";
    expectOneLine(engine({"run", (m_folder / "list.json").string()}), "list.json");
    std::ofstream(m_folder / "deep.json") << std::string(100000, '[');
    expectOneLine(engine({"run", (m_folder / "deep.json").string()}), "deep.json");
    expectNothingWritten();
}

TEST_F(Refusal, DataThatIsMissingEmptyOrMalformed)
{
    const std::string good = R"({"instruction":"a","input":"","output":"b","answer":"b"})";
    expectRefused(job(R"({"data":{"train":["/nowhere/train.jsonl"]}})"), "/nowhere/train.jsonl");
    expectRefused(withData("empty.jsonl", ""), "empty.jsonl:1: ");
    expectRefused(withData("hole.jsonl", good + "\n\n" + good + "\n"), "hole.jsonl:2: ");
    expectRefused(withData("torn.jsonl", good + "\n" + good + "\n{\"instruction\": \n"), "torn.jsonl:3: ");
    expectRefused(withData("number.jsonl", good + "\n{\"instruction\":\"a\",\"output\":7}\n"),
                  "number.jsonl:2: ");
    expectRefused(withData("mute.jsonl", good + "\n{\"instruction\":\"a\"}\n"), "mute.jsonl:2: ");
    expectRefused(withData("list.json", "[\n" + good + ",\n{\"instruction\":\"a\",\"output\":\"\"}\n]"),
                  "list.json:3: ");
    expectRefused(withData("rows.csv", "a,b\n"), "rows.csv");
    // Test rows are looked at before the training, not after it.
    std::ofstream(m_folder / "late.jsonl") << good << "\nnothing\n";
    expectRefused(job(R"({"data":{"test":["late.jsonl"]}})"), "late.jsonl:2: ");
}

TEST_F(Refusal, APlaceThatCannotHoldTheRun)
{
    const std::string file = write("job", job());
    expectOneLine(engine({"run", file, "--runs", "/dev/null/runs"}), "is not a folder");
    expectOneLine(engine({"run", file, "--run-dir", file + "/run"}), "is not a folder");
    // No place for files even for root, and no right to write for anybody else.
    expectOneLine(engine({"run", file, "--runs", "/proc/rankscope-runs"}), "cannot be written");
    expectNothingWritten();
}

TEST_F(Refusal, ARunToResumeWhoseModelOrDataIsGone)
{
    const fs::path run = m_folder / "kept";
    fs::create_directories(run);
    for (const auto& [gone, changes] :
         {std::pair{"none.gguf", R"({"model":{"path":"/nowhere/none.gguf"}})"},
          std::pair{"rows.jsonl", R"({"data":{"train":["/nowhere/rows.jsonl"]}})"}}) {
        const std::string before = job(changes).dump();
        std::ofstream(run / "job.json") << before;
        const auto refused = engine({"run", "--resume", "--run-dir", run.string() + "/"});
        expectOneLine(refused, gone);
        EXPECT_NE(refused.error.find("the run kept cannot be resumed"), std::string::npos) << refused.error;
        EXPECT_EQ(bytes(run / "job.json"), before);
        EXPECT_EQ(std::distance(fs::directory_iterator(run), fs::directory_iterator()), 1);
    }
    expectNothingWritten();
}

TEST_F(Refusal, AFileSystemWithoutRoom)
{
    // A file system of 8 MB, in a mount namespace of the test's own.
    const fs::path small = m_folder / "small";
    fs::create_directories(small);
    const auto captured =
        engine::capture("/bin/sh",
                        {"-c",
                         "exec unshare -rm sh -c 'mount -t tmpfs -o size=8m none \"$1\" || exit 77; \"$0\" "
                         "run \"$2\" --runs \"$1/runs\"; "
                         "status=$?; test -e \"$1/runs\" && exit 3; exit $status' \"$0\" \"$1\" \"$2\" 2>&1",
                         engineProgram().string(), small.string(), write("job", job())},
                        deadline);
    ASSERT_TRUE(captured) << captured.error().message;
    if (captured->exitStatus() != 2 && captured->output.find("MB are free") == std::string::npos)
        GTEST_SKIP() << "this machine lets no user mount: " << captured->output;
    EXPECT_EQ(captured->exitStatus(), 2) << captured->output;
    EXPECT_NE(captured->output.find("only 8 MB are free at " + small.string()), std::string::npos)
        << captured->output;
    EXPECT_EQ(std::ranges::count(captured->output, '\n'), 1) << captured->output;
}

TEST_F(Refusal, APluginOfAnotherInterfaceVersion)
{
    auto manifest =
        base::readJsonFile(fs::path(std::getenv("RANKSCOPE_SOURCE")) / "plugins/lora/family.json");
    ASSERT_TRUE(manifest) << manifest.error().message;
    (*manifest)["name"] = "odd";
    (*manifest)["apiVersion"] = 99;
    fs::create_directories(m_folder / "plugins" / "odd");
    std::ofstream(m_folder / "plugins" / "odd" / "family.json") << manifest->dump();
    ::setenv("RANKSCOPE_PLUGINS", (m_folder / "plugins").c_str(), 1);
    const auto refused = engine({"run", write("job", job(R"({"adapter":{"family":"odd"}})"))});
    const auto listed = engine({"families", "--json"});
    ::unsetenv("RANKSCOPE_PLUGINS");
    expectOneLine(refused, "version 99");
    expectNothingWritten();
    EXPECT_EQ(listed.exitStatus(), 0);
    const auto families = base::parseJson(listed.output);
    ASSERT_TRUE(families) << listed.output;
    const auto odd =
        std::ranges::find_if(*families, [](const auto& family) { return family["name"] == "odd"; });
    ASSERT_NE(odd, families->end());
    EXPECT_EQ((*odd)["state"], "incompatible");
    EXPECT_NE((*odd)["error"].get<std::string>().find("99"), std::string::npos);
    EXPECT_EQ(
        std::ranges::count_if(*families, [](const auto& family) { return family["state"] == "loaded"; }),
        static_cast<std::ptrdiff_t>(families->size()) - 1);
}

TEST_F(Refusal, ASocketInUse)
{
    const std::string socket = (m_folder / "socket").string();
    const Started supervisor(engineProgram(),
                             {"serve", "--socket", socket, "--runs", (m_folder / "served").string()});
    const auto until = std::chrono::steady_clock::now() + deadline;
    while (engine({"list", "--socket", socket, "--json"}).exitStatus() != 0 &&
           std::chrono::steady_clock::now() < until)
        ::poll(nullptr, 0, 20);
    expectOneLine(engine({"serve", "--socket", socket, "--runs", (m_folder / "others").string()}), socket);
    EXPECT_FALSE(fs::exists(m_folder / "others"));
    std::ofstream(m_folder / "file") << "x";
    expectOneLine(
        engine({"serve", "--socket", (m_folder / "file").string(), "--runs", (m_folder / "others").string()}),
        "is not a socket");
}

} // namespace
} // namespace rankscope::worker::test

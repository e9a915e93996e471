// SPDX-License-Identifier: Apache-2.0
// Commands that need no supervisor: exit status, the one line of an error, and what is written.
#include "app/engine/supervision_file.h"
#include "core/base/files.h"
#include "core/base/json.h"
#include "core/protocol/family_manifest.h"
#include "core/protocol/job.h"
#include "core/record/journal.h"
#include "core/record/run_directory.h"
#include "tests/unit/engine/engine_fixture.h"

#include <algorithm>
#include <csignal>
#include <fstream>

namespace rankscope::engine::test
{
namespace
{

namespace fs = std::filesystem;

class EngineRun : public EngineTest
{
protected:
    /// The request is wrong: exit 2, one line, and no run directory.
    void expectWrong(const std::vector<std::string>& arguments, const std::string& sentence)
    {
        const Captured captured = engine(arguments);
        EXPECT_EQ(captured.exitStatus(), 2) << captured.error;
        EXPECT_NE(captured.error.find(sentence), std::string::npos) << captured.error;
        EXPECT_EQ(std::ranges::count(captured.error, '\n'), 1) << captured.error;
        EXPECT_EQ(captured.output, "");
        EXPECT_FALSE(fs::exists(runs())) << "something was written";
    }
};

TEST_F(EngineRun, TrainsAndReports)
{
    const Captured captured = engine({"run", job("done")});
    EXPECT_EQ(captured.exitStatus(), 0) << captured.error;
    EXPECT_NE(captured.output.find("arithmetic"), std::string::npos);
    EXPECT_NE(captured.output.find("25.0%"), std::string::npos);
    EXPECT_NE(captured.output.find("75.0%"), std::string::npos);
    EXPECT_NE(captured.output.find(onlyRun().string()), std::string::npos);
    const auto written = protocol::Job::read(onlyRun() / "job.json");
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(written->data.train.front(), (m_folder / "train.jsonl").string());
    EXPECT_TRUE(fs::path(written->model.path).is_absolute());
    EXPECT_EQ(record::openRun(onlyRun())->state(), "done");
}

TEST_F(EngineRun, PrintsOneJsonObject)
{
    const Captured captured =
        engine({"run", job("done"), "--json", "--run-dir", (m_folder / "here").string()});
    EXPECT_EQ(captured.exitStatus(), 0) << captured.error;
    const auto json = base::parseJson(captured.output);
    ASSERT_TRUE(json) << captured.output;
    EXPECT_EQ((*json)["state"], "done");
    EXPECT_EQ((*json)["step"], 3);
    ASSERT_EQ((*json)["tasks"].size(), 2u);
    EXPECT_EQ((*json)["tasks"][0]["task"], "arithmetic");
    EXPECT_EQ((*json)["tasks"][0]["accuracyBefore"], 0.25);
    EXPECT_EQ((*json)["tasks"][1]["accuracyAfter"], 1.0);
    EXPECT_EQ((*json)["tasks"][1]["lossAfter"], nullptr);
    EXPECT_EQ((*json)["meanAccuracyAfter"], 0.875);
    EXPECT_TRUE(fs::exists(m_folder / "here/journal.rec"));
    expectWrong({"run", job("done"), "--run-dir", (m_folder / "here").string()}, "already holds a run");
    expectWrong({"run", "--resume", "--run-dir", (m_folder / "here").string()}, "nothing to resume");
}

TEST_F(EngineRun, SaysWhyTheWorkFailed)
{
    const Captured failed = engine({"run", job("fail"), "--run-dir", (m_folder / "a").string()});
    EXPECT_EQ(failed.exitStatus(), 1);
    EXPECT_NE(failed.error.find("the loss is not finite at step 1"), std::string::npos) << failed.error;

    const Captured crashed = engine({"run", job("crash"), "--run-dir", (m_folder / "b").string(), "--json"});
    EXPECT_EQ(crashed.exitStatus(), 1);
    EXPECT_NE(crashed.error.find("something broke"), std::string::npos) << crashed.error;
    EXPECT_EQ(base::Json::parse(crashed.output)["state"], "failed");
    EXPECT_EQ(record::loadJournal(m_folder / "b/journal.rec")->state(), "failed");

    const Captured mute = engine({"run", job("mute"), "--run-dir", (m_folder / "c").string()});
    EXPECT_EQ(mute.exitStatus(), 1);
    EXPECT_EQ(record::loadJournal(m_folder / "c/journal.rec")->state(), "failed");
}

TEST_F(EngineRun, RefusesAWrongRequestBeforeWriting)
{
    expectWrong({"run", job("wrong")}, "train.jsonl:3: the row is empty");
    expectWrong({"run", job("a", R"({"training":{"stepz":1}})")}, "training.stepz is not a known field");
    expectWrong({"run", job("a", R"({"training":{"steps":0}})")}, "training.steps is 0");
    expectWrong({"run", job("a", R"({"data":{"train":null}})")}, "data.train names no file");
    expectWrong({"run", (m_folder / "none.json").string()}, "none.json");
    expectWrong({"run"}, "name the job file");
    expectWrong({"run", job("done"), "--runs", "/dev/null/runs"}, "is not a folder");
    expectWrong({"run", "--resume", "--run-dir", m_folder.path().string()}, "is not a run directory");
    expectWrong({"run", "--colour", job("done")}, "--colour");
    expectWrong({"walk"}, "walk");
    expectWrong({"snapshot", (m_folder / "none").string(), "-o", (m_folder / "x.h5").string()},
                "there is no run at");
    expectWrong({"plan", job("wrong")}, "the row is empty");
}

TEST_F(EngineRun, InterruptCheckpointsAndResumeGoesOn)
{
    Background run({"run", job("hold"), "--run-dir", (m_folder / "r").string()});
    const Step first = nextStep();
    EXPECT_EQ(first.step, 1);
    run.signal(SIGINT);
    EXPECT_EQ(run.wait(), 0) << run.output();
    EXPECT_NE(run.output().find("press again to kill"), std::string::npos) << run.output();
    const record::RunDirectory directory(m_folder / "r");
    EXPECT_EQ(record::openRun(m_folder / "r")->state(), "stopped");
    EXPECT_EQ(directory.lastCheckpoint()->step, 1);

    Background again({"run", "--resume", "--run-dir", (m_folder / "r/").string()});
    const Step second = nextStep();
    EXPECT_EQ(second.step, 2);
    const Captured busy = engine({"run", "--resume", "--run-dir", (m_folder / "r").string()});
    EXPECT_EQ(busy.exitStatus(), 2);
    ::kill(second.pid, SIGUSR2);
    EXPECT_EQ(again.wait(), 0) << again.output();
    const auto record = record::openRun(m_folder / "r");
    EXPECT_EQ(record->state(), "done");
    EXPECT_EQ(record->measure("train/loss")->steps().size(), 5u);
}

TEST_F(EngineRun, AKilledWorkerIsAFailedRun)
{
    Background run({"run", job("hold"), "--run-dir", (m_folder / "r").string()});
    const Step step = nextStep();
    ::kill(step.pid, SIGKILL);
    EXPECT_EQ(run.wait(), 1);
    EXPECT_NE(run.output().find("killed by signal 9"), std::string::npos) << run.output();
    const auto record = record::openRun(m_folder / "r");
    EXPECT_EQ(record->state(), "failed");
    EXPECT_NE(record->states.back().reason.find("killed by signal 9"), std::string::npos);
    EXPECT_NE(lastLineOf(m_folder / "r/log.txt").find("killed by signal 9"), std::string::npos);
    const auto snapshot = record::openRun(m_folder / "r/run.h5");
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    EXPECT_EQ(snapshot->state(), "failed");
    EXPECT_EQ(snapshot->lastStep(), 1);
}

TEST_F(EngineRun, AJournalThatCouldNotBeReadForAWhileIsReadInTheEnd)
{
    const fs::path folder = m_folder / "r";
    Background run({"run", job("hold"), "--run-dir", folder.string()});
    const Step step = nextStep();
    hideJournal(folder);
    run.waitForOutput("warning: cannot open the journal");
    showJournal(folder);
    ::kill(step.pid, SIGUSR2);
    EXPECT_EQ(run.wait(), 0) << run.output();
    EXPECT_NE(run.output().find("75.0%"), std::string::npos) << run.output();
    const auto record = record::loadJournal(folder / "journal.rec");
    ASSERT_TRUE(record) << record.error().message;
    EXPECT_EQ(record->states.size(), 2u) << "running and done";
    EXPECT_EQ(record->state(), "done");
    EXPECT_EQ(readSupervision(record::RunDirectory(folder))->state, "done");
}

TEST_F(EngineRun, AGoodEndWithAJournalThatCannotBeReadIsNoFailure)
{
    const fs::path folder = m_folder / "r";
    Background run({"run", job("hold"), "--run-dir", folder.string()});
    const Step step = nextStep();
    hideJournal(folder);
    ::kill(step.pid, SIGUSR2);
    EXPECT_EQ(run.wait(), 0) << run.output();
    EXPECT_NE(run.output().find("its journal cannot be read"), std::string::npos) << run.output();
    EXPECT_EQ(readSupervision(record::RunDirectory(folder))->state, "lost");
    showJournal(folder);
    EXPECT_EQ(record::loadJournal(folder / "journal.rec")->state(), "done");
}

TEST_F(EngineRun, AFullDiskIsSaid)
{
    // A file system of its own, in a mount namespace of the test's own.
    const fs::path small = m_folder / "small";
    fs::create_directories(small);
    const auto captured =
        capture("/bin/sh",
                {"-c",
                 "exec unshare -rm sh -c 'mount -t tmpfs -o size=256m none \"$1\" || exit 77; \"$0\" "
                 "run \"$2\" --json --run-dir \"$1/run\"; status=$?; cat \"$1/run/supervision.json\" >&2; "
                 "exit $status' \"$0\" \"$1\" \"$2\"",
                 engineProgram().string(), small.string(), job("full")},
                deadline);
    ASSERT_TRUE(captured) << captured.error().message;
    if (captured->exitStatus() == 77 || captured->error.starts_with("unshare"))
        GTEST_SKIP() << "this machine lets no user mount: " << captured->error;
    EXPECT_EQ(captured->exitStatus(), 1) << captured->error;
    const auto brace = captured->error.find('{');
    ASSERT_NE(brace, std::string::npos) << captured->error;
    EXPECT_NE(captured->error.substr(0, brace).find("No space left on device"), std::string::npos)
        << captured->error;
    const auto supervision = base::parseJson(captured->error.substr(brace));
    ASSERT_TRUE(supervision) << captured->error;
    EXPECT_EQ((*supervision)["state"], "failed");
    EXPECT_NE((*supervision)["reason"].get<std::string>().find("No space left on device"), std::string::npos);
    EXPECT_EQ(base::Json::parse(captured->output)["state"], "failed");
}

TEST_F(EngineRun, ADiskThatCannotHoldTheCheckpointsIsSaidBeforeWriting)
{
    expectWrong({"run", job("huge")}, "needs 1073741888 MB for its records and 1 checkpoint;");
    const std::string often = R"({"training":{"checkpointEvery":3}})"; // after steps 3, 6, 9 and 10
    expectWrong({"run", job("huge", often)}, "needs 4294967360 MB for its records and 4 checkpoints;");
    expectWrong({"run", job("huge", often)}, "MB are free at " + runs().string());
    expectWrong({"submit", job("huge"), "--socket", socket().string()}, "1 checkpoint;");

    const record::RunDirectory kept(m_folder / "kept");
    fs::create_directories(kept.checkpoint(6));
    std::ofstream(kept.checkpoint(6) / "adapter_model.safetensors") << "x";
    std::ofstream(kept.job()) << jobText("huge", often);
    expectWrong({"run", "--resume", "--run-dir", kept.folder().string()},
                "needs 2147483712 MB for its records and 2 checkpoints;");
}

TEST_F(EngineRun, CompletesSettingsFromTheManifestWhoseLibraryIsLoaded)
{
    const auto write = [this](const std::string& folder, int version, int rank) {
        fs::create_directories(m_folder / "plugins" / folder);
        std::ofstream(m_folder / "plugins" / folder / "family.json") << base::Json{
            {"name", "twice"},
            {"title", "Twice"},
            {"library", "a.so"},
            {"apiVersion", version},
            {"scope", "module"},
            {"settings",
             {{"type", "object"}, {"properties", {{"rank", {{"type", "integer"}, {"default", rank}}}}}}}};
    };
    for (const int other : {7, 8, 9}) // so that any order but that of the names shows
        write("twice-" + std::to_string(other), protocol::pluginApiVersion, other);
    write("twice", protocol::pluginApiVersion, 5);
    write("future", protocol::pluginApiVersion + 1, 6);
    ::setenv("RANKSCOPE_PLUGINS", (m_folder / "plugins").c_str(), 1);
    const Captured captured = engine({"run", job("done", R"({"adapter":{"family":"twice"}})")});
    ::unsetenv("RANKSCOPE_PLUGINS");
    EXPECT_EQ(captured.exitStatus(), 0) << captured.error;
    EXPECT_EQ(protocol::Job::read(onlyRun() / "job.json")->adapter.settings, (base::Json{{"rank", 5}}));
}

TEST_F(EngineRun, AFolderWhoseNameIsNoTextIsRefused)
{
    const fs::path odd = m_folder / "sch\xF6n";
    fs::create_directories(odd);
    fs::copy_file(job("done", R"({"data":{"train":["rows.jsonl"]}})"), odd / "job.json");
    expectWrong({"plan", (odd / "job.json").string()}, "is not UTF-8 text");
    expectWrong({"run", (odd / "job.json").string()}, "is not UTF-8 text");
    expectWrong({"run", job("done"), "--runs", odd.string()}, odd.string() + " is not UTF-8 text");
    expectWrong({"run", job("done"), "--run-dir", (odd / "r").string()}, "is not UTF-8 text");
    expectWrong({"serve", "--socket", socket().string(), "--runs", odd.string()}, "is not UTF-8 text");
    EXPECT_EQ(std::distance(fs::directory_iterator(odd), fs::directory_iterator()), 1);
}

TEST_F(EngineRun, AWorkingFolderThatIsGone)
{
    const auto inGone = [this](const std::vector<std::string>& arguments) {
        std::vector<std::string> words{
            "-c",
            "mkdir -p \"$0/gone\" && cd \"$0/gone\" && rmdir \"$0/gone\" && exec \"$@\"",
            m_folder.path().string(),
            "env",
            "-u",
            "RANKSCOPE_RUNS",
            "-u",
            "RANKSCOPE_MODEL",
            engineProgram().string()};
        words.insert(words.end(), arguments.begin(), arguments.end());
        const auto captured = capture("/bin/sh", words, deadline);
        EXPECT_TRUE(captured);
        EXPECT_EQ(std::ranges::count(captured->error, '\n'), captured->exitStatus() == 0 ? 0 : 1)
            << captured->error;
        return captured->exitStatus();
    };
    EXPECT_EQ(inGone({"run", job("done")}), 2);
    EXPECT_EQ(inGone({"run", "job.json"}), 2);
    EXPECT_EQ(inGone({"run", "--resume", "--run-dir", "r"}), 2);
    EXPECT_EQ(inGone({"serve", "--socket", socket().string()}), 2);
    EXPECT_EQ(inGone({"serve", "--socket", "s", "--runs", runs().string()}), 2);
    EXPECT_EQ(inGone({"submit", job("done"), "--socket", socket().string()}), 2);
    EXPECT_EQ(inGone({"snapshot", "r", "-o", "x.h5"}), 2);
    // What needs none does its work.
    EXPECT_EQ(inGone({"plan", job("done"), "--json"}), 0);
    EXPECT_EQ(inGone({"plan", job("installed", R"({"model":{"path":""}})"), "--json"}), 0);
    EXPECT_FALSE(fs::exists(runs()));
}

TEST_F(EngineRun, AWrongJobStartsNoSupervisor)
{
    for (const auto& file : {job("wrong"), job("a", R"({"training":{"steps":0}})"),
                             job("b", R"({"data":{"train":["/nowhere/rows.jsonl"]}})")}) {
        const Captured captured = engine({"submit", file, "--socket", socket().string()});
        EXPECT_EQ(captured.exitStatus(), 2) << captured.error;
        EXPECT_EQ(std::ranges::count(captured.error, '\n'), 1) << captured.error;
    }
    EXPECT_FALSE(fs::exists(runs()));
    EXPECT_FALSE(fs::exists(socket()));
    EXPECT_FALSE(fs::exists(m_folder / "s.lock"));
    EXPECT_FALSE(fs::exists(m_folder / "state"));
}

TEST_F(EngineRun, AsksTheWorker)
{
    const Captured plan =
        engine({"plan", job("p", R"({"adapter":{"family":"any","settings":{"rank":3}}})"), "--json"});
    EXPECT_EQ(plan.exitStatus(), 0) << plan.error;
    EXPECT_EQ(base::Json::parse(plan.output)["trainableParameters"], 300);
    const Captured read =
        engine({"plan", job("p", R"({"adapter":{"family":"any","settings":{"rank":12345}}})")});
    EXPECT_NE(read.output.find(" 1,234,500\n"), std::string::npos) << read.output;
    EXPECT_NE(read.output.find("10 % of the base model, 9 % of all parameters"), std::string::npos)
        << read.output;
    const Captured families = engine({"families", "--json"});
    EXPECT_EQ(base::Json::parse(families.output)[1]["error"], "it has no entry point");
    EXPECT_NE(engine({"families"}).output.find("it has no entry point"), std::string::npos);
    const Captured passed = engine({"evaluate", "DIR", "--data", "a b", "--json", "--help"});
    EXPECT_EQ(passed.exitStatus(), 7);
    EXPECT_EQ(passed.output, "[evaluate][DIR][--data][a b][--json][--help]");
    EXPECT_EQ(passed.error, "rankscope-engine: said\n");
}

TEST_F(EngineRun, WritesASnapshot)
{
    ASSERT_EQ(engine({"run", job("done")}).exitStatus(), 0);
    const std::string file = (m_folder / "x.h5").string();
    const Captured captured = engine({"snapshot", onlyRun().filename().string(), "-o", file});
    EXPECT_EQ(captured.exitStatus(), 0) << captured.error;
    EXPECT_EQ(record::openRun(file)->measure("eval/accuracy")->series(1), (std::vector<float>{0.5F, 1.0F}));
    EXPECT_EQ(engine({"snapshot", onlyRun().string() + "/", "-o", file}).exitStatus(), 0);
    EXPECT_EQ(engine({"snapshot", onlyRun().string(), "-o", "/dev/null/x.h5"}).exitStatus(), 2);
    const std::string text = (m_folder / "train.jsonl").string();
    std::ofstream(text) << "this is no journal, and longer than a frame's head\n";
    const Captured wrong = engine({"snapshot", text, "-o", file});
    EXPECT_EQ(wrong.exitStatus(), 2);
    EXPECT_NE(wrong.error.find(text), std::string::npos) << wrong.error;
}

} // namespace
} // namespace rankscope::engine::test

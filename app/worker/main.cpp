// SPDX-License-Identifier: Apache-2.0
// rankscope-worker: one job. Started by rankscope-engine; the only program that links LibTorch.
#include "app/worker/describe_commands.h"
#include "app/worker/evaluate_command.h"
#include "app/worker/export_command.h"
#include "app/worker/report.h"
#include "app/worker/train_command.h"

#include <CLI/CLI.hpp>
#include <c10/util/Exception.h>

// Activations of a step are freed and asked for again in the next one, in other sizes. glibc either gives
// each large block back to the system and faults its pages in anew, or keeps them and fragments; jemalloc
// keeps and joins them: measured on the sample job, a fifth less time and memory. It reads its options from
// this symbol when the program starts.
extern "C" {
// NOLINTNEXTLINE(readability-identifier-naming)
const char* malloc_conf = "oversize_threshold:0,narenas:1,dirty_decay_ms:30000,muzzy_decay_ms:0,thp:always";
}

namespace
{

int run(int argc, char** argv)
{
    CLI::App app("One Rankscope job; started by rankscope-engine");
    app.require_subcommand(1);
    std::filesystem::path runDir;
    std::filesystem::path jobFile;
    std::filesystem::path target;
    std::vector<std::string> data;
    bool resume = false;
    bool serve = false;
    bool json = false;

    auto* train = app.add_subcommand("train", "Train the job of a run directory");
    train->add_option("--run-dir", runDir, "The run directory; holds job.json")->required();
    train->add_flag("--resume", resume, "Go on from the last checkpoint");
    auto* check = app.add_subcommand("check", "Check a job without training");
    check->add_option("--job", jobFile, "A complete job file")->required();
    auto* plan = app.add_subcommand("plan", "Count parameters and memory from shapes alone");
    plan->add_option("--job", jobFile, "A complete job file");
    plan->add_flag("--serve", serve, "Answer requests on stdin, a line each");
    auto* families = app.add_subcommand("families", "List every adapter plugin");
    auto* evaluate = app.add_subcommand("evaluate", "Per-task accuracy of a run or checkpoint");
    evaluate->add_option("RUN_OR_CHECKPOINT", target, "A run directory or a checkpoint in it")->required();
    evaluate->add_option("--data", data, "Files of test rows; without it the run's own");
    rankscope::worker::ExportRequest request;
    auto* exporting = app.add_subcommand("export", "Write a trained adapter for other programs");
    exporting
        ->add_option("RUN_OR_CHECKPOINT", request.runOrCheckpoint, "A run directory or a checkpoint in it")
        ->required();
    exporting->add_option("--format", request.format, "merged: a Hugging Face model; peft: a PEFT adapter")
        ->check(CLI::IsMember({"merged", "peft"}));
    exporting->add_option("--dtype", request.dtype, "Of a merged model; auto: as the base is stored")
        ->check(CLI::IsMember({"auto", "f32", "bf16", "f16"}));
    exporting->add_option("-o,--out", request.folder, "The folder to write")->required();
    for (auto* command : {plan, families, evaluate})
        command->add_flag("--json", json, "Print one JSON object");
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) { // --help
        return app.exit(success);
    } catch (const CLI::ParseError& error) {
        return rankscope::worker::report(std::string(error.what()) + "; see --help", 2);
    }
    if (*train)
        return rankscope::worker::trainCommand(runDir, resume);
    if (*check)
        return rankscope::worker::checkCommand(jobFile);
    if (*plan)
        return serve ? rankscope::worker::servePlans() : rankscope::worker::planCommand(jobFile);
    if (*families)
        return rankscope::worker::familiesCommand();
    if (*exporting)
        return rankscope::worker::exportCommand(request);
    return rankscope::worker::evaluateCommand(target, data, json);
}

} // namespace

int main(int argc, char** argv)
{
    try {
        return run(argc, argv);
    } catch (const c10::Error& error) {
        return rankscope::worker::report(error.what_without_backtrace(), 1);
    } catch (const std::exception& error) {
        return rankscope::worker::report(error.what(), 1);
    }
}

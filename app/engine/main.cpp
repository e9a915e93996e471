// SPDX-License-Identifier: Apache-2.0
// rankscope-engine: everything the window does, from a shell. Exit status 0 done, 1 the work failed, 2 the
// request was wrong; errors are one line on standard error; --json prints one JSON value on standard output.
#include "app/engine/plan_commands.h"
#include "app/engine/queue_commands.h"
#include "app/engine/run_command.h"
#include "app/engine/serve_command.h"
#include "app/engine/snapshot_command.h"
#include "app/engine/worker_program.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <functional>

namespace
{

using namespace rankscope;
using engine::ExitCode;

/// A command that is the worker's own, with the same arguments.
bool isWorkerCommand(const std::string& command)
{
    return command == "evaluate" || command == "export";
}

ExitCode becomeWorker(int argc, char** argv)
{
    const auto worker = engine::WorkerProgram::find();
    if (!worker)
        return engine::report(ExitCode::WrongRequest, worker.error());
    return engine::report(ExitCode::Failed, worker->become({argv + 1, argv + argc}));
}

/// The command line; `chosen` is what the parsed one asks for.
class CommandLine
{
public:
    CommandLine()
    {
        m_app.set_version_flag("--version", "rankscope-engine " RANKSCOPE_VERSION);
        m_app.require_subcommand(1);
        addRun();
        addServe();
        addQueue();
        addQuestions();
        m_app.add_subcommand("evaluate", "Per-task accuracy: evaluate RUN_OR_CHECKPOINT --data FILE...");
        m_app.add_subcommand("export", "A trained adapter for other programs: export RUN_OR_CHECKPOINT "
                                       "--format merged|peft --out FOLDER");
    }

    int execute(int argc, char** argv)
    {
        if (argc > 1 && argv[1][0] != '-' && !knows(argv[1]))
            return static_cast<int>(
                engine::report(ExitCode::WrongRequest,
                               Error{std::string("there is no command '") + argv[1] + "'; see --help"}));
        try {
            m_app.parse(argc, argv);
        } catch (const CLI::Success& success) {
            return m_app.exit(success); // --help, --version
        } catch (const CLI::ParseError& error) {
            return static_cast<int>(
                engine::report(ExitCode::WrongRequest, Error{std::string(error.what()) + "; see --help"}));
        }
        return static_cast<int>(m_chosen());
    }

private:
    [[nodiscard]] bool knows(const std::string& command) const
    {
        return std::ranges::any_of(m_app.get_subcommands([](const CLI::App*) { return true; }),
                                   [&](const CLI::App* one) { return one->get_name() == command; });
    }

    void addRun()
    {
        auto* run = m_app.add_subcommand("run", "Train in the foreground; ^C checkpoints and stops");
        run->add_option("JOB", m_run.job, "The job file (with --resume: a run directory)");
        auto* runs = run->add_option("--runs", m_run.runs, "Folder in which the run directory is made");
        run->add_option("--run-dir", m_run.runDirectory, "The run directory itself")->excludes(runs);
        run->add_flag("--resume", m_run.resume, "Continue the run in --run-dir from its last checkpoint");
        run->add_flag("--json", m_run.json, "Print the final metrics as a JSON object");
        run->callback([this] { m_chosen = [this] { return engine::runCommand(m_run); }; });
    }

    void addServe()
    {
        auto* serve = m_app.add_subcommand("serve", "Supervise a queue of jobs on a unix socket");
        serve->add_option("--socket", m_serve.socket, "Path of the socket");
        serve->add_option("--runs", m_serve.runs, "Folder of the run directories");
        serve->add_option("--jobs", m_serve.jobs, "Jobs at a time")->check(CLI::Range(1, 64));
        serve->callback([this] { m_chosen = [this] { return engine::serveCommand(m_serve); }; });
    }

    void addQueue()
    {
        auto* submit = m_app.add_subcommand("submit", "Queue a job; starts a supervisor if none answers");
        submit->add_option("JOB", m_queue.job, "The job file")->required();
        submit->add_option("--runs", m_queue.runs,
                           "Folder of the run directories, if a supervisor is started");
        addQueueCommand(submit, engine::submitCommand);
        addQueueCommand(m_app.add_subcommand("list", "The runs a supervisor knows"), engine::listCommand);
        const std::tuple<const char*, const char*, ExitCode (*)(const engine::QueueOptions&)> ofARun[] = {
            {"watch", "Follow a run until it ends", engine::watchCommand},
            {"stop", "Finish the step, checkpoint and stop", engine::stopCommand},
            {"resume", "Queue a stopped, failed or lost run again", engine::resumeCommand}};
        for (const auto& [name, text, command] : ofARun) {
            auto* subcommand = m_app.add_subcommand(name, text);
            subcommand->add_option("RUN", m_queue.run, "Name of the run directory")->required();
            addQueueCommand(subcommand, command);
            if (command == engine::stopCommand)
                subcommand->add_flag("--now", m_queue.now,
                                     "Kill the job: what it did since its last checkpoint is lost");
        }
    }

    void addQueueCommand(CLI::App* subcommand, ExitCode (*command)(const engine::QueueOptions&))
    {
        subcommand->add_option("--socket", m_queue.socket, "The supervisor's socket");
        subcommand->add_flag("--json", m_queue.json, "Print a JSON object");
        subcommand->callback([this, command] { m_chosen = [this, command] { return command(m_queue); }; });
    }

    void addQuestions()
    {
        auto* plan = m_app.add_subcommand("plan", "Trainable parameters and memory, from shapes alone");
        plan->add_option("JOB", m_job, "The job file")->required();
        plan->add_flag("--json", m_json, "Print a JSON object");
        plan->callback([this] { m_chosen = [this] { return engine::planCommand(m_job, m_json); }; });
        auto* families = m_app.add_subcommand("families", "Every plugin, its state, its parameters");
        families->add_flag("--json", m_json, "Print a JSON list");
        families->callback([this] { m_chosen = [this] { return engine::familiesCommand(m_json); }; });
        auto* snapshot = m_app.add_subcommand("snapshot", "A run as one HDF5 file");
        snapshot->add_option("RUN", m_job, "A run directory, a journal.rec or a snapshot")->required();
        snapshot->add_option("-o,--output", m_output, "The file to write")->required();
        snapshot->callback(
            [this] { m_chosen = [this] { return engine::snapshotCommand(m_job, m_output); }; });
    }

    CLI::App m_app{"Trains, watches and analyses adapters of language models", "rankscope-engine"};
    engine::RunOptions m_run;
    engine::ServeOptions m_serve;
    engine::QueueOptions m_queue;
    std::filesystem::path m_job;
    std::filesystem::path m_output;
    bool m_json = false;
    std::function<ExitCode()> m_chosen;
};

} // namespace

int main(int argc, char** argv)
{
    // gRPC would print its own lines beside ours.
    ::setenv("GRPC_VERBOSITY", "NONE", 0);
    try {
        if (argc > 1 && isWorkerCommand(argv[1]))
            return static_cast<int>(becomeWorker(argc, argv));
        return CommandLine().execute(argc, argv);
    } catch (const std::exception& error) {
        return static_cast<int>(engine::report(ExitCode::Failed, Error{error.what()}));
    }
}

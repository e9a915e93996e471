// SPDX-License-Identifier: Apache-2.0
// A worker that trains nothing. The job's name says what it does:
//   done    three steps and two evaluations, then ends well
//   fail    says that it failed, exit 1
//   changed as fail, but refuses to go on: exit 2 before it writes anything
//   crash   exit 3 after a line on stderr, no last state
//   mute    exit 0 without a last state
//   full    fills the file system of its run directory, then fails to write its journal
//   hold    one step, then waits for signals: USR1 one more step, USR2 ends well, TERM or INT stops with a
//           checkpoint
//   late    as hold, but waits for USR1 before it opens the journal
//   unready one step, then dies of TERM and INT
//   wrong   is refused by `check`
//   huge    needs 1 PiB for a checkpoint, says `check`
// Like the real one it is started with TERM and INT blocked; hold takes those that came before it waits.
// When a step is written, a line "step PID N" goes into the FIFO named by FAKE_WORKER_EVENTS.
#include "core/base/json.h"
#include "core/protocol/job.h"
#include "core/record/journal.h"
#include "core/record/run_directory.h"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <unistd.h>

namespace
{

using namespace rankscope;

class FakeTraining
{
public:
    FakeTraining(record::RunDirectory run, bool resume) : m_run(std::move(run)), m_resume(resume) {}

    int execute()
    {
        const auto job = protocol::Job::read(m_run.job());
        if (!job)
            return complain(job.error().message, 2);
        if (job->name == "changed" && m_resume)
            return complain("the data file has changed since this run began", 2);
        if (job->name == "late")
            waitForUser();
        auto writer = record::JournalWriter::open(m_run.journal());
        if (!writer)
            return complain(writer.error().message, 1);
        m_writer = &*writer;
        begin(*job);
        if (job->name == "done")
            return finish();
        if (job->name == "fail" || job->name == "changed") {
            state("failed", "the loss is not finite at step 1");
            return complain("the loss is not finite at step 1", 1);
        }
        if (job->name == "crash")
            return complain("something broke", 3);
        if (job->name == "mute")
            return 0;
        if (job->name == "unready")
            dieOfSignals();
        if (job->name == "full")
            fillTheDisk();
        return hold();
    }

private:
    static int complain(const std::string& text, int code)
    {
        std::cerr << "rankscope-worker: " << text << std::endl;
        return code;
    }

    void write(const protocol::JournalEvent& event) const
    {
        if (const auto status = m_writer->append(event); !status)
            std::exit(complain(status.error().message, 1));
    }

    void state(const std::string& name, const std::string& reason = {}) const
    {
        protocol::JournalEvent event;
        event.mutable_state()->set_state(name);
        event.mutable_state()->set_reason(reason);
        write(event);
    }

    void begin(const protocol::Job& job)
    {
        protocol::JournalEvent event;
        event.mutable_run()->set_job_json(job.toJson().dump());
        event.mutable_run()->set_total_steps(job.training.steps);
        event.mutable_run()->set_trainable_parameters(1000);
        write(event);
        if (m_resume) {
            const auto before = record::loadJournal(m_run.journal());
            m_step = before ? before->lastStep() : 0;
            event.mutable_rewound()->set_step(m_step);
            write(event);
        }
        state("running");
        define(1, "train/loss", false);
        define(2, "eval/accuracy", true);
    }

    void define(std::uint32_t id, const std::string& name, bool byTask) const
    {
        protocol::JournalEvent event;
        event.mutable_measure_defined()->set_id(id);
        event.mutable_measure_defined()->set_name(name);
        if (byTask) {
            auto* axis = event.mutable_measure_defined()->add_axes();
            axis->set_name("task");
            axis->add_labels("arithmetic");
            axis->add_labels("logic");
        }
        write(event);
    }

    void values(std::uint32_t id, std::int64_t step, std::initializer_list<float> numbers) const
    {
        protocol::JournalEvent event;
        event.mutable_measure_values()->set_id(id);
        event.mutable_measure_values()->set_step(step);
        for (const float number : numbers)
            event.mutable_measure_values()->add_values(number);
        write(event);
    }

    void tell() const
    {
        if (const char* events = std::getenv("FAKE_WORKER_EVENTS")) {
            std::ofstream(events) << "step " + std::to_string(::getpid()) + " " + std::to_string(m_step) +
                                         "\n"
                                  << std::flush;
        }
    }

    void step()
    {
        ++m_step;
        values(1, m_step, {1.0F / static_cast<float>(m_step)});
        tell();
    }

    void waitForUser() const
    {
        sigset_t signals;
        ::sigemptyset(&signals);
        ::sigaddset(&signals, SIGUSR1);
        ::sigprocmask(SIG_BLOCK, &signals, nullptr);
        tell();
        int signal = 0;
        ::sigwait(&signals, &signal);
    }

    [[noreturn]] void dieOfSignals()
    {
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        step();
        for (;;)
            ::pause();
    }

    [[noreturn]] void fillTheDisk()
    {
        const int filler = ::open((m_run.folder() / "filler").c_str(), O_WRONLY | O_CREAT, 0600);
        off_t size = 0;
        for (const off_t piece : {off_t{1} << 20, off_t{1} << 12}) {
            while (::posix_fallocate(filler, size, piece) == 0)
                size += piece;
        }
        for (;;)
            step();
    }

    int finish()
    {
        if (m_step == 0)
            values(2, 0, {0.25F, 0.5F});
        for (int i = 0; i < 3; ++i) {
            ++m_step;
            values(1, m_step, {1.0F / static_cast<float>(m_step)});
        }
        values(2, m_step, {0.75F, 1.0F});
        state("done");
        return 0;
    }

    int hold()
    {
        sigset_t signals;
        ::sigemptyset(&signals);
        for (const int signal : {SIGUSR1, SIGUSR2, SIGTERM, SIGINT})
            ::sigaddset(&signals, signal);
        ::sigprocmask(SIG_BLOCK, &signals, nullptr);
        for (;;) {
            step();
            int signal = 0;
            ::sigwait(&signals, &signal);
            if (signal == SIGUSR2)
                return finish();
            if (signal != SIGUSR1)
                break;
        }
        std::filesystem::create_directories(m_run.checkpoint(m_step));
        std::ofstream(m_run.checkpoint(m_step) / "adapter_model.safetensors") << "x";
        protocol::JournalEvent event;
        event.mutable_checkpoint()->set_step(m_step);
        event.mutable_checkpoint()->set_path(
            m_run.checkpoint(m_step).lexically_relative(m_run.folder()).string());
        write(event);
        state("stopped");
        return 0;
    }

    record::RunDirectory m_run;
    bool m_resume;
    record::JournalWriter* m_writer = nullptr;
    std::int64_t m_step = 0;
};

/// One plan; the rank is what it depends on, so that answers can be told apart.
base::Json plan(const base::Json& job)
{
    if (job.value("name", "") == "wrong")
        return {{"error", "the model has no shapes"}};
    return {{"trainableParameters", 100 * job["adapter"]["settings"].value("rank", 1)},
            {"baseParameters", 1000},
            {"trainablePercent", 9.0},
            {"percentOfBase", 10.0},
            {"memoryBytes", 1}};
}

int servePlans()
{
    std::string line;
    while (std::getline(std::cin, line)) {
        const auto request = base::parseJson(line);
        std::cout << plan((*request)["job"]).dump() << std::endl;
    }
    return 0;
}

} // namespace

int main(int argc, char** argv)
{
    const std::vector<std::string> words(argv + 1, argv + argc);
    const std::string command = words.empty() ? "" : words[0];
    if (command == "train")
        return FakeTraining(record::RunDirectory(words[2]), words.size() > 3 && words[3] == "--resume")
            .execute();
    if (command == "plan" && words[1] == "--serve")
        return servePlans();
    if (command == "check" || command == "plan") {
        const auto job = base::readJsonFile(words[2]);
        const std::string data = (*job)["data"]["train"].empty() ? "" : (*job)["data"]["train"][0];
        const bool missing = command == "check" && !std::filesystem::exists(data);
        const bool wrong = (*job)["name"] == "wrong";
        if (missing)
            std::cerr << "rankscope-worker: cannot open " << data << ": No such file or directory\n";
        else if (wrong)
            std::cerr << "rankscope-worker: train.jsonl:3: the row is empty\n";
        else if (command == "plan")
            std::cout << plan(*job).dump() << "\n";
        else
            std::cout << R"({"checkpointBytes":)" << ((*job)["name"] == "huge" ? 1LL << 50 : 1000) << "}\n";
        return wrong || missing ? 2 : 0;
    }
    if (command == "families") {
        std::cout << R"([{"name":"lora","state":"loaded","path":"p","error":""},)"
                  << R"({"name":"odd","state":"failed","path":"q","error":"it has no entry point"}])"
                  << "\n";
        return 0;
    }
    std::cerr << argv[0] << ": said\n";
    for (const auto& word : words) // evaluate: says what it was given
        std::cout << "[" << word << "]";
    return 7;
}

// SPDX-License-Identifier: Apache-2.0
// Writes a small run for readers that are not ours: record_sample FOLDER makes journal.rec and run.h5 there.
#include "core/record/journal.h"
#include "core/record/run_directory.h"
#include "core/record/snapshot.h"

#include <iostream>
#include <limits>

namespace
{

using rankscope::Status;
namespace record = rankscope::record;
namespace protocol = rankscope::protocol;

std::vector<protocol::JournalEvent> events()
{
    std::vector<protocol::JournalEvent> list(6);
    auto& run = *list[0].mutable_run();
    run.set_job_json("{\"name\": \"sämple\"}");
    run.set_device("cpu (2 threads)");
    run.set_trainable_parameters(921600);
    run.add_tasks("arithmetic");
    run.add_tasks("logic");
    list[1].mutable_state()->set_state("running");
    auto& loss = *list[2].mutable_measure_defined();
    loss.set_id(1);
    loss.set_name("train/task_loss");
    loss.set_title("Loss by task");
    loss.set_unit("nats");
    loss.set_definition("mean negative log-likelihood");
    auto& axis = *loss.add_axes();
    axis.set_name("task");
    axis.add_labels("arithmetic");
    axis.add_labels("logic");
    for (int step = 1; step <= 3; ++step) {
        auto& values = *list[static_cast<std::size_t>(step) + 2].mutable_measure_values();
        values.set_id(1);
        values.set_step(10 * step);
        values.add_values(1.0F / static_cast<float>(step));
        values.add_values(step == 2 ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(step));
    }
    return list;
}

Status write(const std::filesystem::path& folder)
{
    const record::RunDirectory run(folder);
    RANKSCOPE_TRY(auto writer, record::JournalWriter::open(run.journal()));
    for (const auto& event : events())
        RANKSCOPE_CHECK(writer.append(event));
    RANKSCOPE_TRY(const auto loaded, record::loadJournal(run.journal()));
    return record::writeSnapshot(loaded, run.snapshot());
}

} // namespace

int main(int argc, char** argv)
{
    if (argc != 2) {
        std::cerr << "usage: record_sample FOLDER\n";
        return 2;
    }
    if (const auto status = write(argv[1]); !status) {
        std::cerr << status.error().message << "\n";
        return 1;
    }
    return 0;
}

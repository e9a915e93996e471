// SPDX-License-Identifier: Apache-2.0
#include "core/train/run_log.h"

#include "core/base/files.h"
#include "core/record/snapshot.h"

#include <chrono>

namespace rankscope::train
{

RunLog::RunLog(record::RunDirectory directory, record::JournalWriter journal, record::RunRecord run)
    : m_directory(std::move(directory)),
      m_journal(std::move(journal)),
      m_run(std::move(run))
{
}

Result<RunLog> RunLog::open(const record::RunDirectory& directory)
{
    RANKSCOPE_TRY(auto journal, record::JournalWriter::open(directory.journal()));
    // The journal is held: nobody else writes a snapshot here, and what a killed process left is only litter.
    base::removeAbandonedParts(directory.folder());
    record::RunRecord run;
    if (journal.position() > 0) {
        RANKSCOPE_TRY(run, record::loadJournal(directory.journal()));
    }
    return RunLog(directory, std::move(journal), std::move(run));
}

Status RunLog::append(protocol::JournalEvent event)
{
    event.set_time_us(std::chrono::duration_cast<std::chrono::microseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count());
    RANKSCOPE_CHECK(record::applyEvent(m_run, event));
    return m_journal.append(std::move(event));
}

Status RunLog::describe(const protocol::RunDescribed& description)
{
    protocol::JournalEvent event;
    *event.mutable_run() = description;
    // A reader that starts here must find every measure announced again.
    m_ids.clear();
    return append(std::move(event));
}

Status RunLog::state(const std::string& state, const std::string& reason)
{
    protocol::JournalEvent event;
    event.mutable_state()->set_state(state);
    event.mutable_state()->set_reason(reason);
    RANKSCOPE_CHECK(append(std::move(event)));
    return sync();
}

Status RunLog::notice(const std::string& severity, const std::string& text)
{
    protocol::JournalEvent event;
    event.mutable_notice()->set_severity(severity);
    event.mutable_notice()->set_text(text);
    return append(std::move(event));
}

Status RunLog::progress(const std::string& phase, std::int64_t done, std::int64_t total,
                        double remainingSeconds)
{
    protocol::JournalEvent event;
    auto* progress = event.mutable_progress();
    progress->set_phase(phase);
    progress->set_done(done);
    progress->set_total(total);
    progress->set_remaining_seconds(remainingSeconds);
    return append(std::move(event));
}

Status RunLog::checkpoint(std::int64_t step, const std::string& path)
{
    protocol::JournalEvent event;
    event.mutable_checkpoint()->set_step(step);
    event.mutable_checkpoint()->set_path(path);
    RANKSCOPE_CHECK(append(std::move(event)));
    return sync();
}

Status RunLog::rewind(std::int64_t step)
{
    protocol::JournalEvent event;
    event.mutable_rewound()->set_step(step);
    return append(std::move(event));
}

Status RunLog::record(const analysis::Measured& measured, std::int64_t step)
{
    const auto& info = measured.info;
    auto found = m_ids.find(info.name);
    const record::Measure* known = m_run.measure(info.name);
    if (found == m_ids.end() || !known || known->info() != info) {
        protocol::JournalEvent event;
        auto* defined = event.mutable_measure_defined();
        defined->set_id(m_nextId);
        defined->set_name(info.name);
        defined->set_title(info.title);
        defined->set_unit(info.unit);
        defined->set_definition(info.definition);
        for (const auto& axis : info.axes) {
            auto* out = defined->add_axes();
            out->set_name(axis.name);
            out->set_unit(axis.unit);
            for (const auto& label : axis.labels)
                out->add_labels(label);
        }
        RANKSCOPE_CHECK(append(std::move(event)));
        m_ids[info.name] = m_nextId++;
        found = m_ids.find(info.name);
    }
    protocol::JournalEvent event;
    auto* values = event.mutable_measure_values();
    values->set_id(found->second);
    values->set_step(step);
    values->mutable_values()->Add(measured.values.begin(), measured.values.end());
    return append(std::move(event));
}

Status RunLog::scalar(const record::MeasureInfo& info, std::int64_t step, double value)
{
    return record({info, {static_cast<float>(value)}}, step);
}

Status RunLog::writeSnapshot() const
{
    return record::writeSnapshot(m_run, m_directory.snapshot());
}

} // namespace rankscope::train

// SPDX-License-Identifier: Apache-2.0
// What a job says about itself: every event goes into the journal and into the record in memory.
#pragma once

#include "core/analysis/measured.h"
#include "core/base/result.h"
#include "core/record/journal.h"
#include "core/record/run_directory.h"
#include "core/record/run_record.h"

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>

namespace rankscope::train
{

class RunLog
{
public:
    /// Continues the journal of the run directory; what it already holds is read back.
    static Result<RunLog> open(const record::RunDirectory& directory);

    Status describe(const protocol::RunDescribed& description);
    Status state(const std::string& state, const std::string& reason = {});
    Status notice(const std::string& severity, const std::string& text);
    Status progress(const std::string& phase, std::int64_t done, std::int64_t total, double remainingSeconds);
    Status checkpoint(std::int64_t step, const std::string& path);
    Status rewind(std::int64_t step);
    /// Announces the measure if this journal has not yet, then records the values.
    Status record(const analysis::Measured& measured, std::int64_t step);
    Status scalar(const record::MeasureInfo& info, std::int64_t step, double value);

    Status sync() { return m_journal.sync(); }
    /// Writes run.h5 from everything recorded so far.
    Status writeSnapshot() const;
    [[nodiscard]] const record::RunRecord& run() const { return m_run; }

private:
    RunLog(record::RunDirectory directory, record::JournalWriter journal, record::RunRecord run);
    Status append(protocol::JournalEvent event);

    record::RunDirectory m_directory;
    record::JournalWriter m_journal;
    record::RunRecord m_run;
    std::unordered_map<std::string, std::uint32_t> m_ids; ///< of the measures announced in this process
    std::uint32_t m_nextId = 1;
};

} // namespace rankscope::train

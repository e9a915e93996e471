// SPDX-License-Identifier: Apache-2.0
// The folder of one run: where its files are, and what is in it.
#pragma once

#include "core/base/result.h"
#include "core/record/snapshot.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace rankscope::record
{

class RunDirectory
{
public:
    /// A checkpoint on disk.
    struct Checkpoint {
        std::int64_t step = 0;
        std::filesystem::path folder;
    };

    /// Names the folder; touches nothing.
    explicit RunDirectory(std::filesystem::path folder);
    /// Makes a new run directory of that name in `runs`; "-2", "-3", ... is appended while the name is taken.
    static Result<RunDirectory> create(const std::filesystem::path& runs, const std::string& name);
    /// Makes (or takes an empty) folder at this very place. An error if there is a run in it.
    static Result<RunDirectory> createAt(const std::filesystem::path& folder);
    /// An existing run directory: it holds a job.json or a journal.
    static Result<RunDirectory> open(const std::filesystem::path& folder);
    static bool isRunDirectory(const std::filesystem::path& folder);

    [[nodiscard]] const std::filesystem::path& folder() const { return m_folder; }
    [[nodiscard]] std::string name() const;
    [[nodiscard]] std::filesystem::path job() const { return m_folder / "job.json"; }
    [[nodiscard]] std::filesystem::path journal() const { return m_folder / "journal.rec"; }
    [[nodiscard]] std::filesystem::path snapshot() const { return m_folder / "run.h5"; }
    [[nodiscard]] std::filesystem::path checkpoints() const { return m_folder / "checkpoints"; }
    [[nodiscard]] std::filesystem::path log() const { return m_folder / "log.txt"; }

    /// Where the checkpoint of a step belongs: checkpoints/step-000200. It is written beside, under a name
    /// that starts with a dot, and renamed when it is complete: a folder of this name that holds the
    /// adapter's tensors is complete.
    [[nodiscard]] std::filesystem::path checkpoint(std::int64_t step) const;
    /// The complete checkpoints, by step.
    [[nodiscard]] std::vector<Checkpoint> completeCheckpoints() const;
    [[nodiscard]] std::optional<Checkpoint> lastCheckpoint() const;

private:
    std::filesystem::path m_folder;
};

/// A run from wherever it is kept: a run directory, a journal.rec or an HDF5 snapshot. In a run directory the
/// journal is the truth; the snapshot stands in where the journal is missing or damaged. `unsealed`: see
/// readSnapshot().
Result<RunRecord> openRun(const std::filesystem::path& path, const UnsealedReader& unsealed = {});

} // namespace rankscope::record

// SPDX-License-Identifier: Apache-2.0
// A small job on the bundled model, run by the real programs in a folder of its own.
#pragma once

#include "app/engine/child_process.h"
#include "core/base/json.h"
#include "core/record/run_directory.h"
#include "tests/unit/record/temporary_folder.h"

#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace rankscope::worker::test
{

inline constexpr std::chrono::minutes deadline{4};

/// A program in the background, in a session of its own; killed at the end of the test.
class Started
{
public:
    Started(const std::filesystem::path& program, const std::vector<std::string>& arguments);
    ~Started();
    Started(const Started&) = delete;
    Started& operator=(const Started&) = delete;

    [[nodiscard]] pid_t pid() const { return m_pid; }
    /// Exit status, or 128 + the signal that ended it.
    int wait();

private:
    pid_t m_pid = 0;
};

class JobTest : public testing::Test
{
protected:
    JobTest();

    /// Eight steps of LoRA with dropout on four rows, a checkpoint every three; `changes` is merged into it.
    [[nodiscard]] base::Json job(const std::string& changes = "{}") const;
    /// The job as a file.
    [[nodiscard]] std::string write(const std::string& name, const base::Json& job) const;
    [[nodiscard]] static engine::Captured engine(const std::vector<std::string>& arguments);
    /// Trains in <folder>/<name>, to its end.
    [[nodiscard]] record::RunDirectory train(const std::string& name,
                                             const std::string& changes = "{}") const;
    /// Waits until the journal of the run holds this.
    static void waitFor(const record::RunDirectory& run,
                        const std::function<bool(const record::RunRecord&)>& condition);
    static record::RunRecord read(const record::RunDirectory& run);
    static std::string bytes(const std::filesystem::path& file);

    rankscope::test::TemporaryFolder m_folder;
};

[[nodiscard]] std::filesystem::path engineProgram();
[[nodiscard]] std::filesystem::path workerProgram();

} // namespace rankscope::worker::test

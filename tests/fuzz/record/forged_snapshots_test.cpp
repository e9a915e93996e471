// SPDX-License-Identifier: Apache-2.0
// Snapshots without a checksum and with damaged bytes, which the HDF5 library may crash on: the command line
// reads each one or says why not, in one line and with exit status 2.
#include "app/engine/child_process.h"
#include "core/record/snapshot.h"
#include "tests/fuzz/damage.h"
#include "tests/unit/record/temporary_folder.h"

#include <array>

using namespace rankscope;
using namespace rankscope::record;
using namespace rankscope::test;

namespace
{

constexpr std::size_t sealBytes = 16 + 4;

TEST(ForgedSnapshots, AreReadOrRefusedByTheCommandLine)
{
    RunRecord run;
    run.description.tasks = {"arithmetic"};
    Measure& rank = run.define({"rank/entropy", "Rank", "", "", {{"layer", "", {"0", "1"}}}});
    ASSERT_TRUE(rank.append(1, std::array{1.0F, 2.0F}));
    const TemporaryFolder folder;
    const std::filesystem::path path = folder / "run.h5";
    const std::filesystem::path copy = folder / "copy.h5";
    ASSERT_TRUE(writeSnapshot(run, path));
    std::string bytes = base::readFile(path).value_or("");
    ASSERT_GT(bytes.size(), 1000U);
    bytes.resize(bytes.size() - sealBytes);

    const std::filesystem::path engine =
        std::filesystem::path(std::getenv("RANKSCOPE_BIN")) / "rankscope-engine";
    int read = 0;
    int refused = 0;
    const auto attempt = [&](const std::string& forged) {
        put(path, forged);
        std::filesystem::remove(copy);
        const auto captured = engine::capture(engine, {"snapshot", path.string(), "-o", copy.string()},
                                              std::chrono::seconds(60));
        ASSERT_TRUE(captured) << captured.error().message;
        if (captured->exitStatus() == 0) {
            ++read;
            EXPECT_TRUE(readSnapshot(copy));
            return;
        }
        ++refused;
        EXPECT_EQ(captured->exitStatus(), 2) << captured->error;
        EXPECT_TRUE(captured->error.starts_with("rankscope-engine: cannot read ")) << captured->error;
        EXPECT_EQ(std::ranges::count(captured->error, '\n'), 1) << captured->error;
        EXPECT_FALSE(std::filesystem::exists(copy));
    };
    attempt(bytes); // only the seal is gone
    EXPECT_EQ(read, 1);
    damage(bytes, bytes.size(), 80, attempt);
    EXPECT_GT(refused, 0);
}

} // namespace

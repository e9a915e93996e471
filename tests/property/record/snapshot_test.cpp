// SPDX-License-Identifier: Apache-2.0
#include "core/record/snapshot.h"

#include "tests/property/record/random_run.h"
#include "tests/unit/record/temporary_folder.h"

#include <cstring>
#include <gtest/gtest.h>

namespace rankscope::record
{
namespace
{

/// Bit for bit, so that NaN equals NaN and -0 differs from 0.
bool sameValues(const Measure& a, const Measure& b)
{
    if (a.steps().size() != b.steps().size() ||
        !std::equal(a.steps().begin(), a.steps().end(), b.steps().begin()))
        return false;
    for (std::size_t row = 0; row < a.steps().size(); ++row) {
        if (a.info().size() > 0 &&
            std::memcmp(a.row(row).data(), b.row(row).data(), a.info().size() * sizeof(float)) != 0)
            return false;
    }
    return true;
}

TEST(SnapshotProperty, ComesBackEqual)
{
    const rankscope::test::TemporaryFolder folder;
    EXPECT_TRUE(rc::check([&folder] {
        RunRecord run;
        for (const auto& event : test::randomEvents())
            RC_ASSERT(applyEvent(run, event).has_value());
        const auto written = writeSnapshot(run, folder / "run.h5");
        if (!written)
            RC_FAIL(written.error().message);
        const auto read = readSnapshot(folder / "run.h5");
        if (!read)
            RC_FAIL(read.error().message);
        RC_ASSERT(read->description == run.description);
        RC_ASSERT(read->states == run.states);
        RC_ASSERT(read->checkpoints == run.checkpoints);
        RC_ASSERT(read->notices == run.notices);
        RC_ASSERT(read->progress == run.progress);
        RC_ASSERT(read->measures().size() == run.measures().size());
        for (const auto& [name, measure] : run.measures()) {
            const Measure* other = read->measure(name);
            RC_ASSERT(other != nullptr);
            RC_ASSERT(other->info() == measure.info());
            RC_ASSERT(sameValues(*other, measure));
        }
    }));
}

} // namespace
} // namespace rankscope::record

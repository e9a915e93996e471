// SPDX-License-Identifier: Apache-2.0
// What a run's end says of it, from records made by hand.
#include "app/engine/run_report.h"
#include "core/record/run_record.h"

#include <gtest/gtest.h>

namespace rankscope::engine::test
{
namespace
{

constexpr std::int64_t second = 1'000'000;

double secondsOf(const std::vector<std::pair<std::int64_t, const char*>>& states,
                 std::int64_t lastProgress = 0, const std::vector<std::int64_t>& checkpoints = {})
{
    record::RunRecord run;
    for (const auto& [time, state] : states)
        run.states.push_back({time * second, state, ""});
    run.progress.timeUs = lastProgress * second;
    for (const auto time : checkpoints)
        run.checkpoints.push_back({time * second, 1, ""});
    return resultJson(run, "run", "/run").at("seconds");
}

TEST(RunReport, CountsOnlyTheTimeInWhichARunWasRunning)
{
    EXPECT_EQ(secondsOf({}), 0);
    EXPECT_EQ(secondsOf({{100, "running"}, {107, "done"}}, 105), 7);
    // It lay stopped for a day.
    EXPECT_EQ(secondsOf({{100, "running"}, {110, "stopped"}, {86510, "running"}, {86513, "done"}}), 13);
    EXPECT_EQ(secondsOf({{100, "running"}, {103, "stopping"}, {110, "stopped"}}), 10);
    // A process that never came to running counts for nothing.
    EXPECT_EQ(secondsOf({{100, "running"}, {110, "stopped"}, {86510, "failed"}}), 10);
}

TEST(RunReport, CountsALostProcessUpToTheLastThingItSaid)
{
    EXPECT_EQ(secondsOf({{100, "running"}}, 130), 30);
    EXPECT_EQ(secondsOf({{100, "running"}}), 0);
    EXPECT_EQ(secondsOf({{100, "running"}, {5000, "running"}, {5010, "done"}}, 5009, {120, 140, 5005}), 50);
}

TEST(RunReport, TakesNothingAwayForAClockThatWasSetBack)
{
    EXPECT_EQ(secondsOf({{1000, "running"}, {400, "stopped"}, {500, "running"}, {520, "done"}}), 20);
    EXPECT_EQ(secondsOf({{1000, "running"}, {400, "running"}, {420, "done"}}), 20);
}

} // namespace
} // namespace rankscope::engine::test

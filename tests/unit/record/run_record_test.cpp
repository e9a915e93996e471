// SPDX-License-Identifier: Apache-2.0
#include "core/record/run_record.h"

#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <rapidcheck.h>

namespace rankscope::record
{
namespace
{

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

MeasureInfo twoByThree()
{
    return {
        "rank/entropy", "Entropy rank", "", "", {{"layer", "", {"0", "1"}}, {"module", "", {"q", "k", "v"}}}};
}

TEST(Measure, IsRowMajorOverItsAxes)
{
    const Measure measure(twoByThree());
    EXPECT_EQ(measure.info().size(), 6u);
    EXPECT_EQ(measure.info().axis("module"), 1u);
    EXPECT_FALSE(measure.info().axis("expert"));
    EXPECT_EQ(measure.position(std::array<std::size_t, 2>{1, 2}), 5u);
    EXPECT_EQ(measure.position(std::array<std::size_t, 2>{1, 0}), 3u);
}

TEST(Measure, AppendsInOrderOnly)
{
    Measure measure(MeasureInfo{"a/b", "", "", "", {}});
    EXPECT_TRUE(std::isnan(measure.last()));
    EXPECT_TRUE(measure.append(1, std::array{1.0F}));
    EXPECT_TRUE(measure.append(5, std::array{5.0F}));
    EXPECT_TRUE(measure.append(5, std::array{6.0F}));
    EXPECT_FALSE(measure.append(4, std::array{4.0F}));
    EXPECT_FALSE(measure.append(6, std::array{4.0F, 4.0F}));
    EXPECT_EQ(measure.series(0), (std::vector<float>{1, 6}));
    EXPECT_EQ(measure.last(), 6.0F);
    EXPECT_FALSE(measure.rowAt(0));
    EXPECT_EQ(measure.rowAt(4), 0u);
    EXPECT_EQ(measure.rowAt(99), 1u);
}

TEST(Measure, LatestFillsWhatARowLeftOut)
{
    Measure measure(MeasureInfo{"a/b", "", "", "", {{"layer", "", {"0", "1", "2"}}}});
    ASSERT_TRUE(measure.append(1, std::array{1.0F, nan, nan}));
    ASSERT_TRUE(measure.append(2, std::array{nan, 2.0F, nan}));
    ASSERT_TRUE(measure.append(3, std::array{3.0F, nan, nan}));
    const auto at2 = measure.latestAt(2).values;
    EXPECT_EQ(at2[0], 1.0F);
    EXPECT_EQ(at2[1], 2.0F);
    EXPECT_TRUE(std::isnan(at2[2]));
    EXPECT_EQ(measure.latestAt(9).values[0], 3.0F);
    EXPECT_TRUE(std::isnan(measure.latestAt(0).values[0]));
}

TEST(Measure, LatestIsWhatASearchThroughAllRowsFinds)
{
    const bool holds = rc::check("after any rows, replaced rows and rewinds", [] {
        constexpr std::size_t size = 4;
        Measure measure(MeasureInfo{"a/b", "", "", "", {{"layer", "", {"0", "1", "2", "3"}}}});
        std::map<std::int64_t, std::array<float, size>> rows; // by step
        std::int64_t step = 0;
        const int operations = *rc::gen::inRange(1, 40);
        for (int i = 0; i < operations; ++i) {
            if (*rc::gen::inRange(0, 6) == 0) {
                step = *rc::gen::inRange<std::int64_t>(0, step + 1);
                measure.rewind(step);
                rows.erase(rows.upper_bound(step), rows.end());
                continue;
            }
            step += *rc::gen::inRange(0, 3); // none: the last row is replaced
            std::array<float, size> values{};
            for (float& value : values)
                value = *rc::gen::inRange(0, 3) == 0 ? static_cast<float>(i + 1) : nan;
            RC_ASSERT(measure.append(step, values));
            rows[step] = values;
        }
        const std::int64_t until = *rc::gen::inRange<std::int64_t>(0, step + 3);
        const auto latest = measure.latestAt(until);
        for (std::size_t position = 0; position < size; ++position) {
            float value = nan;
            std::int64_t at = -1;
            for (const auto& [known, values] : rows)
                if (known <= until && !std::isnan(values[position])) {
                    value = values[position];
                    at = known;
                }
            RC_ASSERT(latest.steps[position] == at);
            const float found = latest.values[position];
            RC_ASSERT((at < 0 ? std::isnan(found) : found == value));
        }
    });
    EXPECT_TRUE(holds);
}

TEST(RunRecord, RewindForgetsWhatCameAfter)
{
    RunRecord run;
    Measure& loss = run.define({"train/loss", "Loss", "nats", "", {}});
    for (int step = 1; step <= 10; ++step)
        ASSERT_TRUE(loss.append(step, std::array{static_cast<float>(step)}));
    run.checkpoints = {{0, 4, "checkpoints/step-000004"}, {0, 8, "checkpoints/step-000008"}};
    EXPECT_EQ(run.lastStep(), 10);
    run.rewind(4);
    EXPECT_EQ(run.lastStep(), 4);
    EXPECT_EQ(run.checkpoints.size(), 1u);
    EXPECT_EQ(loss.row(3)[0], 4.0F);
    EXPECT_TRUE(loss.append(5, std::array{50.0F}));
}

TEST(RunRecord, DefiningAgainKeepsOrReplaces)
{
    RunRecord run;
    ASSERT_TRUE(run.define({"a/b", "", "", "", {}}).append(1, std::array{1.0F}));
    EXPECT_FALSE(run.define({"a/b", "", "", "", {}}).empty());
    EXPECT_TRUE(run.define(MeasureInfo{"a/b", "", "", "", {{"layer", "", {"0", "1"}}}}).empty());
    EXPECT_EQ(run.measure("a/c"), nullptr);
    run.bindId(7, "a/b");
    EXPECT_EQ(run.measureOfId(7), run.measure("a/b"));
    EXPECT_EQ(run.measureOfId(8), nullptr);
}

} // namespace
} // namespace rankscope::record

// SPDX-License-Identifier: Apache-2.0
// Every family trains, evaluates, measures, saves and resumes on a device whose memory the host cannot read
// as it does on the CPU.
#include "tests/parity/device/guarded_device.h"
#include "tests/parity/device/short_run.h"

#include <cmath>

namespace rankscope::parity
{
namespace
{

using conformance::Variant;

/// Measures of time and memory, which are the machine's.
bool isOfTheMachine(const std::string& name)
{
    return name == "train/tokens_per_second" || name == "train/samples_per_second" ||
           name == "train/step_time" || name == "train/memory" || name == "analysis/time_share";
}

/// What rank has an update that is nothing but rounding? `position`: among the ranks of every update.
bool isNothing(const record::RunRecord& run, std::size_t row, std::size_t position)
{
    const record::Measure& spectrum = *run.measure("spectrum/singular_values");
    return !(spectrum.row(row)[position * spectrum.info().axes.back().labels.size()] > 1e-6F);
}

void expectSame(const record::RunRecord& actual, const record::RunRecord& expected, double tolerance)
{
    EXPECT_EQ(actual.measures().size(), expected.measures().size());
    for (const auto& [name, wanted] : expected.measures()) {
        const record::Measure* found = actual.measure(name);
        ASSERT_TRUE(found) << name;
        ASSERT_EQ(found->info(), wanted.info());
        ASSERT_TRUE(std::ranges::equal(found->steps(), wanted.steps())) << name;
        for (std::size_t row = 0; row < wanted.steps().size() && !isOfTheMachine(name); ++row) {
            for (std::size_t i = 0; i < wanted.row(row).size(); ++i) {
                const float one = found->row(row)[i];
                const float other = wanted.row(row)[i];
                const bool rank = name == "rank/entropy" || name == "rank/stable" || name == "rank/nuclear";
                if ((std::isnan(one) && std::isnan(other)) || (rank && isNothing(expected, row, i)))
                    continue;
                ASSERT_NEAR(one, other, tolerance * std::max(1.0F, std::abs(other)))
                    << name << " at step " << wanted.steps()[row] << ", position " << i;
            }
        }
    }
}

/// Of the architectures the one with separate and the one with fused projections: what else they differ in is
/// the base model's own.
std::vector<Variant> variants()
{
    auto all = conformance::variants();
    std::erase_if(all, [](const Variant& variant) {
        return variant.model.architecture != "llama" && !variant.model.fusedProjections;
    });
    return all;
}

std::vector<Variant> defaults()
{
    std::vector<Variant> result;
    for (const auto& plugin : conformance::plugins()) {
        if (plugin.family) // the conformance suite reports those that do not load
            result.push_back(conformance::variant(plugin.manifest.name, base::Json::object()));
    }
    return result;
}

class EveryFamily : public conformance::Conformance
{
};

class OnAnotherDevice : public conformance::Conformance
{
};

TEST_P(OnAnotherDevice, TrainsAsOnTheCpu)
{
    const ShortRun expected = shortRun(GetParam(), {});
    const ShortRun actual = shortRun(GetParam(), {.device = guardedDevice(), .interrupted = true});
    expectSame(actual.record, expected.record, 1e-5);
    EXPECT_EQ(actual.answers, expected.answers);
    EXPECT_GT(actual.record.measure("train/memory")->last(), 0);
}

/// As a GPU trains by default: the base in bfloat16, the adapter in float32. Other roundings choose other
/// experts, so the two losses are alike, no more.
TEST_P(EveryFamily, TrainsAlikeOnABaseInBFloat16)
{
    const RunOptions options{.base = at::kBFloat16};
    const ShortRun expected = shortRun(GetParam(), options);
    RunOptions elsewhere = options;
    elsewhere.device = guardedDevice();
    const ShortRun actual = shortRun(GetParam(), elsewhere);
    const auto* losses = expected.record.measure("train/loss");
    for (std::size_t row = 0; row < losses->steps().size(); ++row)
        EXPECT_NEAR(actual.record.measure("train/loss")->row(row)[0], losses->row(row)[0], 0.05) << row;
}

/// A layer more makes the host wait for the device no more often, but where it must know how many tokens go
/// to which expert: once for a block whose router chooses a fixed number, twice where the number varies.
TEST_P(EveryFamily, KeepsTheDeviceBusy)
{
    constexpr std::int64_t passes = 2; // of a step
    constexpr std::int64_t more = 2;   // layers
    const auto waits = [](const Variant& variant) {
        const auto upTo = [&](std::int64_t steps) {
            const std::int64_t before = hostWaits();
            (void)shortRun(variant, {.device = guardedDevice(), .steps = steps, .bare = true});
            return hostWaits() - before;
        };
        return upTo(2) - upTo(1);
    };
    Variant deeper = GetParam();
    deeper.model.layers += more;
    const auto& manifest = conformance::plugin(GetParam().family).manifest;
    const std::int64_t allowed = manifest.scope == "mlp-block" ? 1 : manifest.scope == "layer" ? 2 : 0;
    EXPECT_LE(waits(deeper) - waits(GetParam()), passes * more * allowed);
}

INSTANTIATE_TEST_SUITE_P(AsItIs, EveryFamily, testing::ValuesIn(defaults()),
                         [](const auto& info) { return info.param.name(); });

INSTANTIATE_TEST_SUITE_P(Every, OnAnotherDevice, testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name(); });

} // namespace
} // namespace rankscope::parity

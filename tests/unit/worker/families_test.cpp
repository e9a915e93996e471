// SPDX-License-Identifier: Apache-2.0
// Every family learns four rows by heart, in both types of the base model.
#include "tests/unit/worker/job_fixture.h"

#include <cmath>

namespace rankscope::worker::test
{
namespace
{

struct Case {
    const char* family;
    const char* settings;
    const char* dtype;
    int steps;
    double ratio; ///< of the last loss to the first
};

class WorkerFamily : public JobTest, public testing::WithParamInterface<Case>
{
};

TEST_P(WorkerFamily, LearnsFourRows)
{
    const Case& it = GetParam();
    const std::string settings = std::string(R"({"adapter":{"settings":null}})");
    base::Json json = job(settings);
    json["adapter"] = {{"family", it.family}, {"settings", base::Json::parse(it.settings)}};
    json["model"]["dtype"] = it.dtype;
    json["training"]["steps"] = it.steps;
    json["training"]["batchSize"] = 4;
    json["training"]["gradientAccumulation"] = 1; // all rows are in every batch
    json["training"]["schedule"] = "constant";
    json["training"]["warmup"] = 1;
    json["training"]["checkpointEvery"] = 0;
    json["analysis"]["every"] = it.steps / 2;
    const auto captured = engine({"run", write("job", json), "--run-dir", (m_folder / "run").string()});
    ASSERT_EQ(captured.exitStatus(), 0) << captured.error;
    const auto record = read(record::RunDirectory(m_folder / "run"));
    ASSERT_EQ(record.description.dtype, it.dtype);
    const auto losses = record.measure("train/loss")->series(0);
    ASSERT_EQ(losses.size(), static_cast<std::size_t>(it.steps));
    for (const char* name : {"train/loss", "train/auxiliary_loss", "train/gradient_norm"}) {
        for (const float value : record.measure(name)->series(0))
            ASSERT_TRUE(std::isfinite(value)) << name;
    }
    EXPECT_LT(losses.back(), it.ratio * losses.front());
    const auto* share = record.measure("analysis/time_share");
    ASSERT_TRUE(share && !share->empty());
    EXPECT_TRUE(std::isfinite(share->last()));
    const auto* rank = record.measure("rank/entropy");
    ASSERT_TRUE(rank && !rank->empty());
}

INSTANTIATE_TEST_SUITE_P(
    , WorkerFamily,
    testing::Values(Case{"lora", R"({"rank":8,"alpha":16})", "float32", 10, 0.5},
                    Case{"mixlora", R"({"rank":8,"alpha":16,"experts":3,"topK":2})", "float32", 10, 0.5},
                    Case{"sharedlora", R"({"rank":8,"alpha":16,"experts":4,"groups":2,"topK":2,"dropout":0})",
                         "float32", 10, 0.5},
                    Case{"opera", R"({"experts":2,"topK":1,"dropout":0})", "float32", 4, 0.8},
                    Case{"dora", R"({"rank":8,"alpha":16,"dropout":0})", "float32", 6, 0.8},
                    Case{"pissa", R"({"rank":8,"alpha":8})", "float32", 6, 0.8},
                    Case{"denselora", R"({"rank":16,"alpha":32,"dropout":0})", "float32", 10, 0.95},
                    Case{"vblora", R"({"vectorLength":64,"vectors":90})", "float32", 10, 0.95},
                    Case{"mog", R"({"rank":32,"dropout":0})", "float32", 10, 0.95},
                    Case{"lora", R"({"rank":8,"alpha":16})", "bfloat16", 6, 0.8},
                    Case{"dora", R"({"rank":8,"alpha":16,"dropout":0})", "bfloat16", 6, 0.8},
                    Case{"mixlora", R"({"rank":8,"alpha":16,"experts":3,"topK":2})", "bfloat16", 6, 0.8},
                    Case{"sharedlora", R"({"rank":8,"alpha":16,"experts":4,"groups":2,"topK":2,"dropout":0})",
                         "bfloat16", 6, 0.8},
                    Case{"opera", R"({"experts":2,"topK":1,"dropout":0})", "bfloat16", 6, 0.8}),
    [](const auto& info) { return std::string(info.param.family) + "_" + info.param.dtype; });

} // namespace
} // namespace rankscope::worker::test

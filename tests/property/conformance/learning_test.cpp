// SPDX-License-Identifier: Apache-2.0
// Every family, as its manifest sets it up, learns four rows by heart under AdamW, on a base in each type.
#include "core/train/optimizer.h"
#include "tests/property/conformance/subject.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <cmath>

namespace rankscope::conformance
{
namespace
{

class Learning : public Conformance
{
protected:
    /// Mean cross-entropy of each row's next tokens.
    static at::Tensor loss(const Subject& subject, const model::Pass& pass)
    {
        subject.adapter->beginPass(pass);
        const at::Tensor logits = subject.model->logits(subject.model->forward(pass));
        const at::Tensor scores = at::log_softmax(logits, 1);
        std::vector<at::Tensor> parts;
        for (std::int64_t row = 0; row < pass.rows(); ++row) {
            const std::int64_t start = pass.starts[row];
            const std::int64_t count = pass.starts[row + 1] - start - 1;
            parts.push_back(
                scores.narrow(0, start, count).gather(1, pass.ids.narrow(0, start + 1, count).unsqueeze(1)));
        }
        return -at::cat(parts).mean();
    }
};

TEST_P(Learning, FourRowsByHeart)
{
    const Rows rows{{5, 9, 2, 31, 7, 3}, {11, 3, 28, 39, 1}, {1, 20, 4, 6, 8, 13, 22}, {17, 2, 30, 12}};
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        const Subject subject = attach(GetParam(), 7, type);
        auto pass = model::makePass(rows, true);
        pass.tasks = {0, 1, 0, 1};
        train::AdamW optimizer(subject.adapter->parameters(), {});
        double first = 0;
        double last = 0;
        for (int step = 0; step < 60; ++step) {
            const at::Tensor task = loss(subject, pass);
            last = task.item<double>();
            ASSERT_TRUE(std::isfinite(last)) << "step " << step << " on " << at::toString(type);
            if (step == 0)
                first = last;
            const at::Tensor auxiliary = subject.adapter->auxiliaryLoss();
            optimizer.zeroGradients();
            (auxiliary.defined() ? task + auxiliary : task).backward();
            ASSERT_TRUE(std::isfinite(optimizer.clipGradients(1.0)));
            subject.adapter->afterPass();
            optimizer.step(5e-3);
            subject.adapter->afterStep();
        }
        EXPECT_LT(last, 0.9 * first) << at::toString(type);
    }
}

INSTANTIATE_TEST_SUITE_P(Every, Learning, testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name(); });

} // namespace
} // namespace rankscope::conformance

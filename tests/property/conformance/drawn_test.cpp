// SPDX-License-Identifier: Apache-2.0
// What the conformance suite asks at one size, asked of every family at any: on drawn models, with drawn
// settings and types.
#include "tests/property/conformance/described.h"
#include "tests/property/conformance/drawn.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>
#include <algorithm>
#include <array>
#include <c10/core/GradMode.h>
#include <cmath>
#include <functional>
#include <rapidcheck/gtest.h>
#include <sstream>

namespace rankscope::conformance
{
namespace
{

const std::vector<at::ScalarType> anyType{at::kDouble, at::kFloat, at::kBFloat16};

std::vector<std::string> families()
{
    std::vector<std::string> names;
    for (const auto& plugin : plugins()) {
        if (plugin.family)
            names.push_back(plugin.manifest.name);
    }
    return names;
}

Result<adapter::Plan> planned(const Variant& variant)
{
    return plugin(variant.family).family->plan(variant.model, adapter::Settings(variant.settings));
}

/// Nothing stands on it.
bool isBare(const model::Decoder& model)
{
    const auto free = [](const model::LinearSite& site) { return site.adapter == nullptr; };
    return std::ranges::all_of(model.layers(), [&](const model::DecoderLayer& layer) {
        return !layer.adapter && !layer.mlp.adapter && std::ranges::all_of(layer.attentionInputs, free) &&
               free(layer.attentionOutput) && std::ranges::all_of(layer.mlp.inputs, free) &&
               free(layer.mlp.down);
    });
}

/// The output's greatest error by rounding, relative to its values.
double tolerance(at::ScalarType type)
{
    return type == at::kDouble ? rounding : type == at::kFloat ? 1e-5 : 0.05;
}

void finite(const at::Tensor& tensor, const std::string& what)
{
    if (!tensor.isfinite().all().item<bool>())
        RC_FAIL(what + " is not finite");
}

void agree(const at::Tensor& actual, const at::Tensor& expected, double most, const std::string& what)
{
    RC_LOG() << what << '\n';
    RC_ASSERT(relativeDistance(actual, expected) < most);
}

class Drawings : public testing::TestWithParam<std::string>
{
protected:
    static const protocol::FamilyManifest& manifest() { return plugin(GetParam()).manifest; }

    /// Half of RapidCheck's usual number of draws.
    static void check(const std::vector<at::ScalarType>& types,
                      const std::function<void(const Drawn&)>& property)
    {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        rc::detail::TestMetadata metadata;
        metadata.id = std::string(test->test_suite_name()) + "/" + test->name();
        metadata.description = test->name();
        auto params = rc::detail::configuration().testParams;
        params.maxSuccess = std::max(1, params.maxSuccess / 2);
        const auto result = rc::detail::checkTestable([&] { property(*drawn(manifest(), types).as("draw")); },
                                                      metadata, params);
        std::ostringstream text;
        rc::detail::printResultMessage(result, text);
        if (!result.is<rc::detail::SuccessResult>())
            FAIL() << text.str();
    }

    /// Only draws that fit count. Where nine of ten do not, RapidCheck gives up: a failure.
    static void checkFitting(const std::vector<at::ScalarType>& types,
                             const std::function<void(const Drawn&)>& property)
    {
        int refused = 0;
        int fitting = 0;
        check(types, [&](const Drawn& drawn) {
            const bool fits = bool(planned(drawn.variant));
            ++(fits ? fitting : refused);
            if (!fits)
                RC_DISCARD("does not fit");
            property(drawn);
        });
        RecordProperty("refused", refused);
        RecordProperty("fitting", fitting);
    }
};

/// The numbers of a plan.
std::array<std::int64_t, 6> numbers(const adapter::Plan& plan)
{
    return {plan.trainable, plan.buffers, plan.activationsPerToken, plan.idle, plan.composed, plan.answering};
}

TEST_P(Drawings, AreRefusedByPlanAndAttachAlikeOrCountedRight)
{
    check(anyType, [](const Drawn& drawn) {
        const auto model = makeModel(drawn.variant.model, drawn.dtype);
        const auto plan = planned(drawn.variant);
        auto attached = plugin(drawn.variant.family)
                            .family->attach(*model, adapter::Settings(drawn.variant.settings),
                                            {adapterType(drawn.dtype), drawn.seed});
        if (!plan || !attached) {
            RC_ASSERT(!plan);
            RC_ASSERT(!attached);
            const std::string& sentence = plan.error().message;
            RC_ASSERT(sentence == attached.error().message);
            RC_ASSERT(!sentence.empty());
            RC_ASSERT(sentence.find('\n') == std::string::npos);
            RC_ASSERT(isBare(*model));
            return;
        }
        std::int64_t trainable = 0;
        std::int64_t buffers = 0;
        for (const auto& parameter : (*attached)->parameters().all())
            (parameter.trainable ? trainable : buffers) += parameter.tensor.numel();
        RC_ASSERT(plan->trainable == trainable);
        RC_ASSERT(plan->buffers == buffers);
        RC_ASSERT(std::ranges::min(numbers(*plan)) >= 0);
        RC_ASSERT(plan->idle <= plan->trainable);
        attached->reset();
        RC_ASSERT(isBare(*model));
    });
}

TEST_P(Drawings, DoNotDependOnSettingsThatAreNotShown)
{
    check(anyType, [](const Drawn& drawn) {
        base::Json seen = drawn.variant.settings;
        for (const auto& schema : manifest().settings) {
            if (!schema.shownAmong(drawn.variant.settings))
                seen.erase(schema.name);
        }
        Variant shownOnly = drawn.variant;
        shownOnly.settings = *manifest().complete(seen);
        const auto plan = planned(drawn.variant);
        const auto other = planned(shownOnly);
        RC_ASSERT(bool(plan) == bool(other));
        if (!plan) {
            RC_ASSERT(plan.error().message == other.error().message);
            return;
        }
        RC_ASSERT(numbers(*plan) == numbers(*other));
        if (shownOnly.settings == drawn.variant.settings)
            return;
        const at::NoGradGuard guard;
        const Subject one = drawn.trained();
        const Subject two = drawn.with(shownOnly.settings).trained();
        RC_ASSERT(one.run(drawn.pass(false)).equal(two.run(drawn.pass(false))));
    });
}

TEST_P(Drawings, StartAsPromised)
{
    checkFitting(anyType, [](const Drawn& drawn) {
        const at::NoGradGuard guard;
        Subject subject = drawn.subject();
        const at::Tensor actual = subject.run(drawn.pass(false));
        finite(actual, "the output");
        RC_ASSERT(actual.scalar_type() == drawn.dtype);
        const Subject base{makeModel(drawn.variant.model, drawn.dtype), nullptr};
        const at::Tensor expected = base.run(drawn.pass(false));
        if (manifest().initialOutputOf(drawn.variant.settings) != "changed")
            agree(actual, expected, tolerance(drawn.dtype), "the initial output and the base's");
        subject.adapter.reset();
        RC_ASSERT(subject.run(drawn.pass(false)).equal(expected));
    });
}

TEST_P(Drawings, AreTheirTensorsAndTheirSeed)
{
    checkFitting(anyType, [](const Drawn& drawn) {
        const at::NoGradGuard guard;
        const Subject first = drawn.trained();
        const Subject same = drawn.trained();
        const auto saved = first.tensors();
        for (const auto& [name, tensor] : same.tensors()) {
            if (!tensor.equal(saved.at(name)))
                RC_FAIL(name + " is not the same from the same seed");
        }
        const at::Tensor expected = first.run(drawn.pass(false));
        RC_ASSERT(same.run(drawn.pass(false)).equal(expected));
        Drawn elsewhere = drawn;
        ++elsewhere.seed;
        const Subject second = elsewhere.trained();
        second.run(drawn.pass(false)); // what it keeps to evaluate faster must not outlive its tensors
        RC_ASSERT(bool(second.adapter->parameters().load(saved)));
        RC_ASSERT(second.run(drawn.pass(false)).equal(expected));
    });
}

TEST_P(Drawings, DescribeWhatTheyCompute)
{
    checkFitting({at::kDouble}, [](const Drawn& drawn) {
        const at::NoGradGuard guard;
        const Subject subject = drawn.trained();
        const bool merges = manifest().mergesExperts.holds(drawn.variant.settings);
        const bool alone = manifest().scope == "module" || manifest().scope == "model";
        for (const auto& site : subject.adapter->deltaSites()) {
            const std::string where = std::to_string(site.layer) + " " + site.module;
            for (std::int64_t expert = 0; expert < site.experts; ++expert) {
                RC_LOG() << where << ", expert " << expert << '\n';
                RC_ASSERT(deltaError(subject, site, expert) < deltaTolerance(site));
            }
            if (!merges)
                RC_ASSERT(meanDeltaError(subject, site) < rounding);
            if (alone && site.linear)
                RC_ASSERT(mixtureError(subject, site, drawn.pass(false)) < rounding);
        }
        if (manifest().scope != "mlp-block")
            return;
        const bool fused = drawn.variant.settings.value("fused", true);
        const at::Tensor x = blockInput(subject, drawn.pass(false), 77);
        for (const auto& layer : subject.model->layers()) {
            const auto [values, weights] = runBlock(subject, layer.mlp, x, drawn.pass(false));
            // Unfused, a family says itself what becomes of the frozen part where the weights do not sum
            // to 1.
            if (fused || distance(weights.sum(-1), at::ones({x.size(0)}, x.options())) < rounding)
                agree(values, blockByFormula(subject, layer.mlp, weights, x, fused), rounding,
                      "the block and its experts' weighted sum");
        }
    });
}

TEST_P(Drawings, GiveEachRowTheSameAloneAndInTraining)
{
    checkFitting({at::kDouble}, [](const Drawn& drawn) {
        const at::NoGradGuard guard;
        const Subject subject = drawn.trained();
        const at::Tensor together = subject.run(drawn.pass(false));
        std::int64_t start = 0;
        for (std::size_t row = 0; row < drawn.rows.size(); ++row) {
            const auto length = static_cast<std::int64_t>(drawn.rows[row].size());
            agree(subject.run(drawn.only(row).pass(false)), together.narrow(0, start, length), rounding,
                  "row " + std::to_string(row) + " alone and in its batch");
            start += length;
        }
        if (!manifest().hardEvaluation.holds(drawn.variant.settings))
            agree(subject.run(drawn.pass(true)), together, rounding, "training and evaluation");
    });
}

TEST_P(Drawings, LetNoTokenSeeLaterOnes)
{
    checkFitting({at::kDouble}, [](const Drawn& drawn) {
        if (manifest().nonCausal.holds(drawn.variant.settings))
            return;
        const at::NoGradGuard guard;
        const Subject subject = drawn.trained();
        const auto pass = drawn.pass(false);
        const auto shorter = drawn.shortened().pass(false);
        const at::Tensor whole = subject.run(pass);
        const at::Tensor part = subject.run(shorter);
        for (std::size_t row = 0; row < drawn.rows.size(); ++row) {
            const std::int64_t length = shorter.starts[row + 1] - shorter.starts[row];
            agree(part.narrow(0, shorter.starts[row], length), whole.narrow(0, pass.starts[row], length),
                  rounding, "row " + std::to_string(row) + " cut short and whole");
        }
    });
}

TEST_P(Drawings, AreFiniteAndRepeatableWithNoise)
{
    checkFitting(anyType, [](const Drawn& drawn) {
        const Drawn noisy = drawn.with(drawn.noise);
        const Subject subject = noisy.trained();
        std::vector<at::Tensor> outputs;
        for (int repeat = 0; repeat < 2; ++repeat) {
            at::manual_seed(drawn.seed);
            outputs.push_back(subject.run(drawn.pass(true)));
            finite(outputs.back(), "the output");
        }
        RC_ASSERT(outputs[0].equal(outputs[1]));
        unevenLoss(subject, drawn.pass(true), 1).backward();
        for (const auto& parameter : subject.adapter->parameters().trainable()) {
            if (!parameter.tensor.grad().defined())
                RC_FAIL(parameter.name + " receives no gradient");
            finite(parameter.tensor.grad(), "the gradient of " + parameter.name);
        }
        subject.adapter->afterPass();
        subject.adapter->afterStep();
        const at::NoGradGuard guard;
        finite(subject.run(drawn.pass(false)), "the output after a step");
    });
}

/// The loss along a line through an adapter's tensors and the input embedding.
class Line
{
public:
    explicit Line(const Drawn& drawn) : m_subject(drawn.trained()), m_pass(drawn.pass(true))
    {
        // Tied: its gradient is that of what enters the first layer.
        m_tensors.push_back(m_subject.model->outputEmbedding());
        m_tensors.front().set_requires_grad(true);
        for (const auto& parameter : m_subject.adapter->parameters().trainable())
            m_tensors.push_back(parameter.tensor);
        unevenLoss(m_subject, m_pass, 1).backward();
        double longest = 0;
        for (const auto& tensor : m_tensors)
            longest = std::max(longest, gradient(tensor).norm().item<double>());
        std::uint64_t seed = drawn.seed;
        for (const auto& tensor : m_tensors) {
            m_kept.push_back(tensor.detach().clone());
            // Every tensor has about the same part in the slope, so that an error in a small one shows.
            const double own = gradient(tensor).norm().item<double>() + 1e-3 * longest + 1e-12;
            m_direction.push_back(randomLike(tensor, ++seed) / own);
        }
        double widest = 0;
        for (const auto& direction : m_direction)
            widest = std::max(widest, direction.abs().max().item<double>());
        for (std::size_t i = 0; i < m_tensors.size(); ++i) {
            m_direction[i] /= widest;
            const double part = (gradient(m_tensors[i]) * m_direction[i]).sum().item<double>();
            m_slope += part;
            m_scale += std::abs(part);
        }
    }

    [[nodiscard]] double slope() const { return m_slope; } ///< by the gradients
    [[nodiscard]] double scale() const { return m_scale; } ///< of its parts

    [[nodiscard]] double loss(double step) const
    {
        const at::NoGradGuard guard;
        for (std::size_t i = 0; i < m_tensors.size(); ++i) {
            // Past the tensors' versions: what a definition takes for a constant stays as it was.
            at::Tensor(m_tensors[i]).variable_data().copy_(m_kept[i] + step * m_direction[i]);
        }
        return unevenLoss(m_subject, m_pass, 1).item<double>();
    }

private:
    static at::Tensor gradient(const at::Tensor& tensor)
    {
        return tensor.grad().defined() ? tensor.grad() : at::zeros_like(tensor);
    }

    Subject m_subject;
    model::Pass m_pass;
    std::vector<at::Tensor> m_tensors;
    std::vector<at::Tensor> m_kept;
    std::vector<at::Tensor> m_direction;
    double m_slope = 0;
    double m_scale = 0;
};

TEST_P(Drawings, HaveTheSlopesTheirGradientsSay)
{
    int smooth = 0;
    int rough = 0;
    checkFitting({at::kDouble}, [&](const Drawn& drawn) {
        if (manifest().stopsGradient.holds(drawn.variant.settings))
            return;
        const Line line(drawn);
        const double here = line.loss(0);
        for (const double step : {1e-5, 1e-6, 1e-7}) {
            const double right = (line.loss(step) - here) / step;
            const double left = (here - line.loss(-step)) / step;
            const double slope = (right + left) / 2;
            const double scale = line.scale() + std::abs(slope);
            const double noise = 1e-13 * std::max(1.0, std::abs(here)) / step;
            // The two differ where the choice of experts does, and where the line bends within the step.
            if (std::abs(right - left) > 1e-2 * scale + noise)
                continue;
            ++smooth;
            RC_LOG() << "slope " << slope << ", by the gradients " << line.slope() << '\n';
            RC_ASSERT(std::abs(slope - line.slope()) < 1e-5 * scale + noise);
            return;
        }
        ++rough;
    });
    EXPECT_LE(10 * rough, smooth) << rough << " draws have no slope, only " << smooth << " do";
}

INSTANTIATE_TEST_SUITE_P(Every, Drawings, testing::ValuesIn(families()),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace rankscope::conformance

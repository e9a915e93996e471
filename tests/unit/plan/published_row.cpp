// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/plan/published_row.h"

#include "core/adapter/family.h"
#include "core/adapter/plugin_loader.h"

#include <cstdlib>
#include <gtest/gtest.h>

namespace rankscope::plans
{
namespace
{

adapter::PluginLoader& loader()
{
    static adapter::PluginLoader found({std::getenv("RANKSCOPE_PLUGINS")});
    return found;
}

checkpoint::ModelConfig model(const std::string& name)
{
    const auto json = base::readJsonFile(std::filesystem::path(std::getenv("RANKSCOPE_SOURCE")) /
                                         "tests/data/configs" / name / "config.json");
    const auto config = checkpoint::ModelConfig::fromHuggingFace(json.value());
    return config.value();
}

adapter::Plan planOf(const std::string& family, const std::string& base, const Json& settings)
{
    const auto plugin = loader().load(family);
    if (!plugin) {
        ADD_FAILURE() << plugin.error().message;
        return {};
    }
    const auto complete = plugin.value()->manifest.complete(settings);
    if (!complete) {
        ADD_FAILURE() << complete.error().message;
        return {};
    }
    const auto plan = plugin.value()->family->plan(model(base), adapter::Settings(*complete));
    EXPECT_TRUE(plan) << plan.error().message;
    return plan.value_or(adapter::Plan{});
}

} // namespace

double trainable(const std::string& family, const std::string& base, const Json& settings)
{
    return static_cast<double>(planOf(family, base, settings).trainable);
}

double activated(const std::string& family, const std::string& base, const Json& settings)
{
    const adapter::Plan plan = planOf(family, base, settings);
    return static_cast<double>(plan.trainable - plan.idle);
}

double baseParameters(const std::string& base)
{
    return static_cast<double>(model(base).parameters());
}

std::string printed(double value, int digits)
{
    char text[32];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

Json on(const std::vector<std::string>& targets, int rank, const Json& more)
{
    Json settings{{"rank", rank}, {"targets", targets}};
    settings.update(more);
    return settings;
}

void check(const Total& row)
{
    const double millions = trainable(row.family, row.base, row.settings) / 1e6;
    EXPECT_EQ(printed(millions, row.digits), row.ours);
    if (row.printed > 0) {
        EXPECT_NEAR(millions, row.printed, row.precision);
    }
}

void check(const Share& row)
{
    const double count = trainable(row.family, row.base, row.settings);
    const double percent = 100 * count / (baseParameters(row.base) + count);
    EXPECT_EQ(printed(percent, 3), row.ours);
    const std::string inPaper = row.printed;
    if (!inPaper.empty()) {
        const auto decimals = static_cast<int>(inPaper.size() - inPaper.find('.') - 1);
        EXPECT_EQ(printed(percent, decimals), inPaper);
    }
}

} // namespace rankscope::plans

// SPDX-License-Identifier: Apache-2.0
// Every bound that a family.json states is kept, and what breaks it is told by the setting's name.
#include "tests/property/conformance/subject.h"

#include <algorithm>

namespace rankscope::conformance
{
namespace
{

using protocol::SettingType;

void refused(const protocol::FamilyManifest& manifest, const std::string& name, const base::Json& value)
{
    const auto complete = manifest.complete({{name, value}});
    ASSERT_FALSE(complete) << manifest.name << " takes " << name << " = " << value.dump();
    EXPECT_NE(complete.error().message.find(name), std::string::npos) << complete.error().message;
}

void taken(const protocol::FamilyManifest& manifest, const std::string& name, const base::Json& value)
{
    const auto complete = manifest.complete({{name, value}});
    EXPECT_TRUE(complete) << manifest.name << ": " << complete.error().message;
}

TEST(Settings, AreCompletedWithTheirDefaults)
{
    for (const auto& plugin : plugins()) {
        const auto complete = plugin.manifest.complete(base::Json::object());
        ASSERT_TRUE(complete) << complete.error().message;
        EXPECT_EQ(complete->size(), plugin.manifest.settings.size());
        for (const auto& schema : plugin.manifest.settings) {
            EXPECT_EQ(complete->at(schema.name), schema.defaultAmong(*complete)) << schema.name;
            EXPECT_FALSE(schema.title.empty()) << schema.name;
            EXPECT_FALSE(schema.description.empty()) << schema.name;
        }
    }
}

TEST(Settings, KeepTheirBounds)
{
    for (const auto& plugin : plugins()) {
        const auto& manifest = plugin.manifest;
        for (const auto& schema : manifest.settings) {
            if (schema.type != SettingType::Integer && schema.type != SettingType::Number)
                continue;
            ASSERT_TRUE(schema.minimum && schema.maximum) << schema.name << " is not bounded";
            auto number = [&](double value) {
                return schema.type == SettingType::Integer ? base::Json(static_cast<std::int64_t>(value))
                                                           : base::Json(value);
            };
            refused(manifest, schema.name, number(*schema.minimum - 1));
            refused(manifest, schema.name, number(*schema.maximum + 1));
            if (schema.exclusiveMinimum)
                refused(manifest, schema.name, number(*schema.minimum));
            else
                taken(manifest, schema.name, number(*schema.minimum));
            if (schema.exclusiveMaximum)
                refused(manifest, schema.name, number(*schema.maximum));
            else
                taken(manifest, schema.name, number(*schema.maximum));
        }
    }
}

TEST(Settings, RefuseAnotherType)
{
    for (const auto& plugin : plugins()) {
        for (const auto& schema : plugin.manifest.settings) {
            refused(plugin.manifest, schema.name, base::Json::object());
            refused(plugin.manifest, schema.name, nullptr);
            if (schema.type != SettingType::Boolean)
                refused(plugin.manifest, schema.name, true);
            if (schema.type != SettingType::Text)
                refused(plugin.manifest, schema.name, "a text");
            else
                refused(plugin.manifest, schema.name, 3);
            if (schema.type == SettingType::Integer)
                refused(plugin.manifest, schema.name, 1.5);
            if (schema.type == SettingType::TextList)
                refused(plugin.manifest, schema.name, base::Json::array({1}));
            if (!schema.choices.empty())
                refused(plugin.manifest, schema.name,
                        schema.type == SettingType::Text ? base::Json("none of these")
                                                         : base::Json::array({"none of these"}));
        }
    }
}

TEST(Settings, RefuseANameThatTheFamilyDoesNotHave)
{
    for (const auto& plugin : plugins())
        refused(plugin.manifest, "no_such_setting", 1);
}

/// LoRA+: whatever has a B, or a decoder in its place, can let it learn faster than the rest.
TEST(Settings, GiveEveryBALearningRateOfItsOwn)
{
    for (const auto& plugin : plugins()) {
        const std::string& family = plugin.manifest.name;
        const auto isB = [](const std::string& name) {
            return name.ends_with("_B.weight") || name.ends_with("decoder.weight");
        };
        const Subject plain = attach(variant(family, base::Json::object()));
        const auto trained = plain.adapter->parameters().trainable();
        if (std::ranges::none_of(trained, [&](const auto& parameter) { return isB(parameter.name); }))
            continue;
        ASSERT_TRUE(std::ranges::any_of(plugin.manifest.settings, [](const auto& schema) {
            return schema.name == "bLearningRateFactor";
        })) << family;
        for (const auto& parameter : trained)
            EXPECT_EQ(parameter.learningRateFactor, 1) << family << ": " << parameter.name;
        const Subject faster = attach(variant(family, {{"bLearningRateFactor", 7}}));
        for (const auto& parameter : faster.adapter->parameters().trainable())
            EXPECT_EQ(parameter.learningRateFactor, isB(parameter.name) ? 7 : 1)
                << family << ": " << parameter.name;
    }
}

TEST(Settings, ThatTheModelCannotTakeAreRefusedByPlanAndAttachAlike)
{
    // Every list of module names a family has is given one that no model has.
    for (const auto& plugin : plugins()) {
        for (const auto& schema : plugin.manifest.settings) {
            if (schema.type != SettingType::TextList || !schema.choices.empty())
                continue;
            const adapter::Settings settings(
                plugin.manifest.complete({{schema.name, base::Json::array({"no_such_module"})}}).value());
            const auto plan = plugin.family->plan(smallModel("llama"), settings);
            ASSERT_FALSE(plan) << plugin.manifest.name << ' ' << schema.name;
            EXPECT_NE(plan.error().message.find("no_such_module"), std::string::npos) << plan.error().message;
            const auto model = makeModel(smallModel("llama"));
            const auto attached = plugin.family->attach(*model, settings, {at::kDouble, 1});
            ASSERT_FALSE(attached);
            EXPECT_EQ(attached.error().message, plan.error().message);
        }
    }
}

} // namespace
} // namespace rankscope::conformance

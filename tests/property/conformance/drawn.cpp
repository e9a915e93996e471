// SPDX-License-Identifier: Apache-2.0
#include "tests/property/conformance/drawn.h"

#include <algorithm>
#include <cmath>
#include <ostream>

namespace rankscope::conformance
{
namespace
{

using protocol::SettingSchema;
using protocol::SettingType;

/// Small numbers first: RapidCheck's sizes grow from test to test.
std::int64_t between(std::int64_t low, std::int64_t high)
{
    return *rc::gen::inRange<std::int64_t>(low, high + 1);
}

bool oneIn(std::size_t n)
{
    return *rc::gen::weightedElement<bool>({{n - 1, false}, {1, true}});
}

template <typename Value>
Value among(const std::vector<Value>& values)
{
    return *rc::gen::elementOf(values);
}

/// From 0 to 1.
double share()
{
    return static_cast<double>(between(0, 1000)) / 1000;
}

/// As many numbers from 1 to 2 as from 4 to 8.
double evenlyInLogarithm(double low, double high)
{
    return low * std::pow(high / low, share());
}

/// A width like those of real models, which families that cut widths into parts can take: with five factors
/// at least. Or any other, odd ones and 1 too.
std::int64_t width(bool divisible)
{
    return divisible ? among<std::int64_t>({32, 48, 64, 72, 80}) : between(1, 33);
}

checkpoint::ModelConfig drawModel()
{
    checkpoint::ModelConfig model;
    setArchitecture(model, among(architectures()));
    model.vocabulary = between(2, 40);
    const bool divisible = !oneIn(3);
    model.hidden = width(divisible);
    model.feedForward = width(divisible);
    model.layers = between(1, 4);
    model.kvHeads = between(1, 3);
    model.heads = model.kvHeads * between(1, 3);
    model.headDim = 2 * between(1, 5);
    model.maxPosition = 64;
    model.tiedEmbeddings = true;
    return model;
}

/// Small whole numbers. One in four is equal to one before it: where one setting bounds another, that is the
/// bound.
std::int64_t drawInteger(const SettingSchema& schema, const std::vector<std::int64_t>& before)
{
    constexpr std::int64_t most = 12;
    const auto low = static_cast<std::int64_t>(*schema.minimum) + (schema.exclusiveMinimum ? 1 : 0);
    const auto high = static_cast<std::int64_t>(*schema.maximum) - (schema.exclusiveMaximum ? 1 : 0);
    if (!before.empty() && oneIn(4))
        return std::clamp(among(before), low, high);
    const double span =
        evenlyInLogarithm(1, static_cast<double>(std::min(high, std::max(low, most)) - low + 1));
    return low + static_cast<std::int64_t>(span) - 1;
}

/// A bound, where it is a number that one would choose, or one between them.
double drawNumber(const SettingSchema& schema)
{
    std::vector<double> bounds;
    if (!schema.exclusiveMinimum)
        bounds.push_back(*schema.minimum);
    if (!schema.exclusiveMaximum && *schema.maximum <= 1)
        bounds.push_back(*schema.maximum);
    if (!bounds.empty() && oneIn(4))
        return among(bounds);
    const double low = std::max(*schema.minimum, 0.05);
    const double high = *schema.maximum - (schema.exclusiveMaximum ? 1e-3 : 0);
    return evenlyInLogarithm(low, std::clamp(high, low, 16.0));
}

/// One of the choices. Where any text is allowed: mostly the default, or a list of numbers as such texts
/// often are.
std::string drawText(const SettingSchema& schema, const base::Json& usual)
{
    if (!schema.choices.empty())
        return among(schema.choices);
    if (!oneIn(4))
        return usual.get<std::string>();
    const std::string separator = among<std::string>({"-", ":", ","});
    std::string list = std::to_string(between(1, 6));
    for (auto more = between(0, 4); more > 0; --more)
        list += separator + std::to_string(between(1, 6));
    return list;
}

/// Some of the choices; without choices, presets and names of linears, which is what open lists hold.
base::Json drawTexts(const SettingSchema& schema, const base::Json& usual)
{
    std::vector<std::string> names = schema.choices;
    if (names.empty()) {
        if (oneIn(3))
            return usual;
        if (oneIn(2))
            return base::Json::array({among<std::string>({"attention", "mlp", "all-linear"})});
        names = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
    }
    base::Json chosen = base::Json::array();
    for (auto count = between(0, 3); count > 0; --count)
        chosen.push_back(among(names));
    return chosen;
}

base::Json drawSetting(const SettingSchema& schema, const base::Json& usual,
                       std::vector<std::int64_t>& before)
{
    switch (schema.type) {
    case SettingType::Integer:
        before.push_back(drawInteger(schema, before));
        return before.back();
    case SettingType::Number:
        return drawNumber(schema);
    case SettingType::Boolean:
        return *rc::gen::arbitrary<bool>();
    case SettingType::Text:
        return drawText(schema, usual);
    case SettingType::TextList:
        return drawTexts(schema, usual);
    case SettingType::IntegerList:
        break;
    }
    base::Json list = base::Json::array();
    for (auto count = between(1, 4); count > 0; --count)
        list.push_back(drawInteger(schema, before));
    return list;
}

} // namespace

model::Pass Drawn::pass(bool training) const
{
    auto pass = model::makePass(rows, training);
    pass.tasks = tasks;
    pass.promptLengths = prompts;
    return pass;
}

Drawn Drawn::only(std::size_t row) const
{
    Drawn one = *this;
    one.rows = {rows[row]};
    one.tasks = {tasks[row]};
    one.prompts = {prompts[row]};
    return one;
}

Drawn Drawn::shortened() const
{
    Drawn shorter = *this;
    for (std::size_t row = 0; row < rows.size(); ++row)
        shorter.rows[row].resize(
            std::max((rows[row].size() + 1) / 2, static_cast<std::size_t>(prompts[row])));
    return shorter;
}

Drawn Drawn::with(const base::Json& settings) const
{
    Drawn other = *this;
    other.variant.settings.update(settings);
    return other;
}

Subject Drawn::trained() const
{
    Subject own = subject();
    disturb(*own.adapter, seed);
    return own;
}

void showValue(const Drawn& drawn, std::ostream& out)
{
    const auto& model = drawn.variant.model;
    const auto list = [&](const char* name, const auto& values) {
        out << "\n  " << name << base::Json(values).dump();
    };
    out << drawn.variant.family << " on " << model.architecture << " in " << at::toString(drawn.dtype)
        << ", seed " << drawn.seed << "\n  layers " << model.layers << ", hidden " << model.hidden
        << ", feed-forward " << model.feedForward << ", heads " << model.heads << " over " << model.kvHeads
        << " of " << model.headDim << ", vocabulary " << model.vocabulary;
    list("settings ", drawn.variant.settings);
    list("noise ", drawn.noise);
    list("rows ", drawn.rows);
    list("tasks ", drawn.tasks);
    list("prompts ", drawn.prompts);
}

rc::Gen<Drawn> drawn(const protocol::FamilyManifest& manifest, const std::vector<at::ScalarType>& types)
{
    return rc::gen::exec([&manifest, types] {
        const auto noisy = noiseSettings(manifest);
        base::Json given = base::Json::object();
        Drawn result;
        result.noise = base::Json::object();
        std::vector<std::int64_t> integers;
        for (const auto& schema : manifest.settings) {
            const auto small = manifest.small.find(schema.name);
            const base::Json& usual = small == manifest.small.end() ? schema.defaultValue : *small;
            if (std::ranges::count(noisy, schema.name) > 0)
                result.noise[schema.name] = share() * std::min(*schema.maximum, 1.0);
            else
                given[schema.name] = drawSetting(schema, usual, integers);
        }
        result.variant = variant(manifest.name, given);
        result.variant.changed = "drawn";
        result.variant.model = drawModel();
        result.dtype = among(types);
        result.seed = static_cast<std::uint64_t>(between(1, 1000));
        for (auto count = between(1, 4); count > 0; --count) {
            const std::int64_t length = between(1, 7);
            result.rows.emplace_back();
            for (std::int64_t token = 0; token < length; ++token)
                result.rows.back().push_back(
                    static_cast<std::int32_t>(between(0, result.variant.model.vocabulary - 1)));
            result.tasks.push_back(between(-1, 5));
            result.prompts.push_back(between(0, length));
        }
        return result;
    });
}

} // namespace rankscope::conformance

// SPDX-License-Identifier: Apache-2.0
#include "core/protocol/family_manifest.h"

#include "core/base/files.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rankscope::protocol
{
namespace
{

std::string joined(const std::vector<std::string>& names)
{
    std::string list;
    for (const auto& name : names)
        list += (list.empty() ? "" : ", ") + name;
    return list;
}

/// "0.5", "3": a bound as a person writes it.
std::string written(double value)
{
    if (std::abs(value) < 1e15 && value == std::floor(value))
        return std::to_string(static_cast<long long>(value));
    return base::Json(value).dump();
}

bool isWhole(const base::Json& value)
{
    if (value.is_number_unsigned())
        return value.get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX);
    if (value.is_number_integer())
        return true;
    if (!value.is_number_float())
        return false;
    const double number = value.get<double>();
    return number == std::floor(number) && std::abs(number) <= 9007199254740992.0;
}

Status checkBounds(const SettingSchema& schema, const base::Json& value, const std::string& subject)
{
    const double number = value.get<double>();
    const std::string is = subject + " is " + value.dump() + ", but must be ";
    if (schema.minimum &&
        (schema.exclusiveMinimum ? !(number > *schema.minimum) : !(number >= *schema.minimum)))
        return fail(is + (schema.exclusiveMinimum ? "above " : "at least ") + written(*schema.minimum));
    if (schema.maximum &&
        (schema.exclusiveMaximum ? !(number < *schema.maximum) : !(number <= *schema.maximum)))
        return fail(is + (schema.exclusiveMaximum ? "below " : "at most ") + written(*schema.maximum));
    return {};
}

Status checkChoice(const SettingSchema& schema, const base::Json& value, const std::string& subject)
{
    const auto text = value.get<std::string>();
    if (!schema.choices.empty() && std::ranges::find(schema.choices, text) == schema.choices.end())
        return fail(subject + " is '" + text + "', but must be one of: " + joined(schema.choices));
    return {};
}

Status wrongType(const SettingSchema& schema, const base::Json& value, const char* expected)
{
    return fail(schema.name + " is " + value.dump(-1, ' ', false, base::Json::error_handler_t::replace) +
                ", but must be " + expected);
}

Result<SettingType> typeOf(const std::string& type, const std::string& itemType, const std::string& path)
{
    if (type == "integer")
        return SettingType::Integer;
    if (type == "number")
        return SettingType::Number;
    if (type == "boolean")
        return SettingType::Boolean;
    if (type == "string")
        return SettingType::Text;
    if (type == "array" && itemType == "string")
        return SettingType::TextList;
    if (type == "array" && itemType == "integer")
        return SettingType::IntegerList;
    if (type == "array")
        return fail(path + ".items.type must be string or integer");
    return fail(path + ".type is '" + type + "', but must be integer, number, boolean, string or array");
}

/// minimum, maximum, exclusiveMinimum, exclusiveMaximum and enum: of a value, or of an array's items.
Status readBounds(base::ObjectReader& reader, const base::Json& json, SettingSchema& schema)
{
    double bound = 0;
    const std::pair<const char*, bool> lower[] = {{"minimum", false}, {"exclusiveMinimum", true}};
    const std::pair<const char*, bool> upper[] = {{"maximum", false}, {"exclusiveMaximum", true}};
    for (const auto& [key, exclusive] : lower) {
        reader.number(key, bound, -base::ObjectReader::anyNumber, base::ObjectReader::anyNumber);
        if (json.is_object() && json.contains(key)) {
            schema.minimum = bound;
            schema.exclusiveMinimum = exclusive;
        }
    }
    for (const auto& [key, exclusive] : upper) {
        reader.number(key, bound, -base::ObjectReader::anyNumber, base::ObjectReader::anyNumber);
        if (json.is_object() && json.contains(key)) {
            schema.maximum = bound;
            schema.exclusiveMaximum = exclusive;
        }
    }
    reader.texts("enum", schema.choices);
    return reader.finishLenient();
}

bool hold(const SettingValues& conditions, const base::Json& settings)
{
    return std::ranges::all_of(conditions, [&](const auto& one) {
        const auto found = settings.find(one.first);
        return found != settings.end() && std::ranges::find(one.second, *found) != one.second.end();
    });
}

/// {"setting": [values], ...}
Result<SettingValues> readValues(const base::Json& json, const std::string& path)
{
    SettingValues values;
    const std::string shape = " must be an object of {setting: [values]}";
    if (!json.is_object() || json.empty())
        return fail(path + shape);
    for (const auto& item : json.items()) {
        if (!item.value().is_array() || item.value().empty())
            return fail(path + "." + item.key() + " must be a list of values");
        values.emplace_back(item.key(), item.value().get<std::vector<base::Json>>());
    }
    return values;
}

/// [{"if": {...}, "value": ...}, ...]
Result<std::vector<ConditionalValue>> readConditional(const base::Json* json, const std::string& path)
{
    std::vector<ConditionalValue> values;
    if (!json)
        return values;
    if (!json->is_array())
        return fail(path + " must be a list of {\"if\": {setting: [values]}, \"value\": ...}");
    for (std::size_t i = 0; i < json->size(); ++i) {
        const std::string place = path + "[" + std::to_string(i) + "]";
        base::ObjectReader reader((*json)[i], place);
        reader.require("if").require("value");
        const base::Json* conditions = reader.object("if");
        const base::Json* value = reader.any("value");
        RANKSCOPE_CHECK(reader.finish());
        ConditionalValue one;
        RANKSCOPE_TRY(one.conditions, readValues(*conditions, place + ".if"));
        one.value = *value;
        values.push_back(std::move(one));
    }
    return values;
}

Result<SettingSchema> readSetting(const std::string& name, const base::Json& json)
{
    SettingSchema schema;
    schema.name = name;
    const std::string path = "settings.properties." + name;
    base::ObjectReader reader(json, path);
    std::string type;
    reader.require("type")
        .text("type", type)
        .text("title", schema.title)
        .text("description", schema.description)
        .text("group", schema.group)
        .boolean("advanced", schema.advanced)
        .require("default");
    reader.any("$comment");
    reader.any("examples");
    if (const base::Json* value = reader.any("default"))
        schema.defaultValue = *value;
    std::string itemType;
    if (const base::Json* items = reader.object("items")) {
        base::ObjectReader itemReader(*items, path + ".items");
        itemReader.require("type").text("type", itemType);
        RANKSCOPE_CHECK(readBounds(itemReader, *items, schema));
        RANKSCOPE_CHECK(itemReader.finish());
    } else {
        RANKSCOPE_CHECK(readBounds(reader, json, schema));
    }
    if (const base::Json* conditions = reader.object("showWhen")) {
        RANKSCOPE_TRY(schema.showWhen, readValues(*conditions, path + ".showWhen"));
    }
    RANKSCOPE_TRY(schema.defaultWhen, readConditional(reader.any("defaultWhen"), path + ".defaultWhen"));
    RANKSCOPE_CHECK(reader.finish());
    RANKSCOPE_TRY(schema.type, typeOf(type, itemType, path));
    if (schema.title.empty())
        schema.title = name;
    if (schema.minimum && schema.maximum && *schema.minimum > *schema.maximum)
        return fail(path + " has a minimum above its maximum");
    if (const auto status = FamilyManifest::check(schema, schema.defaultValue); !status)
        return fail(path + ": the default is not allowed: " + status.error().message);
    for (const auto& one : schema.defaultWhen) {
        if (const auto status = FamilyManifest::check(schema, one.value); !status)
            return fail(path + ": a default is not allowed: " + status.error().message);
    }
    return schema;
}

Status readCondition(base::ObjectReader& reader, const char* key, SettingCondition& condition)
{
    const base::Json* value = reader.any(key);
    if (!value)
        return {};
    if (value->is_boolean()) {
        condition.always = value->get<bool>();
        return {};
    }
    const std::string shape = std::string(key) + " must be true, false or a list of {setting: [values]}";
    if (!value->is_array())
        return fail(shape);
    for (const auto& one : *value) {
        RANKSCOPE_TRY(auto values, readValues(one, key));
        condition.anyOf.push_back(std::move(values));
    }
    return {};
}

/// The settings that conditions name must be there.
Status checkNames(const SettingValues& conditions, const std::string& key,
                  const std::vector<SettingSchema>& settings)
{
    for (const auto& [name, values] : conditions) {
        if (std::ranges::find(settings, name, &SettingSchema::name) == settings.end())
            return fail(key + " names '" + name + "', which is not a setting of this family");
    }
    return {};
}

Status checkCondition(const SettingCondition& condition, const char* key, const FamilyManifest& manifest)
{
    for (const auto& all : condition.anyOf)
        RANKSCOPE_CHECK(checkNames(all, key, manifest.settings));
    return {};
}

Status readSettings(const base::Json& json, const base::OrderedJson& ordered,
                    std::vector<SettingSchema>& settings)
{
    base::ObjectReader reader(json, "settings");
    std::string type = "object";
    reader.choice("type", type, {"object"});
    for (const char* annotation :
         {"$schema", "$comment", "title", "description", "additionalProperties", "required"})
        reader.any(annotation);
    const base::Json* properties = reader.object("properties");
    RANKSCOPE_CHECK(reader.finish());
    if (!properties)
        return {};
    for (const auto& item : ordered.at("properties").items()) {
        RANKSCOPE_TRY(SettingSchema schema, readSetting(item.key(), properties->at(item.key())));
        settings.push_back(std::move(schema));
    }
    for (const auto& schema : settings) {
        const std::string path = "settings.properties." + schema.name;
        RANKSCOPE_CHECK(checkNames(schema.showWhen, path + ".showWhen", settings));
        for (const auto& one : schema.defaultWhen) {
            RANKSCOPE_CHECK(checkNames(one.conditions, path + ".defaultWhen", settings));
            for (const auto& [other, values] : one.conditions) {
                if (!std::ranges::find(settings, other, &SettingSchema::name)->defaultWhen.empty())
                    return fail(path + ".defaultWhen depends on '" + other +
                                "', whose own default depends on others");
            }
        }
    }
    return {};
}

Result<FamilyManifest> fromJson(const base::Json& json, const base::OrderedJson& ordered)
{
    FamilyManifest manifest;
    manifest.training = base::Json::object();
    manifest.small = base::Json::object();
    std::int64_t apiVersion = 0;
    base::ObjectReader reader(json, "");
    for (const char* key : {"name", "title", "library", "apiVersion", "scope"})
        reader.require(key);
    manifest.routing = "none";
    manifest.initialOutput = "exact";
    manifest.scope = "module";
    reader.text("name", manifest.name)
        .text("title", manifest.title)
        .text("summary", manifest.summary)
        .text("authors", manifest.authors)
        .text("paper", manifest.paper)
        .text("link", manifest.link)
        .text("version", manifest.version)
        .text("library", manifest.library)
        .integer("apiVersion", apiVersion, 0, std::numeric_limits<int>::max())
        .choice("scope", manifest.scope, {"module", "mlp-block", "layer", "model"})
        .choice("routing", manifest.routing, {"none", "token", "sequence", "task", "rank", "layer"})
        .choice("initialOutput", manifest.initialOutput, {"exact", "rounding", "changed"})
        .boolean("mergeable", manifest.mergeable);
    reader.any("$schema");
    reader.any("$comment");
    RANKSCOPE_TRY(manifest.initialOutputWhen,
                  readConditional(reader.any("initialOutputWhen"), "initialOutputWhen"));
    RANKSCOPE_CHECK(readCondition(reader, "nonCausal", manifest.nonCausal));
    RANKSCOPE_CHECK(readCondition(reader, "hardEvaluation", manifest.hardEvaluation));
    RANKSCOPE_CHECK(readCondition(reader, "mergesExperts", manifest.mergesExperts));
    RANKSCOPE_CHECK(readCondition(reader, "stopsGradient", manifest.stopsGradient));
    const base::Json* settings = reader.object("settings");
    if (const base::Json* training = reader.object("training"))
        manifest.training = *training;
    if (const base::Json* small = reader.object("small"))
        manifest.small = *small;
    RANKSCOPE_CHECK(reader.finish());
    manifest.apiVersion = static_cast<int>(apiVersion);
    if (manifest.name.empty() ||
        manifest.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") != std::string::npos)
        return fail("name is '" + manifest.name + "', but must be made of a-z, 0-9, - and _");
    // The library lies in the family's own folder: a path could lead the loader anywhere.
    if (manifest.library.empty() || manifest.library != std::filesystem::path(manifest.library).filename())
        return fail("library is '" + manifest.library +
                    "', but must be a plain file name in the family's folder");
    if (settings)
        RANKSCOPE_CHECK(readSettings(*settings, ordered.at("settings"), manifest.settings));
    if (const auto complete = manifest.complete(manifest.small); !complete)
        return fail("small: " + complete.error().message);
    for (const auto& one : manifest.initialOutputWhen) {
        RANKSCOPE_CHECK(checkNames(one.conditions, "initialOutputWhen", manifest.settings));
        if (one.value != "exact" && one.value != "rounding" && one.value != "changed")
            return fail("initialOutputWhen has the value " + one.value.dump() +
                        ", but must be exact, rounding or changed");
    }
    TrainingSpec suggested;
    RANKSCOPE_CHECK(suggested.read(manifest.training));
    RANKSCOPE_CHECK(checkCondition(manifest.nonCausal, "nonCausal", manifest));
    RANKSCOPE_CHECK(checkCondition(manifest.hardEvaluation, "hardEvaluation", manifest));
    RANKSCOPE_CHECK(checkCondition(manifest.mergesExperts, "mergesExperts", manifest));
    RANKSCOPE_CHECK(checkCondition(manifest.stopsGradient, "stopsGradient", manifest));
    return manifest;
}

/// The list with "paper" replaced by what the family was published with, its default.
base::Json withPublished(const base::Json& given, const base::Json& published)
{
    base::Json list = base::Json::array();
    for (const auto& name : given) {
        if (name == "paper")
            list.insert(list.end(), published.begin(), published.end());
        else
            list.push_back(name);
    }
    return list;
}

} // namespace

bool SettingCondition::holds(const base::Json& settings) const
{
    return always || std::ranges::any_of(anyOf, [&](const auto& all) { return hold(all, settings); });
}

const base::Json& SettingSchema::defaultAmong(const base::Json& settings) const
{
    for (const auto& one : defaultWhen) {
        if (hold(one.conditions, settings))
            return one.value;
    }
    return defaultValue;
}

bool SettingSchema::shownAmong(const base::Json& settings) const
{
    return hold(showWhen, settings);
}

std::string FamilyManifest::initialOutputOf(const base::Json& complete) const
{
    for (const auto& one : initialOutputWhen) {
        if (hold(one.conditions, complete))
            return one.value.get<std::string>();
    }
    return initialOutput;
}

base::Json FamilyManifest::suggestedTraining(std::int64_t steps) const
{
    base::Json suggested = training;
    const auto warmup = suggested.find("warmup");
    if (warmup != suggested.end() && warmup->is_number() && warmup->get<double>() >= 1 &&
        2 * warmup->get<double>() > static_cast<double>(steps))
        suggested.erase(warmup);
    return suggested;
}

Status FamilyManifest::completeTraining(TrainingSpec& spec) const
{
    base::Json missing = suggestedTraining(spec.steps);
    for (const auto& name : spec.given)
        missing.erase(name);
    return spec.read(missing);
}

Result<FamilyManifest> FamilyManifest::read(const std::filesystem::path& familyJson)
{
    RANKSCOPE_TRY(const std::string text, base::readFile(familyJson, std::uintmax_t{4} << 20));
    const auto inFile = [&](const Error& error) { return fail(error.within(familyJson.string())); };
    const auto json = base::parseJson(text);
    if (!json)
        return inFile(json.error());
    const auto ordered = base::parseOrderedJson(text);
    if (!ordered)
        return inFile(ordered.error());
    auto manifest = fromJson(*json, *ordered);
    if (!manifest)
        return inFile(manifest.error());
    manifest->folder = familyJson.parent_path();
    return manifest;
}

const SettingSchema* FamilyManifest::setting(const std::string& name) const
{
    const auto found = std::ranges::find(settings, name, &SettingSchema::name);
    return found == settings.end() ? nullptr : &*found;
}

Result<base::Json> FamilyManifest::complete(const base::Json& given) const
{
    if (!given.is_object() && !given.is_null())
        return fail("adapter.settings must be a JSON object");
    base::Json all = base::Json::object();
    for (const auto& schema : settings)
        all[schema.name] = schema.defaultValue;
    for (const auto& item : given.items()) {
        const SettingSchema* schema = setting(item.key());
        if (!schema) {
            std::vector<std::string> known;
            for (const auto& one : settings)
                known.push_back(one.name);
            return fail(item.key() + " is not a setting of " + name +
                        (known.empty() ? ", which has none" : "; its settings are: " + joined(known)));
        }
        RANKSCOPE_CHECK(check(*schema, item.value()));
        // JSON does not tell 16 from 16.0; readers of the settings do.
        if (schema->type == SettingType::Integer && item.value().is_number_float())
            all[schema->name] = static_cast<std::int64_t>(item.value().get<double>());
        else if (schema->type == SettingType::TextList)
            all[schema->name] = withPublished(item.value(), schema->defaultValue);
        else
            all[schema->name] = item.value();
    }
    for (const auto& schema : settings) {
        if (!schema.defaultWhen.empty() && !given.contains(schema.name))
            all[schema.name] = schema.defaultAmong(all);
    }
    return all;
}

Status FamilyManifest::check(const SettingSchema& schema, const base::Json& value)
{
    switch (schema.type) {
    case SettingType::Integer:
        if (!isWhole(value))
            return wrongType(schema, value, "a whole number");
        return checkBounds(schema, value, schema.name);
    case SettingType::Number:
        if (!value.is_number())
            return wrongType(schema, value, "a number");
        return checkBounds(schema, value, schema.name);
    case SettingType::Boolean:
        if (!value.is_boolean())
            return wrongType(schema, value, "true or false");
        return {};
    case SettingType::Text:
        if (!value.is_string())
            return wrongType(schema, value, "a text");
        return checkChoice(schema, value, schema.name);
    case SettingType::TextList:
    case SettingType::IntegerList:
        break;
    }
    const bool texts = schema.type == SettingType::TextList;
    if (!value.is_array())
        return wrongType(schema, value, texts ? "a list of texts" : "a list of whole numbers");
    for (std::size_t i = 0; i < value.size(); ++i) {
        const base::Json& item = value[i];
        const std::string subject = schema.name + "[" + std::to_string(i) + "]";
        if (texts ? !item.is_string() : !item.is_number_integer() || !isWhole(item))
            return wrongType(schema, value, texts ? "a list of texts" : "a list of whole numbers");
        RANKSCOPE_CHECK(texts ? checkChoice(schema, item, subject) : checkBounds(schema, item, subject));
    }
    return {};
}

} // namespace rankscope::protocol

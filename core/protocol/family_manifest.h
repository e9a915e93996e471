// SPDX-License-Identifier: Apache-2.0
// family.json: what a plugin says of itself before any of its code is loaded. Forms, help and validation need
// no more.
#pragma once

#include "core/base/json.h"
#include "core/base/result.h"
#include "core/protocol/job.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace rankscope::protocol
{

/// The version of the C++ interface between engine and plugins (core/adapter/family.h).
inline constexpr int pluginApiVersion = 1;

enum class SettingType { Integer, Number, Boolean, Text, TextList, IntegerList };

/// Settings that must have one of these values each, all together: {"router": ["switch"]}.
using SettingValues = std::vector<std::pair<std::string, std::vector<base::Json>>>;

/// What holds instead under some settings: {"if": {"router": ["switch"]}, "value": 0.001}.
struct ConditionalValue {
    SettingValues conditions;
    base::Json value;
};

/// One setting of a family: a property of the manifest's JSON Schema.
struct SettingSchema {
    std::string name;        ///< key in adapter.settings
    std::string title;       ///< "Rank"
    std::string description; ///< what it changes, unit, source; for tool tips
    std::string group;       ///< heading in forms; empty: the first
    bool advanced = false;   ///< folded in forms
    SettingType type = SettingType::Number;
    base::Json defaultValue;
    std::vector<ConditionalValue> defaultWhen; ///< variants with defaults of their own; the first that holds
    std::optional<double> minimum;             ///< of the value, or of each item of an integer list
    std::optional<double> maximum;
    bool exclusiveMinimum = false;
    bool exclusiveMaximum = false;
    std::vector<std::string>
        choices; ///< allowed values of a text, or of the items of a text list; empty: any
    /// Shown (and used) only while another setting has one of these values: {"router": ["gumbel_top1"]}.
    SettingValues showWhen;

    /// The default among these settings, of which those named in `defaultWhen` are there.
    [[nodiscard]] const base::Json& defaultAmong(const base::Json& settings) const;
    /// Does it mean anything among these settings, of which those named in `showWhen` are there?
    [[nodiscard]] bool shownAmong(const base::Json& settings) const;
};

/// Settings under which a statement about a family holds: false, true, or a list of settings any of which is
/// enough, each as in showWhen ({"pool": ["sequence"], "level": ["sequence"]}: both together).
struct SettingCondition {
    bool always = false;
    std::vector<SettingValues> anyOf;

    /// Does it hold under these settings? They are complete.
    [[nodiscard]] bool holds(const base::Json& settings) const;
};

/// A family as its family.json describes it.
struct FamilyManifest {
    std::filesystem::path folder; ///< holds family.json and the library
    std::string name;             ///< "mixlora": key in job files
    std::string title;            ///< "MixLoRA"
    std::string summary;          ///< one sentence
    std::string authors;
    std::string paper; ///< title, year
    std::string link;  ///< DOI or arXiv number
    std::string version;
    std::string library; ///< file name of the shared library, in `folder`
    int apiVersion = 0;
    std::string scope;         ///< "module", "mlp-block", "layer", "model"
    std::string routing;       ///< "none", "token", "sequence", "task", "rank", "layer"
    std::string initialOutput; ///< "exact", "rounding" or "changed": is the base model's output kept at init?
    std::vector<ConditionalValue> initialOutputWhen; ///< variants of which something else is true
    bool mergeable = false;
    /// Statements that most families need not make; none of them holds where family.json is silent.
    SettingCondition nonCausal;      ///< what a token receives depends on later tokens of its row
    SettingCondition hardEvaluation; ///< evaluation routes otherwise than training, with all noise off too
    SettingCondition
        mergesExperts; ///< parameters are averaged, not outputs: the mean update is no sum of the experts'
    SettingCondition
        stopsGradient; ///< the definition cuts a path out of the gradient: it is no slope of the loss
    std::vector<SettingSchema> settings; ///< in the order of the file
    base::Json training;                 ///< suggested training settings ("learningRate", ...); may be empty
    /// Settings that replace defaults which a toy model cannot take (a width of 32, two layers): used by
    /// tests that run every family on small models, never by jobs. Written only where a default needs it;
    /// checked as settings are.
    base::Json small;

    static Result<FamilyManifest> read(const std::filesystem::path& familyJson);
    [[nodiscard]] const SettingSchema* setting(const std::string& name) const;

    /// The given settings with every default written out. An unknown name, a wrong type or a value out of
    /// bounds is an error that names the setting ("rank is 0, but must be at least 1").
    [[nodiscard]] Result<base::Json> complete(const base::Json& given) const;
    /// The initialOutput of these settings, which are complete.
    [[nodiscard]] std::string initialOutputOf(const base::Json& complete) const;
    /// The training settings that this family suggests to a run of that many steps: its own words, but no
    /// warm-up that would take more than half of the run.
    [[nodiscard]] base::Json suggestedTraining(std::int64_t steps) const;
    /// Takes the suggestions for what the job does not say itself. Errors: as of a job's own values.
    Status completeTraining(TrainingSpec& training) const;
    /// Checks one value; used at the field of a form.
    [[nodiscard]] static Status check(const SettingSchema& schema, const base::Json& value);
};

} // namespace rankscope::protocol

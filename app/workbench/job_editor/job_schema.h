// SPDX-License-Identifier: GPL-3.0-or-later
// The fields of a job that no family owns, described as a family describes its own.
#pragma once

#include "core/protocol/family_manifest.h"

#include <QString>

#include <vector>

namespace rankscope::workbench
{

std::vector<protocol::SettingSchema> dataSettings();
std::vector<protocol::SettingSchema> trainingSettings();
std::vector<protocol::SettingSchema> evaluationSettings();
std::vector<protocol::SettingSchema> analysisSettings();

/// The families found beside the program, by title; what cannot be read is left out here (`rankscope-engine
/// families` says why).
std::vector<protocol::FamilyManifest> installedFamilies();

/// Settings for a purpose, to begin with.
struct JobPreset {
    QString title;
    QString toolTip;
    base::Json training;
    base::Json analysis;
};
const std::vector<JobPreset>& jobPresets();

} // namespace rankscope::workbench

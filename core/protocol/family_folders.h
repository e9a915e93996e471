// SPDX-License-Identifier: Apache-2.0
// Which families the plugin folders hold: one order and one rule for whoever looks, so that settings are
// completed from the manifest whose library is loaded later.
#pragma once

#include "core/protocol/family_manifest.h"

#include <filesystem>
#include <string>
#include <vector>

namespace rankscope::protocol
{

/// A family.json that was found, and whether it counts.
struct FoundFamily {
    enum class Use {
        Usable,
        Invalid,      ///< it cannot be read, or an earlier usable one has its name
        Incompatible, ///< another version of the plugin interface; it takes no name from one that can be used
    };

    Use use = Use::Usable;
    std::string error;       ///< why it is not usable; one sentence
    FamilyManifest manifest; ///< name = the folder's name where family.json cannot be read
};

/// Every <folder>/<name>/family.json: the folders in the order given, within one of them by name. Folders
/// that do not exist are passed over. Of the usable ones no two have one name.
[[nodiscard]] std::vector<FoundFamily> findFamilies(const std::vector<std::filesystem::path>& folders);

} // namespace rankscope::protocol

// SPDX-License-Identifier: Apache-2.0
// Finds family plugins and keeps each with its state and the reason for it: a bad plugin is a line in a list.
#pragma once

#include "core/adapter/family.h"
#include "core/protocol/family_manifest.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace rankscope::adapter
{

enum class PluginState {
    Found,        ///< family.json read; the library has not been asked for yet
    Invalid,      ///< family.json cannot be used
    Incompatible, ///< another version of the interface
    Loaded,
    Failed, ///< the library could not be opened or started
};

std::string name(PluginState state);

struct Plugin {
    PluginState state = PluginState::Found;
    std::string error;                    ///< why it is not Found or Loaded; one sentence
    protocol::FamilyManifest manifest;    ///< name = the folder's name where family.json cannot be read
    std::shared_ptr<const Family> family; ///< when Loaded
};

class PluginLoader
{
public:
    /// Reads every <folder>/<name>/family.json, as protocol::findFamilies does. Where two plugins that can be
    /// used have one name, the first counts and the second is invalid.
    explicit PluginLoader(const std::vector<std::filesystem::path>& folders);

    [[nodiscard]] const std::vector<Plugin>& plugins() const { return m_plugins; }
    /// The plugin of that name with its library loaded. Errors: unknown (the known ones are named), or its
    /// own error.
    Result<const Plugin*> load(const std::string& name);
    /// Loads every plugin that can be.
    void loadAll();

private:
    static void loadLibrary(Plugin& plugin);

    std::vector<Plugin> m_plugins;
};

} // namespace rankscope::adapter

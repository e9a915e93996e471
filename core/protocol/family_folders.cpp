// SPDX-License-Identifier: Apache-2.0
#include "core/protocol/family_folders.h"

#include <algorithm>

namespace rankscope::protocol
{
namespace fs = std::filesystem;
namespace
{

/// In the order of their paths: the file system's own order is another one on another disk.
std::vector<fs::path> manifestsIn(const fs::path& folder)
{
    std::vector<fs::path> files;
    std::error_code code;
    for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
        std::error_code ignored;
        if (auto file = entry->path() / "family.json"; fs::exists(file, ignored))
            files.push_back(std::move(file));
    }
    std::ranges::sort(files);
    return files;
}

FoundFamily readFamily(const fs::path& file)
{
    FoundFamily family;
    auto manifest = FamilyManifest::read(file);
    if (!manifest) {
        family.use = FoundFamily::Use::Invalid;
        family.error = manifest.error().message;
        family.manifest.folder = file.parent_path();
        family.manifest.name = family.manifest.folder.filename().string();
        return family;
    }
    family.manifest = std::move(*manifest);
    if (family.manifest.apiVersion != pluginApiVersion) {
        family.use = FoundFamily::Use::Incompatible;
        family.error = "it was written for version " + std::to_string(family.manifest.apiVersion) +
                       " of the plugin interface, this program has version " +
                       std::to_string(pluginApiVersion);
    }
    return family;
}

} // namespace

std::vector<FoundFamily> findFamilies(const std::vector<fs::path>& folders)
{
    std::vector<FoundFamily> found;
    for (const auto& folder : folders) {
        for (const auto& file : manifestsIn(folder)) {
            FoundFamily family = readFamily(file);
            const bool taken = std::ranges::any_of(found, [&](const FoundFamily& other) {
                return other.use == FoundFamily::Use::Usable && other.manifest.name == family.manifest.name;
            });
            if (family.use == FoundFamily::Use::Usable && taken) {
                family.use = FoundFamily::Use::Invalid;
                family.error = "another plugin is already named " + family.manifest.name;
            }
            found.push_back(std::move(family));
        }
    }
    return found;
}

} // namespace rankscope::protocol
